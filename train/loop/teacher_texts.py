"""Texts that a teacher writes for the training examples: sequence-level distillation.

They are written once, into a file of the run (Kim and Rush 2016, section 3.2). A run that is
stopped resumes behind the last line that is whole.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax

from data.storage.atomic import make_folder, writing
from data.vocabulary import Vocabulary
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.terminal import say
from model.typed import parse_json
from tasks.buckets import bucket_lengths
from tasks.predict import EVALUATION_ROWS, predictor
from tasks.task import Task
from train.command.signals import heeding, until_safe
from train.config import FinetuneConfig
from train.loop.folder import TEACHER_TEXTS
from train.update.parallel import Parallel

_TOGETHER = 16 * EVALUATION_ROWS
"""Examples between two writes."""


def with_teacher_texts(
    config: FinetuneConfig,
    checkpoint: Checkpoint,
    teacher: Seq2Seq,
    task: Task,
    examples: Sequence[Any],
    vocabulary: Vocabulary,
    data: str,
) -> tuple[Any, ...]:
    """The examples, each with the text that the teacher writes as its only reference.

    Args:
        config: of the run, in whose folder the texts are kept.
        checkpoint: the teacher's.
        teacher: its model.
        task: that both learn.
        examples: of training.
        vocabulary: of both.
        data: the fingerprint of the examples.

    Raises:
        InputError: the run has several processes, or the folder holds the texts of another teacher.
    """
    if jax.process_count() > 1:
        raise InputError(
            "--loss.form texts: the teacher's texts are written by a single process: run this on "
            "one machine"
        )
    kind = task.kind.of_search(config.search)
    generation = config.search.of(teacher.generation) if teacher.generation else None
    header = {
        "teacher": checkpoint.place,
        "data": data,
        "examples": len(examples),
        "generation": asdict(generation) if generation else None,
    }
    make_folder(config.output)
    file = config.output / TEACHER_TEXTS
    texts = _read(file, json.loads(json.dumps(header)))
    say(
        f"{checkpoint.name} writes {len(examples):,} texts, once, to {file}"
        + (f": {len(texts):,} are there" if texts else "")
    )
    if len(texts) < len(examples):
        reading = config.reading
        blank = [replace(example, references=None) for example in examples]
        whole = task.to_windows(blank, vocabulary, (), reading)
        parallel = Parallel(config.run)
        rows, place = parallel.divisible(EVALUATION_ROWS), heeding(parallel.place_rows)
        lengths, placed = bucket_lengths(whole.extents), parallel.replicate(teacher)
        while len(texts) < len(examples):
            part = blank[len(texts) : len(texts) + _TOGETHER]
            windows = task.to_windows(part, vocabulary, (), reading)
            ask = predictor(kind, windows, rows=rows, lengths=lengths, place=place)
            with until_safe():
                found = kind.predict(part, windows, ask(placed), ())
            new = [str(prediction["prediction"]) for prediction in found]
            _append(file, [{"id": e.id, "text": t} for e, t in zip(part, new, strict=True)])
            texts += new
            say(f"{len(texts):,} of {len(examples):,} texts are written")
    pairs = zip(examples, texts, strict=True)
    return tuple(replace(example, references=(text,)) for example, text in pairs)


def _read(file: Path, header: dict[str, Any]) -> list[str]:
    """The texts in the file; of a file that is not there the header is written.

    The rest of a line that a stop has cut is removed.
    """
    if not file.exists():
        _append(file, [header])
        return []
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    lines = [parse_json(line) for line in whole.decode().splitlines()]
    if not lines:
        file.unlink()
        return _read(file, header)
    if lines[0] != header:
        raise InputError(
            f"{file} holds the texts of another teacher, of other examples or of another search: "
            "delete it, or choose another folder with --output"
        )
    if len(whole) < len(content):
        with writing(file.parent, "--output"), file.open("r+b") as stream:
            stream.truncate(len(whole))
    return [line["text"] for line in lines[1:]]


def _append(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    with writing(file.parent, "--output"), file.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
