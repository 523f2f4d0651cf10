"""Windows of choices, against what each context and choice should be by itself."""

import numpy as np
import pytest

from model.errors import InputError
from tasks.choices.encode import encode_choices
from tasks.choices.examples import ChoiceExample
from tasks.reading import Reading
from tests.spelling import spelled, speller

VOCABULARY = speller()
PAD, _, CLS, SEP, _ = VOCABULARY.special


def encode(*examples: ChoiceExample, max_length=10, **options):
    return encode_choices(examples, VOCABULARY, (), max_length, Reading(**options))


def example(context: str, *choices: str, label: int | None = None) -> ChoiceExample:
    return ChoiceExample(context, context, choices, label)


def texts(windows, number: int) -> list[tuple[str, str]]:
    """Context and choice of each that is there, told by the mask and the token types."""
    found = []
    ids = windows.input_ids[number]
    types, masks = (windows.tokens[n][0][number] for n in ("token_type_ids", "attention_mask"))
    assert ids.shape == types.shape == masks.shape
    for column, second, mask in zip(ids.T, types.T, masks.T, strict=True):
        count = int(mask.sum())
        assert mask[:count].all() and np.all(column[count:] == PAD) and not second[count:].any()
        if count:
            first, rest = column[:count][second[:count] == 0], column[:count][second[:count] == 1]
            assert (first[0], first[-1], rest[-1]) == (CLS, SEP, SEP)
            assert not np.any(np.diff(second[:count]) < 0)
            found.append((spelled(VOCABULARY, first[1:-1]), spelled(VOCABULARY, rest[:-1])))
    return found


def test_every_choice_stands_behind_the_context():
    windows = encode(example("ab", "c", "def", label=1), example("g", "h", "ij", "k", "l", label=3))
    assert texts(windows, 0) == [("ab", "c"), ("ab", "def")]
    assert texts(windows, 1) == [("g", "h"), ("g", "ij"), ("g", "k"), ("g", "l")]
    assert [ids.shape for ids in windows.input_ids] == [(8, 4), (6, 4)]
    assert windows.values["label"].tolist() == [1, 3]
    assert windows.values["label"].dtype == windows.input_ids[0].dtype == np.int32
    assert windows.example.tolist() == [0, 1]
    assert windows.lengths.tolist() == [8, 6]
    assert windows.sizes.tolist() == [6 + 8, 5 + 6 + 5 + 5]
    assert (windows.pad_id, windows.remarks) == (PAD, ())
    assert encode(example("ab", "c", "d")).values == {}


def test_a_batch_has_the_windows_of_its_rows():
    windows = encode(example("ab", "c", "def", label=0), example("g", "h", "ij", "k", label=2))
    batch = windows.gather(np.array([1, 0, 1]), 9)
    for row, number in enumerate((1, 0, 1)):
        ids, mask = windows.input_ids[number], windows.tokens["attention_mask"][0][number]
        assert np.array_equal(batch["input_ids"][row, : len(ids)], ids)
        assert np.array_equal(batch["attention_mask"][row, : len(ids)], mask)
        assert np.all(batch["input_ids"][row, len(ids) :] == PAD)
        assert not batch["attention_mask"][row, len(ids) :].any()
    assert batch["label"].tolist() == [2, 0, 2]


@pytest.mark.parametrize("room", [2, 3, 5, 9])
def test_the_context_is_cut_before_the_choice(room):
    for context in range(1, 12):
        for choice in range(1, 12):
            windows = encode(example("a" * context, "b" * choice, "c"), max_length=room + 3)
            kept = min(choice, room)
            assert texts(windows, 0) == [
                ("a" * min(context, room - kept), "b" * kept),
                ("a" * min(context, room - 1), "c"),
            ]
            longer = context + max(choice, 1) > room
            assert bool(windows.remarks) == longer
            if longer:
                assert str(windows.remarks[0]).startswith(
                    f"1 of 1 are longer than {room + 3} tokens"
                )


def test_what_cannot_be_read():
    with pytest.raises(InputError, match="windows of 4 tokens leave no room"):
        encode(example("a", "b", "c"), max_length=4)
    for long in ("head+tail", "windows"):
        with pytest.raises(InputError, match=f"by truncate only, and {long.replace('+', '.')} was"):
            encode(example("a", "b", "c"), long=long)
    with pytest.raises(InputError, match="1 of 2 examples have a label"):
        encode(example("a", "b", "c", label=0), example("b", "b", "c"))


@pytest.mark.oracle
def test_the_tokens_are_those_of_transformers():
    """As its example for SWAG, where nothing is cut, and where the context is longer."""
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast(tokenizer_object=VOCABULARY.tokenizer, pad_token="[PAD]")
    random = np.random.default_rng(0)
    for _ in range(20):
        words = ["".join(random.choice([*"abcdef "], size=n)) for n in (30, 5, 6, 1)]
        windows = encode(example(*words), max_length=20)
        expected = theirs(
            [words[0]] * 3, words[1:], truncation=True, max_length=20, padding="longest",
            return_token_type_ids=True,
        )  # fmt: skip
        for name, column in (("input_ids", windows.input_ids), *(
            (name, column) for name, (column, _) in windows.tokens.items()
        )):  # fmt: skip
            assert column[0].T.tolist() == np.array(expected[name], column[0].dtype).tolist()
