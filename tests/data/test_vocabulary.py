from itertools import product

import pytest

from data.vocabulary import SPECIAL_TOKENS, SpecialIds, Vocabulary
from data.wordpiece import Casing, bert_vocabulary
from model.errors import InputError

CASINGS = [Casing(*values) for values in product([True, False], [None, True, False], [True, False])]


def vocabulary_of(*pieces: str) -> Vocabulary:
    ids = {piece: index for index, piece in enumerate([*SPECIAL_TOKENS, *pieces])}
    return bert_vocabulary(ids, Casing())


def test_the_fingerprint_is_of_all_that_matters():
    ids = {piece: index for index, piece in enumerate([*SPECIAL_TOKENS, "a", "b"])}
    other = ids | {"a": ids["b"], "b": ids["a"]}
    vocabularies = [bert_vocabulary(other, Casing()), *(bert_vocabulary(ids, c) for c in CASINGS)]
    assert len({vocabulary.fingerprint for vocabulary in vocabularies}) == len(CASINGS) + 1


def test_pieces_and_special_ids():
    vocabulary = vocabulary_of("b", "a")
    assert vocabulary.pieces == (*SPECIAL_TOKENS, "b", "a")
    assert vocabulary.size == 7
    assert vocabulary.special == SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4)


def test_a_model_has_an_embedding_for_every_piece():
    vocabulary = vocabulary_of("a", "b")
    assert vocabulary.check_rows(7, "model") == ()
    (remark,) = vocabulary.check_rows(16, "model")
    assert remark.startswith("model has 16 word embeddings and its tokenizer 7 ids: the last 9 are")
    with pytest.raises(InputError, match=r"model has 6 word .* 7 ids: there is none for 'b'"):
        vocabulary.check_rows(6, "model")


def test_only_tokens_of_text_are_generated_and_the_end():
    generation = vocabulary_of("a", "", "b").generation(10, beams=4)
    assert (generation.start, generation.end, generation.pad, generation.beams) == (2, 3, 0, 4)
    assert generation.suppressed == (0, 1, 2, 4, 6, 8, 9)


def test_vocabularies_are_compared_token_by_token():
    vocabulary_of("a", "b").check_teacher(vocabulary_of("a", "b"))
    with pytest.raises(InputError, match="token 6 is 'b' for the teacher and 'c' for the student"):
        vocabulary_of("a", "c", "d").check_teacher(vocabulary_of("a", "b", "d"))
    with pytest.raises(InputError, match="the teacher's has 7 tokens and the student's 6"):
        vocabulary_of("a").check_teacher(vocabulary_of("a", "b"))
