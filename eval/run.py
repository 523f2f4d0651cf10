"""Scores of a fine-tuned model on a task: any checkpoint, ours or Hugging Face's.

    python -m eval.run runs/finetune-sst2/model --task sst2
    python -m eval.run runs/finetune-mnli/model --task mnli --data.root glue --split dev
    python -m eval.run runs/finetune-mnli/model --task xnli-de --split test
    python -m eval.run textattack/bert-base-uncased-SST-2 --task sst2 --labels negative positive
    python -m eval.run runs/finetune-rte/model --task rte --data.root glue --split test
    python -m eval.run my-model --task classification --data.test reviews.csv
    python -m eval.run my-model/onnx/model_quantized.onnx --task sst2

It leaves a folder with every prediction (jsonl), the metrics, also by class, and settings
(results.json), the confusion matrix of a classifier (png; csv for many classes), and the errors it
was surest of (md). For the test sets of GLUE, whose answers are kept back, it is the file to hand
in at gluebenchmark.com.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from data.storage.atomic import make_folder, write_text, writing
from data.storage.mirror import on_disk
from data.storage.provenance import provenance, write_json_atomic
from data.storage.run_folder import CONFIG, read_run_config
from data.tokenizer import load_vocabulary
from data.vocabulary import Vocabulary
from eval.export.runtime import FOLDER, OnnxModel, find_program, load_program, open_program
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.hf.config import read_settings
from model.pretrained import load
from model.ranges import check_settings
from model.terminal import say
from model.typed import as_type
from report.card import add_scores
from report.naming import NAMES, in_full, with_interval
from report.predictions.classes import class_table
from report.predictions.confusion import write_confusion
from report.predictions.mistakes import write_errors
from report.predictions.submission import FILES, write_submission
from report.tables import terminal_table
from tasks.catalogue import find_task
from tasks.model import check_order, fit_reading, load_for_task, only_numbered, spelled
from tasks.open import TaskData, TaskDataConfig, open_task
from tasks.predict import predictor
from tasks.reading import BeamSettings, NullThreshold, Reading, Threshold
from tasks.score import score, score_in_full, split_record
from tasks.task import Task

RESULTS = "results.json"
_LEFT = ("predictions-*.jsonl", "errors-*.md", "confusion-*.png", "confusion-*.csv")
"""The other files of an evaluation's folder."""
MOST_CLASSES = 40  # that are printed; results.json has all


@dataclass(frozen=True, kw_only=True)
class TaskEvaluation:
    """Score a fine-tuned model on a task, and keep its predictions."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT or DistilBERT with a head for the task, or a file that
    eval.export wrote, such as onnx/model_quantized.onnx."""
    task: str
    """Such as sst2, mnli, squad, conll2003, imdb, multi30k-de-en; in other languages than a model
    was fine-tuned in, such as xnli-de, xquad-zh, mlqa-ar-en; or, for your own files,
    classification, multilabel, regression, tags, answers, choices, embeddings, extractive,
    translation or summaries. A wrong name lists them all."""
    data: TaskDataConfig = TaskDataConfig()
    split: tuple[str, ...] = ()
    """Such as dev, test, dev_mismatched. By default the development sets (for mnli both), or the
    test set where the authors published no other."""
    reading: Reading = Reading()
    labels: tuple[str, ...] = ()
    """The names of the model's classes in its own order, where it only numbers them (LABEL_0,
    LABEL_1) or calls them otherwise than the task."""
    threshold: Threshold | None = None
    """For any number of labels: a text is given those whose probability is above this; by default
    0.5."""
    search: BeamSettings = BeamSettings()
    """How texts are written, for a model that writes them; by default as it says itself."""
    null_threshold: NullThreshold | None = None
    """For questions: predict "no answer" when its score exceeds the best answer's by more than
    this. By default 0 for squad2, and for answers if the model's training questions had some
    without an answer (or those scored, where the model does not say); otherwise it always answers.
    """
    output: Path | None = None
    """The folder for predictions, pictures and metrics; by default runs/eval-TASK-MODEL."""
    card: bool = False
    """Write the scores into the model's card too, the README.md of its folder."""


def evaluate_task(config: TaskEvaluation) -> dict[str, dict[str, float]]:
    """Scores the model, prints a table and writes the folder; returns the metrics of each split.

    Raises:
        InputError: task, data and model do not fit, or the disk refuses.
    """
    check_settings(config)
    if config.output is not None:
        config = replace(config, output=on_disk(config.output, "an evaluation's folder"))
    if config.card and not Path(config.model).expanduser().is_dir():
        raise InputError(f"--card writes into the model's folder, and {config.model} is none here")
    splits, left_out = (config.split, ()) if config.split else default_splits(config)
    program = find_program(config.model)
    checkpoint = open_program(config.model, program) if program else open_checkpoint(config.model)
    data = open_for_model(config, checkpoint, splits)
    data = replace(data, notes=(*data.notes, *left_out))
    if data.task.own_files:  # what the model has learned decides, where that is known
        kind = data.task.kind.of_config(checkpoint.config)
        data = replace(data, task=replace(data.task, kind=kind))
    task = with_thresholds(data.task, config)
    data = replace(data, task=task)
    check_order(config.labels, task, checkpoint)
    config.reading.check_means(task.kind.reads, task.kind.noun)
    reading = reading_of(config, task, checkpoint.config.max_positions)
    load_model = partial(load_program, program) if program else load
    model = load_for_task(
        checkpoint, task.of_reading(reading), order=config.labels, load=load_model
    )
    vocabulary = load_vocabulary(checkpoint.place)
    reading, remarks = fit_reading(config.model, model, vocabulary, task, reading)
    config = replace(config, reading=reading)
    task = task.of_reading(reading)
    task = replace(task, kind=task.kind.of_vocabulary(vocabulary).of_search(config.search))
    data = replace(data, task=task)
    say(*remarks, *data.notes)
    default = f"runs/eval-{config.task}-{model_in_names(config.model)}"
    output = evaluation_folder(config.output, default, config.model, ("task", config.task), _LEFT)
    scored = {s: score_split(config, data, s, model, vocabulary, output) for s in data.splits}
    results = {split: result for split, (result, _) in scored.items()}
    record = {
        "settings": config,
        "data": {"source": data.source, "fingerprint": data.fingerprint, "notes": data.notes},
        "splits": results,
        "protocol": task.kind.protocol(),
        "published": task.published_scores,
        "provenance": provenance(),
    }
    write_json_atomic(output / RESULTS, record)
    for split, (_, pairs) in scored.items():  # last, as a picture may take long
        if task.kind.single_class and pairs:
            write_confusion(output, split, pairs, task.labels, title=f"{task.title}, {split}")
    say("", f"{config.model} on {task.title}")
    Console(highlight=False, markup=False).print(scores_table(task, results))
    metrics = {split: result["metrics"] for split, result in results.items()}
    for split, values in metrics.items():
        if values.get("collapsed"):
            say(f"{split}: {task.kind.collapse}")
    if protocol := task.kind.protocol():
        say(protocol)
    if task.published_scores:
        say(f"published, {task.published_scores}")
    say(f"predictions and more: {output}")
    known = {split: result for split, result in results.items() if result["metrics"]}
    if config.card and known:
        say(f"the scores are in {add_scores(Path(config.model).expanduser(), task, known)} too")
    return metrics


def with_thresholds(task: Task, config: TaskEvaluation) -> Task:
    """The task with the thresholds of the flags. Raises InputError if it has no such threshold."""
    kind: Any = task.kind
    for name, what in (("threshold", "any number of labels"), ("null_threshold", "questions")):
        value = getattr(config, name)
        if value is not None:
            if name not in kind.asks:
                flag = f"--{name.replace('_', '-')}"
                raise InputError(f"{flag} is for {what}, and {task.name} has none")
            kind = replace(kind, **{name: value})
    return replace(task, kind=kind)


def default_splits(config: TaskEvaluation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The development sets that are there, and a sentence about each that is not.

    Of published data they are the authors': what `open_task` would take from the training examples
    was seen by models of others.
    """
    files, given = find_task(config.task).published, config.data
    if files is None:
        return (("test",) if given.test and not (given.dev or given.train) else ("dev",)), ()
    dev = tuple(split for split in files.files if split.startswith("dev")) or ("test",)
    if given.root is None:
        return dev, ()
    there = tuple(split for split in dev if files.find(given.root.expanduser(), split))
    left_out = (
        f"{split} is left out: {given.root} does not hold it; looked for {files.looked_for(split)}"
        for split in dev
        if split not in there
    )
    return (there, tuple(left_out)) if there else (dev, ())


def open_for_model(
    config: TaskEvaluation, checkpoint: Checkpoint, splits: tuple[str, ...]
) -> TaskData:
    """The examples. A user's own need not have all classes that the model knows, and no others.

    Raises:
        InputError: as `open_task` has it; of a class that the model does not know it says where.
    """
    data = open_task(config.task, config.data, splits=splits)
    if not (data.task.own_files and data.task.kind.named_outputs) or config.data.label_fields:
        return data
    known = spelled(config.labels or checkpoint.config.labels, data.task.labels)
    if set(data.task.labels) <= set(known):
        return replace(data, task=data.task.with_labels(known))
    if only_numbered(known):
        return data
    return open_task(config.task, config.data, splits=splits, labels=known)


def model_in_names(model: str) -> str:
    """A model's folder or hub name as a part of a folder's name."""
    path = Path(model)
    if path.suffix == ".onnx" and path.parent.name == FOLDER:  # the folder above has the name
        path = path.parent.parent / path.stem
    parts = (part for part in path.parts[-2:] if part.strip("./") not in ("", "model"))
    return "-".join(parts) or "model"


def evaluation_folder(
    output: Path | None, default: str, model: str, data: tuple[str, str], left: Sequence[str]
) -> Path:
    """The folder to write to, without what an earlier evaluation left there.

    Args:
        output: that of the user, or None for the `default`.
        default: its name.
        model: that is evaluated.
        data: the setting that names what it is evaluated on, and its value.
        left: patterns of the files of an evaluation beside `RESULTS`.

    Raises:
        InputError: it holds the results of another model or other data, or the disk refuses.
    """
    folder = make_folder(output or Path(default))
    if (folder / RESULTS).is_file():
        then = read_settings(folder / RESULTS).get("settings") or {}
        if (then.get("model"), then.get(data[0])) != (model, data[1]):
            raise InputError(
                f"{folder} holds the scores of {then.get('model')} on {then.get(data[0])}: choose "
                "another folder with --output"
            )
    with writing(folder, "--output"):
        for file in (file for pattern in left for file in folder.glob(pattern)):
            file.unlink()
    return folder


def reading_of(config: TaskEvaluation, task: Task, positions: int) -> Reading:
    """The reading of texts: that of the flags or, without any, that of the fine-tuning.

    That is known of a model in the folder of its run. It is said where it makes a difference to a
    model with so many `positions`.
    """
    folder, reading = Path(config.model).expanduser(), config.reading
    if not (folder.is_dir() and (folder.parent / CONFIG).is_file()):
        return reading
    run = read_run_config(folder.parent)
    if run.get("kind") != "finetune" or run.get("task") != task.recipe:
        return reading
    then = as_type(Reading, run.get("reading"), str(folder.parent / CONFIG), "reading")
    read = {"max_length": tuple(task.length(task.fit(r, positions)) for r in (then, reading))}
    for name in task.kind.reads:
        if then.matters(name) or reading.matters(name):
            read[name] = (getattr(then, name), getattr(reading, name))
    differing = {name: value for name, (value, now) in read.items() if now != value}
    if not differing:
        return reading
    named = {f"--reading.{name.replace('_', '-')}": value for name, value in differing.items()}
    flags = " ".join(f"{n} {v}" if v is not None else f"no {n}" for n, v in named.items())
    if reading == Reading():
        say(f"texts are read as when {config.model} was fine-tuned: {flags}")
        return replace(reading, **differing)
    say(f"{config.model} was fine-tuned with {flags}: give the same here to read texts as then")
    return reading


def score_split(
    config: TaskEvaluation,
    data: TaskData,
    split: str,
    model: Any,
    vocabulary: Vocabulary,
    output: Path,
) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    """The scores of a split, and the right and the predicted answers where both are known.

    The scores are those of `tasks.score.SplitScores`, with `remarks` on texts that did not fit.
    Writes every prediction with its text and, where the right ones are known, the mistakes.
    """
    task, examples, labels = data.task, data.splits[split], model.config.labels
    windows = task.to_windows(examples, vocabulary, labels, config.reading)
    remarks = [f"{split}: {remark}" for remark in windows.remarks]
    say(*remarks)
    compiled = not isinstance(model, OnnxModel)
    fetched = predictor(task.kind, windows, compiled=compiled)(model)
    predictions, known = score(task, examples, windows, fetched, labels)
    lines = (
        json.dumps({"id": e.id, "text": task.kind.quote(e), **row}, ensure_ascii=False) + "\n"
        for e, row in zip(examples, predictions, strict=True)
    )
    write_text(output / f"predictions-{split}.jsonl", "".join(lines))
    record, pairs = {"examples": len(examples), "metrics": {}}, []
    if known:
        scores = score_in_full(task, predictions)
        record, pairs = split_record(scores), [(p["gold"], p["prediction"]) for p in predictions]
        about = f"{config.model} on {task.title}, {split}"
        write_errors(output / f"errors-{split}.md", task.kind, about, examples, predictions)
        if 0 < len(scores.classes) <= MOST_CLASSES:
            table = terminal_table(f"{split}, by class", *class_table([scores.classes]))
            Console(highlight=False, markup=False).print(table)
    elif (task.name, split) in FILES:
        write_submission(output / FILES[task.name, split], task, predictions)
    return {**record, "remarks": remarks}, pairs


def scores_table(task: Task, results: dict[str, dict[str, Any]]) -> Table:
    """A column for each split, a row for each metric."""
    columns = list(results.values())
    lines = [["examples", *(f"{column['examples']:,}" for column in columns)]]
    measured = dict.fromkeys(name for column in columns for name in column["metrics"])
    for name in in_full(task.metrics, measured) if measured else ():
        cells = (
            with_interval(name, column["metrics"].get(name), column.get("intervals", {}).get(name))
            for column in columns
        )
        lines.append([NAMES.get(name, name), *cells])
    return terminal_table("", ["", *results], lines)


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(
        lambda: evaluate_task(parse(TaskEvaluation, prog="python -m eval.run", description=__doc__))
    )
