import random
from typing import Any

import numpy as np
import pytest

from model.errors import InputError
from tasks.multilabel.kind import Multilabel
from tasks.reading import Reading
from tasks.texts.examples import TextExample
from tasks.texts.kind import Classification, TextKind
from tasks.values.kind import Regression, SeveralValues
from tests.spelling import spelled, speller

VOCABULARY = speller()
CLASSES = Classification()
PAD, _, CLS, SEP, _ = VOCABULARY.special


def encode(
    *examples: TextExample, max_length=10, labels=(), kind: TextKind = CLASSES, **options: Any
):
    return kind.to_windows(examples, VOCABULARY, labels, max_length, Reading(**options))


def text(characters: str, label: Any = None) -> TextExample:
    return TextExample(characters, characters, label=label)


def words(windows) -> list[str]:
    """What stands between [CLS] and [SEP] of each window."""
    for ids in windows.input_ids:
        assert (ids[0], ids[-1], ids.dtype) == (CLS, SEP, np.int32)
    return [spelled(VOCABULARY, ids[1:-1]) for ids in windows.input_ids]


def test_a_text_and_a_pair():
    single = encode(text("ab c"))
    assert words(single) == ["abc"]
    assert single.tokens["token_type_ids"][0][0].tolist() == [0] * 5
    pair = encode(TextExample("0", "ab c", "de"))
    assert words(pair) == ["abc[SEP]de"]
    assert pair.tokens["token_type_ids"][0][0].tolist() == [0] * 5 + [1] * 3
    assert (pair.pad_id, pair.values, pair.remarks) == (PAD, {}, ())


def test_texts_without_tokens_and_with_halves_of_surrogate_pairs():
    assert words(encode(text(""), text("\x01"), text("a\ud800b"))) == ["", "", "ab"]
    assert words(encode(TextExample("0", "", "a"), TextExample("1", "", ""))) == [
        "[SEP]a",
        "[SEP]",
    ]


@pytest.mark.parametrize("room", [2, 3, 4, 5, 10, 11])
def test_pairs_are_cut_where_they_are_longest(room):
    for first in range(13):
        for second in range(13):
            pair = TextExample("0", "a" * first, "b" * second)
            windows = encode(pair, max_length=room + 3)
            kept = words(windows)[0].split("[SEP]")
            a, b = len(kept[0]), len(kept[1])
            assert a + b == min(room, first + second)
            assert bool(windows.remarks) == (first + second > room)
            # Only the longer one is cut, or both to halves.
            if first + second > room:
                assert (a == first and b > a) or (b == second and a > b) or abs(a - b) <= 1
                assert (a > b) <= (first > second)
                assert (b > a) <= (first <= second)


def test_head_and_tail():
    letters = "abcdefghijklmnopqrst"
    assert words(encode(text(letters), max_length=12, long="head+tail")) == ["abc" + letters[-7:]]
    assert words(encode(text(letters), max_length=22, long="head+tail")) == [letters]
    many = letters * 60
    long = encode(text(" ".join(many)), max_length=512, long="head+tail")
    assert words(long) == [many[:128] + many[-382:]]
    cut = "1 of 1 are longer than 512 tokens: their beginning and end are read"
    assert [*map(str, long.remarks)] == [cut]


@pytest.mark.parametrize(("max_length", "overlap"), [(3, 0), (6, 3), (10, 2), (10, 0)])
def test_windows_hold_every_token_and_share_the_overlap(max_length, overlap):
    for count in range(1, 30):
        whole = "abcdefghijklmnopqrstuvwxyz0123456789"[:count]
        options = {"max_length": max_length, "long": "windows", "overlap": overlap}
        windows = encode(text("x"), text(whole, None), **options)
        parts = words(windows)[1:]
        assert windows.example.tolist() == [0] + [1] * len(parts)
        assert bool(windows.remarks) == (len(parts) > 1)
        assert all(len(part) == max_length - 2 for part in parts[:-1])
        joined = parts[0]
        for part in parts[1:]:
            assert joined[len(joined) - overlap :] == part[:overlap]
            joined += part[overlap:]
        assert joined == whole


@pytest.mark.parametrize(("room", "shared"), [(1, 0), (7, 3), (8, 4), (126, 63), (510, 128)])
def test_the_default_overlap_fits_any_window(room, shared):
    windows = encode(text(" ".join(["abcdefghij" * 6] * 10)), max_length=room + 2, long="windows")
    whole = "abcdefghij" * 60
    assert [*map(str, windows.remarks)] == [
        f"1 of 1 are longer than {room + 2} tokens: "
        f"read in several windows that share {shared} tokens"
    ]
    first, second = words(windows)[:2]
    assert (first, second) == (whole[:room], whole[room - shared :][: len(second)])


def test_truncate_counts_what_it_cuts():
    windows = encode(text("abcdefgh"), text("abcdefghi"), text("a" * 50))
    assert words(windows) == ["abcdefgh", "abcdefgh", "a" * 8]
    assert [*map(str, windows.remarks)] == [
        "2 of 3 are longer than 10 tokens: their beginning is read"
    ]


def test_classes_go_by_name_and_follow_their_windows():
    options: Any = {"long": "windows", "overlap": 0, "max_length": 4}
    examples = text("abcd", "no"), text("ab", "yes"), text("abcde", "yes")
    windows = encode(*examples, labels=("yes", "no"), **options)
    assert windows.example.tolist() == [0, 0, 1, 2, 2, 2]
    label = windows.values["label"]
    assert (label.tolist(), label.dtype) == ([1, 1, 0, 0, 0, 0], np.int32)


def test_values_are_numbers():
    label = encode(text("a", 2.5), text("b", 3.0), kind=Regression()).values["label"]
    assert (label.tolist(), label.dtype) == ([2.5, 3.0], np.float32)
    assert encode(text("a"), kind=Regression()).values == {}


def test_several_labels_and_values_go_by_name():
    """In the model's order, which is not that of the example."""
    labels = ("x", "y", "z")
    several = [text("a", ("y", "x")), text("b", ()), text("c", ("z",))]
    label = encode(*several, labels=labels, kind=Multilabel()).values["label"]
    assert (label.tolist(), label.dtype) == ([[1, 1, 0], [0, 0, 0], [0, 0, 1]], np.int32)
    values = [text("a", {"z": 2.5, "y": 1.0, "x": -1.0}), text("b", {"x": 0.0, "z": 3.0, "y": 4.0})]
    label = encode(*values, labels=labels, kind=SeveralValues()).values["label"]
    assert (label.tolist(), label.dtype) == ([[-1, 1, 2.5], [0, 4, 3]], np.float32)


@pytest.mark.parametrize(
    ("examples", "options", "message"),
    [
        ([text("a", "si")], {"labels": ("yes", "no")}, "example a: .*'si' is none of yes, no"),
        (
            [text("a", ("yes", "si"))],
            {"labels": ("yes", "no"), "kind": Multilabel()},
            "example a: .*'si' is none of yes, no",
        ),
        ([text("a", "yes"), text("b")], {"labels": ("yes",)}, "1 of 2 examples have a label"),
        ([text("a"), TextExample("b", "b", "c")], {}, "1 of 2 examples have a second text"),
        ([TextExample("b", "b", "c")], {"long": "windows"}, "truncate only"),
        ([TextExample("b", "b", "c")], {"long": "head+tail"}, "truncate only"),
        ([TextExample("b", "b", "c")], {"max_length": 4}, "windows of 4 tokens leave no room"),
        ([text("a")], {"long": "windows", "overlap": 8}, "overlap below 8"),
    ],
)
def test_bad_input(examples, options, message):
    with pytest.raises(InputError, match=message):
        encode(*examples, **options)


@pytest.mark.parametrize("long", ["truncate", "windows", "hierarchy"])
def test_windows_without_room_for_text(long):
    reading = Reading(long=long)
    kind = CLASSES.of_reading(reading)
    with pytest.raises(InputError, match=r"2 tokens leave no room .* --reading.max-length of 3 or"):
        kind.to_windows([text("ab", "x")], VOCABULARY, ("x", "y"), 2, reading)
    assert len(kind.to_windows([text("a", "x")], VOCABULARY, ("x", "y"), 3, reading)) == 1


@pytest.mark.oracle
@pytest.mark.parametrize("max_length", [16, 17])
def test_ids_are_those_of_transformers(max_length):
    from transformers import BertTokenizer

    pieces = VOCABULARY.tokenizer.get_vocab()
    theirs = BertTokenizer(vocab=pieces, do_lower_case=False)
    draw = random.Random(0)
    made = ["".join(draw.choices("abc d.é日\x01", k=draw.randrange(30))) for _ in range(800)]
    # Transformers takes an empty second text for none; here it is one without tokens.
    pairs = [TextExample("", a, b or "a") for a, b in zip(made[::2], made[1::2], strict=True)]
    for examples in ([text(a) for a in made], pairs):
        windows = encode(*examples, max_length=max_length)
        for ids, types, example in zip(
            windows.input_ids, windows.tokens["token_type_ids"][0], examples, strict=True
        ):
            expected = theirs(example.text, example.pair, truncation=True, max_length=max_length)
            assert ids.tolist() == expected["input_ids"]
            assert types.tolist() == expected["token_type_ids"]
