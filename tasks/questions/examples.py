"""Questions about a text with their answers, and the columns of a row that hold them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from data.rows import Row, require_cell
from model.errors import InputError
from tasks.formats.rows import text_cell


class Answer(NamedTuple):
    """A part of the context: `context[start : start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True)
class QuestionExample:
    """A question whose answer is a part of the context, or that the context does not answer."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] | None = None
    """What annotators gave; empty: they found none. None in a test set without answers."""


@dataclass(frozen=True)
class QuestionColumns:
    """Rows with `question`, `context`, and `answers`, each a `text` and its `answer_start`.

    In a table it may be one `answer` with its `answer_start`, which is empty where there is none.
    SQuAD 2.0's `is_impossible` may be there, and must then agree with the answers.
    """

    def example(
        self, row: Row, number: int, labels: tuple[str, ...], labelled: bool
    ) -> QuestionExample:
        """As `tasks.formats.rows.Columns` has it.

        Raises:
            InputError: as there, or an answer is not in its context at the given place.
        """
        question, context = text_cell(row, ("question",)), text_cell(row, ("context",))
        if labelled:
            require_cell(row, ("answers", "answer"))
        answers = _answers(row)
        if answers and _impossible(row):
            raise InputError(
                f"{row.place}: is_impossible is true, and there is the answer {answers[0].text!r}: "
                "set it to false, or leave out the answers"
            )
        if answers == () and labelled and _impossible(row) is False:
            raise InputError(
                f"{row.place}: is_impossible is false, and there is no answer: set it to true, or "
                "give an answer"
            )
        for text, start in answers or ():
            if start < 0 or context[start : start + len(text)] != text:
                raise InputError(
                    f"{row.place}: the answer {text!r} is not in its context at {start}, where "
                    f"there is {context[max(start, 0) : max(start, 0) + len(text)]!r}"
                )
        return QuestionExample(str(row.cells.get("id", number)), question, context, answers)


def _answers(row: Row) -> tuple[Answer, ...] | None:
    cells = row.cells
    try:
        if cells.get("answers") is not None:
            answers = cells["answers"]
            if isinstance(answers, dict):  # the hub has a list of texts and one of starts
                pairs = list(zip(answers["text"], answers["answer_start"], strict=True))
            else:
                pairs = [(answer["text"], answer["answer_start"]) for answer in answers]
        elif "answer" in cells:
            pairs = [(cells["answer"], cells["answer_start"])] if cells["answer"] else []
        else:
            return None
        return tuple(_answer(text, start) for text, start in pairs)
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{row.place}: each answer should have a text and its answer_start, the number of "
            "characters before it in the context"
        ) from None


def _impossible(row: Row) -> bool | None:
    value = row.cells.get("is_impossible")
    if value in (None, ""):
        return None
    name = str(value).lower()
    if name not in ("true", "false"):
        raise InputError(f"{row.place}: is_impossible is {value!r}: give true or false")
    return name == "true"


def _answer(text: Any, start: Any) -> Answer:
    if not isinstance(text, str) or not text or not isinstance(start, int | str):
        raise ValueError
    return Answer(text, int(start))
