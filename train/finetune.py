"""Fine-tuning: a BERT or DistilBERT learns a task from labelled examples, and from a teacher.

    python -m train.finetune sst2 --model distilbert/distilbert-base-uncased
    python -m train.finetune sst2 --model runs/distill-tiny/model --data.root glue --seeds 5
    python -m train.finetune squad --teacher runs/bert-squad/model
    python -m train.finetune classification --data.train my.csv --data.label-field topic
    python -m train.finetune multilabel --data.train my.csv --data.label-fields sport science
    python -m train.finetune embeddings --data.train pairs.jsonl
    python -m train.finetune extractive --data.train documents.jsonl
    python -m train.finetune translation --data.train pairs.jsonl

With --data.test FILE the trained model is scored on your test examples too, with intervals.
Each task has the settings of Devlin et al. 2019, and flags change them. The run's folder (--output)
holds the model in Hugging Face's format, the metrics and a report. The same command resumes a run
that was stopped.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils

from data.storage.mirror import upload
from data.storage.run_folder import read_metrics
from data.tokenizer import load_vocabulary
from data.vocabulary import Vocabulary
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.pretrained import load
from model.terminal import say
from report.card import write_card
from report.naming import in_tables
from report.run import write_report
from report.seeds import report_seeds
from tasks.buckets import BucketBatches, bucket_lengths
from tasks.catalogue import TASKS
from tasks.model import check_order, fit_reading, load_for_task
from tasks.open import TaskData, open_task
from tasks.predict import EVALUATION_ROWS, predictor
from tasks.score import Scored, SplitScores, score, score_in_full, split_record
from tasks.task import Task
from tasks.windows import Windows
from tasks.writing.kind import Writing
from train.command.cli import choose, main
from train.command.processes import first_before_others, is_first
from train.command.signals import heeding, until_safe
from train.config import FinetuneConfig
from train.loop.fit import fit
from train.loop.folder import alone_in_output
from train.loop.learner import compute_dtype, one_model
from train.loop.soft_targets import with_soft_targets
from train.loop.teacher_texts import with_teacher_texts
from train.objectives.finetuning import TaskObjective, balanced_weights
from train.objectives.objective import Objective
from train.objectives.writing import WritingObjective
from train.recipes import FINETUNE
from train.start import Start, initial_model, open_start, vocabulary_of
from train.tuning import tune
from train.update.parallel import Parallel
from train.update.step import split


@dataclass(frozen=True)
class Prepared:
    """The data, the vocabulary and the start that all seeds of a run share."""

    data: TaskData
    start: Start
    vocabulary: Vocabulary
    model: Any
    """Before the training of the first seed. Its labels are the classes in the order of all."""
    train: Windows
    heldout: dict[str, Windows]
    """Of `dev` and, where there are such examples, `test`."""
    lengths: tuple[int, ...]
    """Of the buckets of the training batches."""
    class_weights: Sequence[Any]
    """As `balanced_weights` has them; none where all classes weigh the same."""
    teacher: Seq2Seq | None = None
    """That is read in every update, which one is whose probabilities of tokens are learned."""


@alone_in_output
def finetune(config: FinetuneConfig) -> list[dict[str, float]]:
    """Trains as the configuration says, once a seed; returns the development metrics of each.

    The models that are left are scored on test examples too, if there are some.

    Raises:
        InputError: model, task and data do not fit.
    """
    config.check()
    config, tuned = tune(config, finetune) if config.tune else (config, {})
    prepared = prepare(config)
    results, splits = {}, {}
    for number, seed in enumerate(range(config.seed, config.seed + config.seeds), 1):
        if config.seeds > 1:
            say("", f"seed {seed}, {number} of {config.seeds}")
        folder = config.output if config.seeds == 1 else config.output / f"seed-{seed}"
        once = replace(config, seed=seed, output=folder, seeds=1)
        first = prepared.model
        if seed != config.seed:
            first = initial_model(once, prepared.start, prepared.data)
        results[seed], splits[seed] = finetune_seed(once, prepared, first)
    if is_first():
        report_seeds(
            config.output,
            prepared.data.task,
            results,
            splits,
            model=config.model,
            teacher=config.teacher,
            reported=config.report,
            tuned=tuned,
        )
        upload(config.output)
    return list(results.values())


def prepare(config: FinetuneConfig) -> Prepared:
    """Reads the data and cuts it into windows; the teacher, if there is one, reads them too.

    Raises:
        InputError: the settings make no sense, or model, task and data do not fit.
    """
    config.check()
    splits = ("train", "dev", *(("test",) if config.data.test else ()))
    with first_before_others():
        data = open_task(config.task, config.data, splits=splits)
    task = data.task.of_reading(config.reading)
    if config.loss.form is not None:
        task = replace(task, kind=task.kind.of_form(config.loss.form))
    data = replace(data, task=task)
    check_test(config, data)
    check_class_loss(config, data.task)
    config.reading.check_means(task.kind.reads, task.kind.noun)
    start = open_start(config, data)
    vocabulary = vocabulary_of(start)
    task = replace(task, kind=task.kind.of_vocabulary(vocabulary).of_search(config.search))
    data = replace(data, task=task)
    teacher = open_checkpoint(config.teacher) if config.teacher else None
    # Single layers get a new head, and so does a model that begins at random.
    learner = start if isinstance(start, Checkpoint) and config.layers is None else None
    check_order(config.labels, task, *filter(None, (learner, teacher)))
    model = initial_model(config, start, data)
    reading, remarks = fit_reading(config.model, model, vocabulary, task, config.reading)
    writer = None
    if teacher and task.kind.writes:
        writer, data = learn_to_write(config, data, teacher, vocabulary)
    windows = {
        part: task.to_windows(examples, vocabulary, model.config.labels, reading)
        for part, examples in data.splits.items()
    }
    say(*remarks, *data.notes)
    say(*(f"{part}: {remark}" for part, each in windows.items() for remark in each.remarks))
    train = windows.pop("train")
    lengths = bucket_lengths(train.extents, most=config.buckets)
    say(f"batches of texts of up to {', '.join(map(str, lengths))} tokens")
    if teacher and not task.kind.writes:
        train = with_soft_targets(
            config, teacher, task, data.splits["train"], vocabulary, train, model
        )
    weights: Sequence[Any] = ()
    if config.class_weights == "balanced" and task.kind.class_target:
        weights = balanced_weights(task.kind, train, model.config.num_labels)
    return Prepared(data, start, vocabulary, model, train, windows, lengths, weights, writer)


def learn_to_write(
    config: FinetuneConfig, data: TaskData, checkpoint: Checkpoint, vocabulary: Vocabulary
) -> tuple[Seq2Seq | None, TaskData]:
    """The teacher of a model that writes, if it is read in every update, and the examples.

    With `--loss.form texts` their training targets are what the teacher writes, and it is done.

    Raises:
        InputError: the teacher does not write, or not in this vocabulary, or not so long texts.
    """
    task = data.task
    vocabulary.check_teacher(load_vocabulary(checkpoint.place))
    teacher = load_for_task(checkpoint, task, dtype=compute_dtype(config))
    fit_reading(checkpoint.name, teacher, vocabulary, task, config.reading)
    assert isinstance(task.kind, Writing)
    task.kind.check_target(checkpoint.name, teacher)
    if config.loss.form != "texts":
        return teacher, data
    train = data.splits["train"]
    written = with_teacher_texts(
        config, checkpoint, teacher, task, train, vocabulary, data.fingerprint
    )
    return None, replace(data, splits={**data.splits, "train": written})


def check_class_loss(config: FinetuneConfig, task: Task) -> None:
    """Raises InputError for settings of the loss of classes where a task has none."""
    flags = {
        f"--class-weights {config.class_weights}": config.class_weights != "equal",
        f"--label-smoothing {config.label_smoothing}": config.label_smoothing,
    }
    for flag, given in flags.items():
        smooths = task.kind.writes and flag.startswith("--label")
        if given and task.kind.class_target is None and not smooths:
            raise InputError(f"{flag}: {task.name} has no loss of classes, leave it out")
    writes = task.kind.writes
    for flag, given, meant in (
        (f"--layer-decay {config.layer_decay}", config.layer_decay != 1, not writes),
        (f"--frozen-layers {config.frozen_layers}", config.frozen_layers is not None, not writes),
        (f"--decoder-rate {config.decoder_rate}", config.decoder_rate != 1, writes),
    ):
        if given and not meant:
            what = "is" if writes else "is not"
            raise InputError(f"{flag}: {task.name} {what} for models with a decoder: leave it out")


def check_test(config: FinetuneConfig, data: TaskData) -> None:
    """Raises InputError if there are examples to score whose right answers are not known."""
    unknown = {
        part: sum(data.task.kind.gold(example) is None for example in data.splits.get(part, ()))
        for part in ("dev", "test")
    }
    if unknown["dev"]:
        raise InputError(
            f"{unknown['dev']:,} of {len(data.splits['dev']):,} development examples have no "
            "label, and the model is scored on them: leave them out"
        )
    if unknown["test"]:
        raise InputError(
            f"--data.test {config.data.test}: {unknown['test']:,} of {len(data.splits['test']):,} "
            "examples have no label, and the trained model is scored on them: leave them out, and "
            f"predict them afterwards with python -m eval.run MODEL --task {config.task} "
            f"--data.test {config.data.test}"
        )


def finetune_seed(
    config: FinetuneConfig, prepared: Prepared, model: Any
) -> tuple[dict[str, float], dict[str, SplitScores]]:
    """Trains `model`; the development metrics of the step that `config.report` names.

    Those of the best step say which `step` that is. The second are all scores of the model that is
    left, by split.
    """
    data, task = prepared.data, prepared.data.task
    parallel = Parallel(config.run)
    parallel.check_rows(config.batch_size, config.micro_batches, group_rows=1)
    batches = BucketBatches(
        prepared.train,
        prepared.lengths,
        batch_size=config.batch_size,
        micro_batches=config.micro_batches,
        seed=config.seed,
        host=jax.process_index(),
        hosts=jax.process_count(),
    )
    graphdef = nnx.graphdef(model)
    objective, constants = objective_and_constants(config, prepared, graphdef)
    steps = config.updates(batches.updates_per_epoch)
    rows = parallel.divisible(EVALUATION_ROWS)
    place = heeding(parallel.place_rows)
    predict = {
        part: predictor(task.kind, windows, rows=rows, place=place)
        for part, windows in prepared.heldout.items()
    }

    def scored(part: str, params: Any) -> Scored:
        fetched, windows = predict[part](nnx.merge(graphdef, params)), prepared.heldout[part]
        return score(task, data.splits[part], windows, fetched, model.config.labels)

    results = fit(
        config,
        kind="finetune",
        title=f"the {len(prepared.train):,} training windows of {task.title}",
        learner=one_model(
            config,
            model,
            prepared.vocabulary,
            objective,
            parallel,
            steps,
            frozen=config.frozen,
            layer_decay=config.layer_decay,
            decoder_rate=config.decoder_rate,
        ),
        batches=batches,
        parallel=parallel,
        constants=constants,
        evaluate=lambda params, _: scored("dev", params).metrics,
        facts={"data": data.fingerprint, "tokenizer": prepared.vocabulary.fingerprint},
        best_by="score" if config.report == "best" else None,
        patience=config.patience,
        shown=lambda name: name in (*in_tables(("score", *task.metrics)), *task.kind.unscaled),
    )
    with until_safe():
        params = parallel.replicate(written_parameters(config.output / "model", model))
        splits = {part: score_in_full(task, scored(part, params).predictions) for part in predict}
    if not is_first():  # the record is process 0's
        return results, splits
    write_report(config.output)
    write_card(config.output, task, {part: split_record(each) for part, each in splits.items()})
    if config.report == "final":
        return results, splits
    rows = read_metrics(config.output, whole=True)
    evaluations = [row for row in rows if row["kind"] == "heldout"]
    best = max(evaluations, key=lambda row: row["score"])
    return {name: best[name] for name in results} | {"step": best["step"]}, splits


def objective_and_constants(
    config: FinetuneConfig, prepared: Prepared, graphdef: nnx.GraphDef
) -> tuple[Objective, dict[str, Any]]:
    """The objective for a model of this structure, and the constants that it reads."""
    kind, smoothing = prepared.data.task.kind, config.label_smoothing
    if not isinstance(kind, Writing):
        loss, weights = config.loss if config.teacher else None, prepared.class_weights
        return (
            TaskObjective(graphdef, kind, loss, class_weights=weights, smoothing=smoothing),
            {},
        )
    structure, params = (None, {}) if prepared.teacher is None else split(prepared.teacher)
    objective = WritingObjective(graphdef, kind, structure, config.loss, smoothing=smoothing)
    return objective, {"teacher": params}


def written_parameters(folder: Path, model: Any) -> Any:
    """The parameters of the model in a folder of process 0, on all processes; `model` is alike."""
    if is_first():
        params = split(load(folder, type(model)))[1]
    else:
        params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), split(model)[1])
    return multihost_utils.broadcast_one_to_all(params)


def chosen_task(argv: list[str]) -> FinetuneConfig:
    """The fine-tuning that the command line names, with its flags applied."""
    if argv and argv[0] in TASKS and argv[0] not in FINETUNE:
        raise InputError(
            f"{argv[0]} has no training examples: it is for models that have learned another task, "
            f"with python -m eval.run MODEL --task {argv[0]}"
        )
    return choose(FINETUNE, "train.finetune", argv, about=__doc__, what="task")


if __name__ == "__main__":
    main(lambda: finetune(chosen_task(sys.argv[1:])), hosts=True)
