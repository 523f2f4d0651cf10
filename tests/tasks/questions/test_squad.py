import random

import pytest

from tasks.questions.kind import Answers
from tasks.questions.squad import exact_match, normalize_answer, squad_breakdown, squad_f1


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Quick, brown fox!", "quick brown fox"),
        ("a an the", ""),
        ("A.B. theatre", "ab theatre"),
        ("x–b (c)", "x–b c"),  # only ASCII punctuation goes
        ("the–end", "–end"),
        ("İ\u00a0É", "i̇ é"),
    ],
)
def test_normal_form(text, normal):
    assert normalize_answer(text) == normal


def scores(gold: list[str], predicted: str) -> tuple[float, float]:
    return exact_match([gold], [predicted]), squad_f1([gold], [predicted])


def test_a_question_is_scored_by_the_closest_of_its_answers():
    assert scores(["the Eiffel Tower", "a tower in Paris"], "Eiffel tower.") == (1, 1)
    # 2 words of 4 and of 3 are the same: precision 1/2, recall 2/3.
    gold = ["tower in Paris", "Rome"]
    assert scores(gold, "Paris has a tall tower") == (0, pytest.approx(4 / 7))
    assert scores(gold, "") == (0, 0)
    # A word counts as often as it is there.
    assert scores(["no no yes"], "no no no") == (0, pytest.approx(4 / 6))


def test_answers_of_punctuation_alone_count_in_version_1_and_not_in_2():
    assert scores(["x", "."], "") == (1, 0)
    assert scores(["."], "the") == (1, 0)
    gold = [["x", "."], ["."], []]
    assert exact_match(gold, ["", "", ""]) == pytest.approx(2 / 3)
    assert squad_f1(gold, ["", "the", "!"]) == pytest.approx(2 / 3)
    assert squad_f1(gold, ["x", "y", "z"]) == pytest.approx(1 / 3)


def test_questions_with_and_without_an_answer_differ():
    gold = [["one two"], ["three"], [], [], []]
    predicted = ["one", "Three", "", "four", "the"]
    assert exact_match(gold, predicted) == pytest.approx(3 / 5)
    assert squad_f1(gold, predicted) == pytest.approx((2 / 3 + 1 + 1 + 0 + 1) / 5)
    assert squad_breakdown(gold, predicted) == pytest.approx(
        {
            "has_answer_exact_match": 1 / 2,
            "has_answer_squad_f1": (2 / 3 + 1) / 2,
            "no_answer_exact_match": 2 / 3,
        }
    )
    assert squad_breakdown([["x"], ["y"]], ["x", ""]) == {}
    assert squad_breakdown([[], []], ["x", ""]) == {}


@pytest.mark.parametrize(
    ("gold", "predicted", "collapsed"),
    [([["a b"], []], ["", ""], 1), ([["a b"], []], ["", "b"], 0), ([[], []], ["", ""], 0)],
)
def test_empty_answers_are_a_collapse_unless_all_are_right(gold, predicted, collapsed):
    assert Answers().measure((), (), gold, predicted) == {"collapsed": collapsed}


@pytest.mark.oracle
def test_the_rules_of_the_official_script_for_version_1():
    """As torchmetrics has them, in float32: perfect, empty, random and half-right answers.

    Not where an answer is of articles and punctuation alone: there it has the rules of version 2.
    """
    from torchmetrics.functional.text import squad

    draw = random.Random(0)
    words = [
        "the",
        "a",
        "An",
        "tower",
        "Tower,",
        "Paris'",
        "(Rome)",
        "1889.",
        "naïve",
        "–",
        "U.S.",
        "İzmir",
        "don't",
        "'",
        "x-y",
    ]

    def text(longest):
        return " ".join(draw.choices(words, k=draw.randint(1, longest)))

    gold = [[f"{text(4)} tower" for _ in range(draw.randint(1, 3))] for _ in range(500)]
    for predicted in (
        [draw.choice(answers) for answers in gold],
        ["" for _ in gold],
        [text(6) for _ in gold],
        [" ".join(answers[0].split()[:2]) for answers in gold],
    ):
        theirs = squad(
            [{"id": str(n), "prediction_text": text} for n, text in enumerate(predicted)],
            [
                {"id": str(n), "answers": {"text": answers, "answer_start": [0] * len(answers)}}
                for n, answers in enumerate(gold)
            ],
        )
        assert 100 * exact_match(gold, predicted) == pytest.approx(float(theirs["exact_match"]))
        assert 100 * squad_f1(gold, predicted) == pytest.approx(float(theirs["f1"]), rel=1e-5)
