import numpy as np
import pytest

from tasks.questions.answers import Candidate, predict_answers
from tasks.questions.encode import encode_questions
from tasks.questions.examples import Answer, QuestionExample
from tasks.reading import Reading
from tests.spelling import speller

LONG = "ab ce\u0301f, fab ce ghij klm."  # some texts are in it twice

READING = Reading(doc_stride=4, max_question=3)
VOCABULARY = speller(lowercase=True)  # the accent above the e is no piece of its own


def encode(*contexts: str, max_length=17):
    examples = [QuestionExample(str(i), "who", context) for i, context in enumerate(contexts)]
    return examples, encode_questions(examples, VOCABULARY, (), max_length, READING)


def random_logits(windows, seed=0, length=20):
    """Padded, and high where no answer may be."""
    random = np.random.default_rng(seed)
    made = random.normal(size=(2, len(windows), length)).astype(np.float32)
    for row, context in enumerate(windows.tokens["context"][0]):
        made[:, row, 1 : len(context)][:, ~context[1:]] += 50
        made[:, row, len(context) :] += 50
    return made


def by_brute_force(starts, ends, windows, contexts, max_answer):
    """All (score, text, start) of every example, best first, and its score of no answer."""
    found = [[] for _ in contexts]
    null = [np.inf] * len(contexts)
    for row, example in enumerate(windows.example):
        null[example] = min(null[example], float(starts[row][0]) + float(ends[row][0]))
        offsets, most = windows.notes["offsets"][row], windows.notes["most_context"][row]
        for first in range(len(offsets)):
            for last in range(first, min(first + max_answer, len(offsets))):
                if most[first] and offsets[first, 0] >= 0 and offsets[last, 0] >= 0:
                    text = contexts[example][offsets[first, 0] : offsets[last, 1]]
                    score = float(starts[row][first]) + float(ends[row][last])
                    found[example].append((score, text, int(offsets[first, 0])))
    return [sorted(spans, reverse=True) for spans in found], null


@pytest.mark.parametrize("max_answer", [1, 3, 30])
@pytest.mark.parametrize("n_best", [1, 20, 1000])
def test_the_best_spans_are_those_of_brute_force(n_best, max_answer):
    contexts = [LONG, "a", "xyz"]
    examples, windows = encode(*contexts)
    assert str(windows.remarks[0]).startswith("1 of 3 are longer than ")
    for seed in range(5):
        starts, ends = random_logits(windows, seed)
        expected, null = by_brute_force(starts, ends, windows, contexts, max_answer)
        found = predict_answers(
            starts, ends, windows, examples, n_best=n_best, max_answer=max_answer
        )
        for prediction, spans, no_answer, context in zip(
            found, expected, null, contexts, strict=True
        ):
            texts = {}
            for score, text, start in spans:
                texts.setdefault(text, (text, start, pytest.approx(score)))
            # A window gives its `n_best` spans, of which some may have the same text.
            some = len(prediction.candidates)
            assert min(n_best, len(texts)) - 5 <= some <= n_best
            assert [c[:3] for c in prediction.candidates] == list(texts.values())[:some]
            shares = np.exp([c.score for c in prediction.candidates])
            assert [c.probability for c in prediction.candidates] == pytest.approx(
                shares / shares.sum()
            )
            for candidate in prediction.candidates:
                end = candidate.start + len(candidate.text)
                assert candidate.text == context[candidate.start : end] != ""
            assert prediction.answer == prediction.candidates[0]
            assert prediction.no_answer == pytest.approx(no_answer - spans[0][0])


def test_the_threshold_decides_whether_there_is_an_answer():
    contexts = [LONG, "a"]
    examples, windows = encode(*contexts)
    starts, ends = random_logits(windows)
    starts[:, 0] += 2.0
    spans, null = by_brute_force(starts, ends, windows, contexts, 30)
    for number, (scores, no_answer) in enumerate(zip(spans, null, strict=True)):
        margin = no_answer - scores[0][0]
        for threshold, text in ((margin + 1e-3, scores[0][1]), (margin - 1e-3, "")):
            found = predict_answers(starts, ends, windows, examples, null_threshold=threshold)
            assert found[number].answer.text == text
            assert found[number].answer in found[number].candidates
            [nothing] = [c for c in found[number].candidates if c.text == ""]
            assert nothing[:3] == ("", 0, pytest.approx(no_answer))
            assert sum(c.probability for c in found[number].candidates) == pytest.approx(1)
        always = predict_answers(starts, ends, windows, examples)
        assert always[number].answer.text == scores[0][1]
        assert all(candidate.text for candidate in always[number].candidates)


def test_the_score_of_no_answer_is_the_least_over_the_windows():
    examples, windows = encode(LONG)
    starts = ends = np.zeros((len(windows), 20), np.float32)
    starts = starts.copy()
    starts[:, 0] = 5 + np.arange(len(windows))
    [prediction] = predict_answers(starts, ends, windows, examples)
    assert prediction.no_answer == 5


def test_equal_logits_give_the_first_and_shortest():
    examples, windows = encode(LONG, "xyz")
    equal = np.zeros((len(windows), 17), np.float32)
    found = predict_answers(equal, equal, windows, examples, n_best=3)
    assert [c.text for c in found[0].candidates] == ["a", "ab", "ab c"]
    assert found[1].answer[:3] == ("x", 0, 0.0)
    assert found[1].answer.probability == pytest.approx(1 / 3)
    # No answer must be better, not as good.
    found = predict_answers(equal, equal, windows, examples, null_threshold=0.0)
    assert [prediction.answer.text for prediction in found] == ["a", "x"]


@pytest.mark.parametrize("null_threshold", [None, 0.0])
def test_nothing_to_choose_from_is_no_answer(null_threshold):
    examples, windows = encode("", "\x01")
    logits = np.ones((len(windows), 17), np.float32)
    for prediction in predict_answers(
        logits, logits, windows, examples, null_threshold=null_threshold
    ):
        assert prediction.answer == Candidate("", 0, 2.0, 1.0)
        assert prediction.candidates == [prediction.answer]
        assert prediction.no_answer is None


def test_what_is_learned_is_what_is_predicted_across_borders_of_windows():
    answers = ["ab", "ce\u0301f", "fab", "ij klm.", "."]
    gold = [(Answer(answer, LONG.index(answer)),) for answer in answers]
    examples = [QuestionExample("", "who", LONG, answer) for answer in gold]
    windows = encode_questions(examples, VOCABULARY, (), 17, READING)
    assert not any("wholly in no window" in str(remark) for remark in windows.remarks)
    starts, ends = np.zeros((2, len(windows), 17), np.float32)
    rows = np.arange(len(windows))
    starts[rows, windows.values["start"]] = ends[rows, windows.values["end"]] = 9.0
    found = predict_answers(starts, ends, windows, examples)
    assert [prediction.answer.text for prediction in found] == answers
