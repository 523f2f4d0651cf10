import numpy as np
import pytest

from model.errors import InputError
from tasks.questions.encode import encode_questions
from tasks.questions.examples import Answer, QuestionExample
from tasks.reading import Reading
from tests.spelling import spelled, speller

PAD, _, CLS, SEP, _ = speller().special

UNLEARNABLE = "have an answer that lies wholly in no window, and cannot be learned"


def ask(context: str, *answers: str, question: str = "who", **options) -> QuestionExample:
    """A question with answers that are the first such strings in the context."""
    given = tuple(Answer(answer, context.index(answer)) for answer in answers)
    return QuestionExample("q", question, context, given, **options)


def encode(*examples, vocabulary=None, max_length=384, **options):
    return encode_questions(examples, vocabulary or speller(), (), max_length, Reading(**options))


def answer_of(windows, context: str, row: int = 0) -> str:
    """The context's characters from the start to the end that are to be learned."""
    offsets = windows.notes["offsets"][row]
    start, end = (windows.values[name][row] for name in ("start", "end"))
    return context[offsets[start, 0] : offsets[end, 1]]


def test_a_window():
    windows = encode(ask("it is me.", "is me", question="who?"), max_length=30, max_question=10)
    [ids] = windows.input_ids
    assert (ids[0], ids[5], ids[-1]) == (CLS, SEP, SEP)
    assert spelled(speller(), ids[1:5]) == "who?"
    assert spelled(speller(), ids[6:-1]) == "itisme."
    assert windows.tokens["token_type_ids"][0][0].tolist() == [0] * 6 + [1] * 8
    assert windows.tokens["context"][0][0].tolist() == [False] * 6 + [True] * 7 + [False]
    assert windows.notes["most_context"][0].tolist() == [False] * 6 + [True] * 7 + [False]
    offsets = [[-1, -1]] * 6 + [[i, i + 1] for i in (0, 1, 3, 4, 6, 7, 8)] + [[-1, -1]]
    assert windows.notes["offsets"][0].tolist() == offsets
    assert (windows.values["start"].tolist(), windows.values["end"].tolist()) == ([8], [11])
    dtypes = {
        "input_ids": np.int32,
        **{"token_type_ids": np.int32, "context": bool, "start": np.int32, "end": np.int32},
        "attention_mask": bool,
    }
    batch = windows.gather(np.array([0]), 16)
    assert {name: array.dtype for name, array in batch.items()} == dtypes
    assert not batch["context"][0, 13:].any()


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("café Zoé is.", "Zoé"),
        ("cafe\u0301 Zoe\u0301 is.", "Zoe\u0301"),  # decomposed: the mark belongs to the answer
        ("a 日本語 b", "本"),
        ("a 日本語b", "日本語b"),
        ("see 😀👨\u200d👩\u200d👧 here", "😀👨\u200d👩\u200d👧"),
        ("\x01\ufeffa\u200bb\u200b c", "c"),
        ("in İstanbul, İi", "İi"),  # lowercased, İ is two characters
        ("ΟΔΟΣ ΣΑΣ", "ΣΑΣ"),
        ("half \ud800 a pair", "pair"),
        ("x [SEP] y", "y"),
        ("\u0301b a\u0323\u0301 b", "a\u0323\u0301"),
        ("\u1112\u1161\u11ab b", "\u1112\u1161\u11ab"),
    ],
)
@pytest.mark.parametrize("lowercase", [True, False])
def test_offsets_are_those_of_the_original_characters(context, answer, lowercase):
    vocabulary = speller("İ", "##i̇", lowercase=lowercase)
    windows = encode(ask(context, answer), vocabulary=vocabulary)
    assert answer_of(windows, context) == answer
    offsets = windows.notes["offsets"][0]
    offsets = offsets[offsets[:, 0] >= 0]
    assert (offsets[:, 0] < offsets[:, 1]).all()
    assert (np.diff(offsets, axis=0) >= 0).all()


def test_answers_within_a_piece_are_the_whole_piece():
    windows = encode(ask("in 1999s", "9s"), vocabulary=speller("1999"), max_length=80)
    assert answer_of(windows, "in 1999s") == "1999s"


def test_windows_of_a_long_context():
    context = "abcdefghij" * 3
    answers = [Answer(context[start : start + 5], start) for start in range(26)]
    examples = [QuestionExample("q", "who", context, (answer,)) for answer in answers]
    options = {"max_length": 17, "doc_stride": 4, "max_question": 3}
    windows = encode(*examples, **options)  # parts of 17 - 3 - 3 tokens
    firsts = [0, 4, 8, 12, 16, 20]
    assert windows.example.tolist() == np.repeat(np.arange(26), len(firsts)).tolist()
    for row, number in enumerate(windows.example):
        first = firsts[row % len(firsts)]
        last = min(first + 11, 30)
        inside = windows.tokens["context"][0][row]
        assert windows.notes["offsets"][row][inside][:, 0].tolist() == list(range(first, last))
        gold = answers[number]
        if first <= gold.start and gold.start + 5 <= last:
            assert answer_of(windows, context, row) == gold.text
            assert windows.values["start"][row] == 5 + gold.start - first
        else:
            assert windows.values["start"][row] == windows.values["end"][row] == 0
    # Each token has most context in one window.
    for number in range(26):
        notes = zip(*(windows.notes[name] for name in ("offsets", "most_context")), strict=True)
        parts = zip(notes, windows.example, strict=True)
        best = [offsets[most, 0] for (offsets, most), example in parts if example == number]
        assert np.concatenate(best).tolist() == list(range(30))
    assert [*map(str, windows.remarks)] == [
        "26 of 26 are longer than 17 tokens: read in several windows"
    ]


def test_answers_that_lie_in_no_window_are_counted():
    context = "abcdefghij" * 3
    examples = (
        ask(context, "cdefghija"),  # from 2 to 11, across the border at 8 and longer than 4
        ask(context, "ab"),
        ask(context),
        ask("a \x01 b", "\x01"),  # no token at all
    )
    windows = encode(*examples, max_length=14, doc_stride=4, max_question=3)
    found = map(str, windows.remarks)
    assert f"2 of 4 {UNLEARNABLE}" in found
    assert not windows.values["start"][windows.example == 0].any()
    assert windows.values["start"][windows.example == 1].any()


def test_questions_are_cut_and_counted():
    questions = ["a" * 5, "a" * 6, "", "\x01"]
    examples = [QuestionExample("q", question, "b") for question in questions]
    windows = encode(*examples, max_length=9, max_question=5)
    assert [*map(str, windows.remarks)] == ["1 of 4 questions are cut to 5 tokens"]
    assert [len(ids) - 4 for ids in windows.input_ids] == [5, 5, 0, 0]
    assert windows.values == {}


def test_a_context_without_tokens_is_one_window():
    windows = encode(ask(""), ask("\x01 "), QuestionExample("q", "who", "", (Answer("", 0),)))
    assert [ids.tolist()[-2:] for ids in windows.input_ids] == [[SEP, SEP]] * 3
    assert not any(context.any() for context in windows.tokens["context"][0])
    assert windows.values["start"].tolist() == [0, 0, 0]
    assert windows.notes["offsets"][0].shape == (len(windows.input_ids[0]), 2)
    assert [*map(str, windows.remarks)] == [f"1 of 3 {UNLEARNABLE}"]


def test_only_the_first_answer_is_learned():
    context = "me and you"
    assert answer_of(encode(ask(context, "you", "me")), context) == "you"


@pytest.mark.parametrize(("length", "question"), [(64, 32), (128, 64), (384, 64)])
def test_questions_have_half_of_a_short_window_at_most(length, question):
    """A model of few positions is given shorter windows, and then there has to be room in them."""
    windows = encode(ask("a story", "story", question="who " * 100), max_length=length)
    before = windows.tokens["context"][0][0].argmax()
    assert before == question + 2  # [CLS] question [SEP]


@pytest.mark.parametrize(
    ("examples", "options", "message"),
    [
        ([ask("a", "a"), QuestionExample("q", "who", "a")], {}, "1 of 2 examples have answers"),
        ([ask("a")], {"max_length": 67, "max_question": 64}, "questions of 64 .* windows of 67"),
        ([ask("a")], {"doc_stride": 0}, "every 0"),
        ([ask("a")], {"max_question": 0}, "questions of 0"),
    ],
)
def test_bad_input(examples, options, message):
    with pytest.raises(InputError, match=message):
        encode(*examples, **options)


def test_a_context_is_tokenised_once(monkeypatch):
    context = "a long story " * 10
    examples = [ask(context, "story", question=f"what {i}") for i in range(50)]
    calls = []
    monkeypatch.setattr(
        "tasks.questions.encode._whole_characters",
        lambda text, offsets: calls.append(text) or offsets,
    )
    encode(*examples)
    assert calls == [context]
