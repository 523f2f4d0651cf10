"""The examples of a task, by split."""

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from model.errors import InputError
from model.ranges import Count, Range, check_settings
from tasks.catalogue import find_task
from tasks.formats.rows import read_examples
from tasks.sources import Source, folder_source, hub_source, own_files
from tasks.splits import Examples, absent, divide, draw, shared
from tasks.task import Task


@dataclass(frozen=True)
class TaskDataConfig:
    """Source of the examples of a task."""

    root: Path | None = None
    """A folder with the data set in its published format, or with several sets' folders; by
    default the set is taken from the hub."""
    train: Path | None = None
    """Your own training examples: csv, tsv, jsonl, json (an array) or parquet; for `tags` also
    words and tags in columns (CoNLL), for `answers` also SQuAD's json; each also .gz. Two texts may
    also be in two files, line by line: with `--data.text-field en --data.pair-field de`,
    `texts/train` is for texts/train.en and texts/train.de."""
    dev: Path | None = None
    """Your own development examples; by default a share of the training examples."""
    test: Path | None = None
    """Your own test examples, with or without labels."""
    text_field: str = "text"
    """The column of your own files that holds the text, for `tags` the words, for `choices` the
    context, beside a list `choices` or columns `choice0`, `choice1` and so on, or for `embeddings`
    the query, which may also be called `query`. For `extractive` and `summaries` the document, a
    text or a list of sentences, which may also be called `document` or `sentences`. For
    `translation` what is read, which may also be called `source`."""
    pair_field: str | None = None
    """The column that holds a second text, where texts come in pairs; for `embeddings` by default
    `document`, for `translation` the `target`, a text or a list of several people's."""
    label_field: str = "label"
    """The column that holds the class, the value, for `tags` the tags, for `choices` the place of
    the right one, from 0, or for `multilabel` a list of labels, which may also be in `labels`.
    `embeddings` need none; a `score`, how much the two texts are alike, makes them learn that. For
    `extractive` and `summaries` the summary, or a list of several people's, which may also be
    called `summary`; `labels`, a list of 0 and 1 for the sentences of a list, may say which are
    right."""
    label_fields: tuple[str, ...] = ()
    """Several columns instead of that one: for `multilabel` each has 0 or 1, and is called as its
    label; for `regression` each has a value."""
    train_limit: Count | None = None
    """At most so many training examples, drawn at random (always the same ones), with the classes
    in proportion."""
    dev_share: Annotated[float, Range(0, 0.5, above=True)] = 0.1
    """The share of the training examples that is kept for development where a set has no
    development split: whole groups (of one text, of questions about one context) and, if several
    have it, some of each class."""


@dataclass(frozen=True)
class TaskData:
    """Examples of a task, by split."""

    task: Task
    """With its `labels` and the settings of its kind, also where these depend on the data."""
    splits: dict[str, Examples]
    """`train`, `dev`, `test`, for MNLI also `dev_mismatched` and `test_mismatched`; a split that is
    not there, or was not asked for, is absent."""
    fingerprint: str
    """Hexadecimal; of the labels and of every example."""
    source: str
    """The folder, the files, or the hub's name and commit."""
    notes: tuple[str, ...]
    """Sentences on rows left out and splits divided."""


def open_task(
    name: str,
    config: TaskDataConfig,
    *,
    splits: Collection[str] | None = None,
    labels: tuple[str, ...] = (),
) -> TaskData:
    """The examples of a task.

    Training examples are the same whichever splits are asked for: where a set has no development
    split, a part of `train` is kept for it, as `tasks.splits` draws it. The classes of a user's own
    set are those of its training file, in order, or of all files read if it is not given.

    All `splits` must be there, and no others are read; by default those that are. `labels` are the
    classes that a user's own set may have; by default those that it has.

    Raises:
        InputError: no such task, flags that contradict each other, a split that is not there, or
            anything wrong in the data.
    """
    task = find_task(name)
    _check_flags(task, config)
    task = task.with_labels(labels or task.labels or config.label_fields)
    source = _open(task, config)
    divides = "dev" not in source.published and "train" in source.found
    there = tuple(source.found)
    if divides:
        there = ("train", "dev", *there[1:])
    wanted = there if splits is None else tuple(dict.fromkeys(splits))
    for split in wanted or (*source.published, "train")[:1]:
        if split not in there:
            raise InputError(_missing(task, source, split))

    learns_classes = task.kind.named_outputs and not task.labels
    divides &= not {"train", "dev"}.isdisjoint(wanted)
    examples: dict[str, Examples] = {}
    notes: list[str] = []
    if "train" in there and ("train" in wanted or divides or learns_classes):
        everything = examples["train"] = _read(task, source, "train", notes)
        if learns_classes:
            task = task.with_labels(task.kind.classes(everything))
        if task.own_files:
            task.kind.check_examples(everything, task.labels)
        if divides:
            examples["train"], examples["dev"] = divide(everything, config.dev_share, task.kind)
            notes.append(
                f"dev: {len(examples['dev']):,} of the {len(everything):,} training examples, "
                "drawn with seed 0, because there is no development split"
            )
    for split in wanted:
        if split not in examples:
            examples[split] = _read(task, source, split, notes)
    if learns_classes and not task.labels:
        task = task.with_labels(task.kind.classes(sum(examples.values(), ())))
    if task.own_files:
        read = examples.get("train") or sum(examples.values(), ())
        task = task.of_examples(read)
    if "train" in examples:
        others = {split: examples[split] for split in wanted if split != "train"}
        notes += shared(examples["train"], others, task.kind)
    if "train" in wanted:
        everything, limit = examples["train"], config.train_limit
        if limit is not None and limit < len(everything):
            examples["train"] = draw(everything, limit, task.kind)
            notes.append(f"train: {limit:,} of {len(everything):,} examples, drawn with seed 0")
        if "dev" in wanted:
            notes += absent({split: examples[split] for split in ("train", "dev")}, task.kind)
        notes += (f"train: {r}" for r in task.kind.remarks(examples["train"], task.labels))
    examples = {split: examples[split] for split in wanted}
    return TaskData(task, examples, _fingerprint(task, examples), source.name, tuple(notes))


def _read(task: Task, source: Source, split: str, notes: list[str]) -> Examples:
    rows, columns = source.found[split]()
    labelled = not split.startswith("test")
    incomplete = task.incomplete is not None
    examples, left_out = read_examples(rows, columns, task.labels, labelled, incomplete)
    if not examples:
        raise InputError(f"{source.name}: there are no examples in {source.published[split]}")
    if left_out:
        total = len(examples) + left_out
        notes.append(f"{split}: {left_out:,} of {total:,} left out: {task.incomplete}")
    remarks = Counter(remark for e in examples if (remark := getattr(e, "remark", "")))
    notes += (f"{split}: {n:,} of {len(examples):,} {what}" for what, n in remarks.items())
    return examples


def _fingerprint(task: Task, examples: dict[str, Examples]) -> str:
    """Hexadecimal: of what was read, from wherever and however that was."""
    digest = hashlib.sha256(repr((task.kind.name, task.labels)).encode())
    for split, those in examples.items():
        digest.update(f"\n{split}\n".encode())
        for example in those:
            digest.update(repr(example).encode())
    return digest.hexdigest()


def _open(task: Task, config: TaskDataConfig) -> Source:
    files = {"train": config.train, "dev": config.dev, "test": config.test}
    if task.own_files:
        given = {split: file.expanduser() for split, file in files.items() if file}
        fields = {name: getattr(config, name) for name in task.kind.fields}
        return own_files(task.kind, given, fields)
    if config.root is None:
        return hub_source(task)
    root = config.root.expanduser()
    if not root.is_dir():
        raise InputError(
            f"--data.root {root} is no folder: name the one with the files of {task.title}"
        )
    return folder_source(task, root)


def _missing(task: Task, source: Source, split: str) -> str:
    if task.own_files:
        needed = f"--data.{split}" if split != "dev" else "--data.train or --data.dev"
        return f"the task {task.name} reads your own files: give {needed}"
    origin = "train" if split == "dev" and "dev" not in source.published else split
    if origin not in source.published:
        return f"{task.title} has no {split} split, only {', '.join(source.published)}"
    return (
        f"{source.name} does not hold the {origin} split of {task.title}: looked for "
        f"{source.published[origin]}"
    )


def _check_flags(task: Task, config: TaskDataConfig) -> None:
    check_settings(config, "--data.")
    own = ["train", "dev", "test"]
    fields = ["text_field", "pair_field", "label_field", "label_fields"]
    meant = [*own, *task.kind.fields] if task.own_files else ["root"]
    for name in ["root", *own, *fields]:
        if name not in meant and getattr(config, name) != getattr(TaskDataConfig(), name):
            flags = ", ".join(map(_flag, meant))
            raise InputError(
                f"{_flag(name)} means nothing for {task.name}, which is read from "
                f"{flags if task.own_files else f'the hub or {flags}'}"
            )
    several = config.label_fields
    if several and config.label_field != TaskDataConfig().label_field:
        raise InputError(
            "--data.label-field names one column, --data.label-fields several: give one"
        )
    if len({*several}) < len(several):
        raise InputError(f"--data.label-fields {' '.join(several)}: a column is named twice")


def _flag(field: str) -> str:
    return f"--data.{field.replace('_', '-')}"
