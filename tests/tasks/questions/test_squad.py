import random
import string
import unicodedata

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


EIN = ["ein", "eine", "einen", "einem", "einer", "eines"]
ARTICLES = {
    "ar": (),
    "de": ["der", "die", "das", "den", "dem", "des", *EIN],
    "en": ["a", "an", "the"],
    "es": ["el", "la", "los", "las", "un", "una", "unos", "unas"],
    "hi": (),
    "vi": ["của", "là", "cái", "chiếc", "những"],
    "zh": (),
}
LETTERS = {
    "ar": "القاهرة في لبنان ؟،.",
    "de": "der Dom eines é € ° „“–.,'-_2",
    "en": "a the an b ’s €.-",
    "es": "el uno ¿la? ñ° -.",
    "hi": "राष्ट्रपति। के ॥ a-1",
    "vi": "Cái nhà của tôi là…°-",
    "zh": "北京 2008年。《the Rome》，一\u9fa5\u9fa6ー",
}


def words_by_hand(text: str, language: str) -> list[str]:
    """The words of an answer by MLQA's rules, a character at a time."""
    kept = [c for c in text.lower() if c not in string.punctuation]
    kept = [c for c in kept if unicodedata.category(c)[0] != "P"]
    start = 0
    while start < len(kept):
        end = start
        while end < len(kept) and (kept[end].isalnum() or kept[end] == "_"):
            end += 1
        if "".join(kept[start:end]) in ARTICLES[language]:
            kept[start:end] = " " * (end - start)
        start = end + 1
    for place in range(len(kept) - 1):
        if language == "ar" and kept[place : place + 2] == ["\u0627", "\u0644"]:
            kept[place : place + 2] = "  "
    words = [""]
    for c in kept:
        alone = language == "zh" and 0x4E00 <= ord(c) <= 0x9FA5
        if alone or c.isspace():
            words += [c.strip(), ""]
        else:
            words[-1] += c
    return [word for word in words if word]


def f1_by_hand(gold: list[str], predicted: list[str]) -> float:
    left = list(gold)
    for word in predicted:
        if word in left:
            left.remove(word)
    same = len(gold) - len(left)
    precision, recall = (same / max(len(side), 1) for side in (predicted, gold))
    return 2 * precision * recall / (precision + recall) if same else 0.0


@pytest.mark.parametrize("language", LETTERS)
def test_the_rules_for_answers_in_a_language(language):
    """Random answers of letters, articles and punctuation, and what is wrong with them."""
    draw = random.Random(0)
    parts = [*LETTERS[language], *LETTERS[language].split(), *ARTICLES[language], " ", " "]
    texts = ["".join(draw.choices(parts, k=draw.randint(1, 8))) for _ in range(300)]
    golds = [[text, draw.choice(texts)] for text in texts]
    predicted = [
        draw.choice([gold[1], text[2:], draw.choice(texts)])
        for text, gold in zip(texts, golds, strict=True)
    ]
    exact, f1 = [], []
    for gold, text in zip(golds, predicted, strict=True):
        words = words_by_hand(text, language)
        assert normalize_answer(text, language) == " ".join(words)
        sides = [words_by_hand(answer, language) for answer in gold]
        exact.append(words in sides)
        f1.append(max(f1_by_hand(side, words) for side in sides))
    assert exact_match(golds, predicted, language) == pytest.approx(sum(exact) / 300)
    assert squad_f1(golds, predicted, language) == pytest.approx(sum(f1) / 300)
    assert 0.05 < sum(f1) / 300 < 0.95
