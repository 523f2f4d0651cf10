"""How the examples of any task become windows, and what is said about what did not fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data.vocabulary import Vocabulary
from tasks.catalogue import Task
from tasks.examples import Example
from tasks.questions.encode import encode_questions
from tasks.texts.encode import Long, encode_texts
from tasks.windows import Windows
from tasks.words.encode import encode_words


@dataclass(frozen=True)
class Reading:
    """How a text becomes what the model reads."""

    max_length: int | None = None
    """Tokens of a window, [CLS] and [SEP] included; by default those of the task."""
    long: Long = "truncate"
    """Longer texts: keep their beginning (`truncate`), beginning and end (`head+tail`), or all of
    them in several `windows`, whose logits are averaged."""
    overlap: int = 128
    """Tokens that neighbouring windows of a text share."""
    doc_stride: int = 128
    """Tokens from the start of one window to the next where answers are looked for."""
    max_question: int = 64
    """Tokens of a question; longer ones are cut."""

    def length(self, task: Task) -> int:
        """Tokens of a window of this task."""
        return task.max_length if self.max_length is None else self.max_length


def how_read(reading: Reading, task: Task) -> dict[str, Any]:
    """Those fields of a `Reading` that matter for a task, by name; the length is never None."""
    own = {"answers": ("doc_stride", "max_question"), "tags": ("overlap",)}
    rest = own.get(task.kind, ("long",) if reading.long != "windows" else ("long", "overlap"))
    return {"max_length": reading.length(task)} | {name: getattr(reading, name) for name in rest}


def encode(
    task: Task,
    examples: Sequence[Example],
    vocabulary: Vocabulary,
    reading: Reading,
    labels: tuple[str, ...],
) -> Windows:
    """The examples of a task as windows; `labels` are its classes in the model's order.

    Raises:
        InputError: an example or a setting does not fit.
    """
    length = reading.length(task)
    given: Any = examples  # of the type that belongs to the kind
    if task.kind == "answers":
        return encode_questions(
            given,
            vocabulary,
            max_length=length,
            doc_stride=reading.doc_stride,
            max_question=reading.max_question,
        )
    if task.kind == "tags":
        return encode_words(given, vocabulary, max_length=length, labels=labels)
    return encode_texts(
        given,
        vocabulary,
        max_length=length,
        long=reading.long,
        stride=reading.overlap,
        labels=() if task.kind == "regression" else labels,
    )


def remarks(
    name: str, task: Task, examples: int, windows: Windows, reading: Reading
) -> Iterator[str]:
    """Sentences about what did not fit: nothing is cut without being told."""
    length = reading.length(task)
    if windows.longer:
        whole = task.kind in ("answers", "tags") or reading.long == "windows"
        done = {
            "truncate": "their beginning is read",
            "head+tail": "their beginning and end are read",
            "windows": "read in several windows",
        }["windows" if whole else reading.long]
        yield (
            f"{name}: {windows.longer:,} of {examples:,} are longer than {length} tokens: {done}"
        )
    if windows.cut_questions:
        yield (
            f"{name}: {windows.cut_questions:,} questions are cut to {reading.max_question} tokens"
        )
    if windows.lost:
        yield f"{name}: {windows.lost:,} answers lie wholly in no window, and cannot be learned"
