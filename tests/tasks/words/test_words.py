import pytest
from tokenizers import AddedToken

from data.wordpiece import Casing, bert_vocabulary
from model.errors import InputError
from tasks.words.encode import check_text, split_words
from tests.spelling import speller


@pytest.mark.parametrize("lowercase", [True, False])
def test_words_lie_where_they_are_in_the_text(lowercase):
    text = " Ann's cafe\u0301,\tnaïve  日本 a\u200bb\x00 (İstanbul) "
    tokenizer = speller(lowercase=lowercase).tokenizer
    words = [text[start:end] for start, end in split_words(text, tokenizer)]
    # A letter keeps its accent, and a word what is invisible in it.
    parts = "Ann ' s cafe\u0301 , naïve 日 本 a\u200bb ( İstanbul )"
    assert words == parts.split(" ")


def test_words_are_those_of_bert():
    text = "Ann-Lee's 3.5 ml, e.g. of C2H5OH: 日本語!"
    words = [text[start:end] for start, end in split_words(text, speller().tokenizer)]
    joined = "Ann - Lee ' s 3 . 5 ml , e . g . of C2H5OH : 日 本 語 !"
    assert words == joined.split(" ")


def test_an_added_token_is_a_word():
    ids = {piece: index for index, piece in enumerate(speller().pieces)}
    added = [AddedToken("[E1]", special=True), AddedToken("new york", lstrip=True)]
    tokenizer = bert_vocabulary(ids, Casing(), added).tokenizer
    text = "[E1]Ann[E1] in  NEW YORK, <E1> ☃ [MASK]cafe\u0301 [UNK]"
    words = [text[start:end].strip() for start, end in split_words(text, tokenizer)]
    parts = "[E1]|Ann|[E1]|in|NEW YORK|,|<|E1|>|☃|[MASK]|cafe\u0301|[|UNK|]"
    assert words == parts.split("|")
    whole = tokenizer.encode(text.removesuffix("[UNK]")).ids
    assert tokenizer.encode(words[:-3], is_pretokenized=True).ids == whole


def test_no_words_in_nothing():
    for nothing in ("", " \t\n", "\u200b"):
        assert split_words(nothing, speller().tokenizer) == []


def test_texts_that_are_none():
    check_text("a", "line 1")
    for text in ("", " \n"):
        with pytest.raises(InputError, match="line 3 is empty"):
            check_text(text, "line 3")
    with pytest.raises(InputError, match="line 3 is not UTF-8 text"):
        check_text("a\udcff", "line 3")
