from itertools import pairwise

import numpy as np
import pytest

from model.errors import InputError
from tasks.reading import Reading
from tasks.words.encode import encode_words
from tasks.words.examples import TaggedExample
from tasks.words.scheme import to_iob2
from tests.spelling import spelled, speller

VOCABULARY = speller("York", lowercase=False)
PAD, _, CLS, SEP, _ = VOCABULARY.special
LABELS = ("B-x", "I-x", "O")


def encode(*examples: TaggedExample, max_length=12):
    return encode_words(examples, VOCABULARY, LABELS, max_length, Reading())


def test_tags_stand_at_first_pieces():
    words = ("New", "York", "日本", "a-b", "[SEP]")
    windows = encode(TaggedExample("0", words, ("B-x", "I-x", "B-x", "O", "O")), max_length=20)
    [ids] = windows.input_ids
    alone = [VOCABULARY.tokenizer.encode(word, add_special_tokens=False).ids for word in words]
    assert ids.tolist() == [CLS, *np.concatenate(alone), SEP]
    #                 [CLS] N   e   w  York 日   本  a   -   b  [SEP] [SEP]
    assert windows.notes["word"][0].tolist() == [-1, 0, -1, -1, 1, 2, -1, 3, -1, -1, 4, -1]
    tags, fill = windows.tokens["tags"]
    assert (tags[0].tolist(), fill) == ([-1, 0, -1, -1, 1, 0, -1, 2, -1, -1, 2, -1], -1)
    types, fill = windows.tokens["token_type_ids"]
    assert (types[0].tolist(), fill) == ([0] * 12, 0)
    dtypes = {array.dtype for array in (ids, tags[0], types[0], windows.notes["word"][0])}
    assert dtypes == {np.dtype(np.int32)}
    assert (windows.pad_id, windows.remarks) == (PAD, ())


def test_iob1_is_learned_as_iob2():
    tags = ("I-x", "I-x", "O", "I-x", "B-x")
    windows = encode(TaggedExample("0", tuple("abcde"), tags))
    [learned], _ = windows.tokens["tags"]
    assert [LABELS[n] for n in learned[1:-1]] == ["B-x", "I-x", "O", "B-x", "B-x"]
    plain = encode_words(
        [TaggedExample("0", ("a",), ("I-x",))], VOCABULARY, ("I-x", "N"), 12, Reading()
    )
    assert plain.tokens["tags"][0][0].tolist() == [-1, 0, -1]


def test_words_without_pieces_stand_nowhere():
    words = ("a", "\u200b", "\x01", "b", "\ud800", "c")
    windows = encode(
        TaggedExample("0", words), TaggedExample("1", ("\x01",)), TaggedExample("2", ())
    )
    assert [word.tolist() for word in windows.notes["word"]] == [
        [-1, 0, 3, 5, -1],
        [-1, -1],
        [-1, -1],
    ]
    assert windows.example.tolist() == [0, 1, 2]
    assert "tags" not in windows.tokens


@pytest.mark.parametrize("room", [2, 5, 8, 9])
def test_every_word_is_predicted_once_and_where_it_has_context(room):
    random = np.random.default_rng(0)
    for count in range(1, 12):
        words = tuple("abcdefgh"[: random.integers(1, 5)] for _ in range(count))
        tags = to_iob2(random.choice(LABELS, count).tolist())
        windows = encode(TaggedExample("0", words, tags), max_length=room + 2)
        tokens = "".join(words)
        seen = {}
        rows = zip(windows.input_ids, windows.notes["word"], windows.tokens["tags"][0], strict=True)
        for ids, word, tag in rows:
            assert len(ids) <= room + 2
            assert ((word >= 0) == (tag >= 0)).all()
            for place in np.flatnonzero(word >= 0):
                assert word[place] not in seen
                assert spelled(VOCABULARY, [ids[place]]) == "a"  # the first letter
                assert LABELS[tag[place]] == tags[word[place]]
                seen[word[place]] = min(place - 1, len(ids) - 2 - place)
        assert sorted(seen) == list(range(count))
        assert bool(windows.remarks) == (len(tokens) > room)
        # Away from the ends of the sentence, what lies to both sides is a quarter of a window.
        starts = np.cumsum([0, *map(len, words)])
        for word, context in seen.items():
            if room <= starts[word] < len(tokens) - room:
                assert context >= room // 4 - 1


def test_windows_share_half_and_hold_all():
    windows = encode(TaggedExample("0", tuple("abcdefghijklmnopq")), max_length=8)
    parts = [ids[1:-1].tolist() for ids in windows.input_ids]
    assert all(one[3:] == other[: len(one[3:])] for one, other in pairwise(parts))
    joined = [*parts[0], *(piece for part in parts[1:] for piece in part[3:])]
    assert [VOCABULARY.pieces[i] for i in joined] == list("abcdefghijklmnopq")


@pytest.mark.parametrize(
    ("tags", "max_length", "message"),
    [
        (("O", "B-y"), 12, "example 1: the tag B-y is none of B-x, I-x, O"),
        (("O", None), 12, "1 of 2 examples have tags"),
        ((None, None), 3, "windows of 3 tokens leave no room for words"),
    ],
)
def test_bad_input(tags, max_length, message):
    examples = [
        TaggedExample(str(number), ("a",), tag and (tag,)) for number, tag in enumerate(tags)
    ]
    with pytest.raises(InputError, match=message):
        encode(*examples, max_length=max_length)
