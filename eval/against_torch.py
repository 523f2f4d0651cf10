"""The same fine-tuning here and in transformers: the losses, the scores, the speed.

    python -m eval.against_torch rte --model MODEL --data.root glue --seeds 5

First, with dropout off, both make 20 updates on the same batches from the same weights: the losses
must be the same. Then one after the other is trained with dropout, once a seed; start and batches
are shared, dropout is not. Needs torch and transformers (pip install -e '.[oracle]').
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from rich.console import Console

from data.clock import seconds_since
from data.storage.mirror import on_disk
from data.storage.provenance import provenance, write_json_atomic
from data.storage.run_folder import read_metrics, without_compilation
from eval.timing.device import check_torch
from model.errors import InputError
from model.pretrained import save
from model.tasks import SequenceClassification
from report.study.comparison import interval
from report.tables import terminal_table
from tasks.buckets import BucketBatches
from tasks.score import score
from train.command.cli import choose, main
from train.command.processes import check_alone
from train.config import FinetuneConfig
from train.finetune import Prepared, finetune_seed, prepare
from train.objectives.finetuning import TaskObjective
from train.recipes import FINETUNE
from train.start import initial_model
from train.update.keys import keys_of
from train.update.optimizer import make_optimizer
from train.update.step import init_state, make_step, split

STEPS = 20
OURS_ALONE = ("class_weights", "label_smoothing", "frozen_layers", "layer_decay", "tune")
CALM = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "classifier_dropout": 0.0}


def compare_with_torch(config: FinetuneConfig) -> dict[str, Any]:
    """Makes the comparison, prints it, and leaves `against_torch.json` in the run's folder.

    Raises:
        InputError: torch is not there, or the task has no classes or values.
    """
    check_torch("a comparison with torch")
    if config.teacher:
        raise InputError("--teacher: here both sides learn from the labels alone")
    for name in OURS_ALONE:
        if getattr(config, name) != getattr(FinetuneConfig, name):
            flag = f"--{name.replace('_', '-')} {getattr(config, name)}"
            raise InputError(f"{flag}: transformers is trained without it here, leave it out")
    prepared = prepare(config)
    task = prepared.data.task
    if task.kind.model is not SequenceClassification:
        raise InputError(
            f"only classes, labels and values of texts are compared, and {task.name} has none"
        )
    console = Console(highlight=False, markup=False)
    ours, theirs = losses_without_dropout(config, prepared)
    difference = float(np.max(np.abs(np.subtract(ours, theirs))))
    console.print(
        f"Without dropout the losses of {STEPS} updates differ by {difference:.1e} at most "
        f"({ours[0]:.4f} to {ours[-1]:.4f})."
    )
    runs: list[dict[str, Any]] = []
    record = {
        "settings": config,
        "losses": {"ours": ours, "torch": theirs, "largest_difference": difference},
        "seeds": runs,
        "provenance": provenance(),
    }
    for number in range(config.seeds):
        runs.append(train_both(config, prepared, config.seed + number))
        # Hours may lie between two seeds: each is kept at once.
        write_json_atomic(config.output / "against_torch.json", record)
    print_scores(console, task.title, runs)
    return record


def batches_of(config: FinetuneConfig, prepared: Prepared) -> BucketBatches:
    return BucketBatches(
        prepared.train, prepared.lengths, batch_size=config.batch_size, seed=config.seed
    )


def losses_without_dropout(
    config: FinetuneConfig, prepared: Prepared
) -> tuple[list[float], list[float]]:
    """The losses of the first updates, ours and transformers'."""
    from eval.timing.torch_finetuning import TorchFinetune, first_batches

    model = initial_model(config, prepared.start, prepared.data)
    model = nnx.merge(
        nnx.graphdef(type(model)(model.config.replace(**CALM), rngs=nnx.Rngs(0))), nnx.state(model)
    )
    source = batches_of(config, prepared)
    with tempfile.TemporaryDirectory() as folder:
        save(model, folder)
        torch_run = TorchFinetune(Path(folder), config.optimizer, STEPS)
        theirs = list(torch_run.train(first_batches(source, STEPS)))
    graphdef, params = split(model)
    optimizer = make_optimizer(config.optimizer, STEPS)
    objective = TaskObjective(graphdef, prepared.data.task.kind)
    step = jax.jit(make_step(objective, optimizer, STEPS))
    keys = keys_of(config.seed)
    state, ours = init_state(params, optimizer), []
    for number in range(STEPS):
        state, metrics = step(state, {}, source.batch(number), keys)
        ours.append(float(metrics["loss"]))
    return ours, theirs


def train_both(config: FinetuneConfig, prepared: Prepared, seed: int) -> dict[str, Any]:
    """One seed of both: metrics on the development set, and examples a second."""
    from eval.timing.torch_finetuning import TorchFinetune, first_batches, timed_losses

    seeded = replace(config, seed=seed, output=config.output / f"seed-{seed}", seeds=1)
    model = initial_model(seeded, prepared.start, prepared.data)
    ours, _ = finetune_seed(seeded, prepared, model)
    rows = [row for row in read_metrics(seeded.output) if row["kind"] == "train"]
    steps = len(rows)
    source = batches_of(seeded, prepared)
    with tempfile.TemporaryDirectory() as folder:
        save(initial_model(seeded, prepared.start, prepared.data), folder)
        torch_run = TorchFinetune(Path(folder), config.optimizer, steps, seed=seed)
    started = time.perf_counter()
    _, torch_seconds = timed_losses(torch_run.train(first_batches(source, steps)))
    dev = prepared.data.splits["dev"]
    windows = prepared.heldout["dev"]
    logits = {"logits": torch_run.logits(windows)}
    labels = prepared.model.config.labels
    theirs = score(prepared.data.task, dev, windows, logits, labels).metrics
    # Of so few updates that no length came twice all count, compilation too.
    running = [row["seconds"] for row in without_compilation(rows)]
    return {
        "seed": seed,
        "ours": {
            **ours,
            "examples_per_second": config.batch_size * len(running) / sum(running),
            "seconds_with_compilation": sum(row["seconds"] for row in rows),
        },
        "torch": {
            **theirs,
            "examples_per_second": config.batch_size * (steps - 1) / torch_seconds,
            "seconds_with_evaluation": seconds_since(started),
        },
    }


def print_scores(console: Console, title: str, runs: list[dict[str, Any]]) -> None:
    """Prints scores and speeds side by side, and their differences with an interval."""
    columns = [
        (side, name, style)
        for name, style in (("score", ".4f"), ("examples_per_second", ".1f"))
        for side in ("ours", "torch")
    ]
    header = ["", *(f"{side}:\n{name.replace('_', ' ')}" for side, name, _ in columns)]
    values = np.array([[run[side][name] for side, name, _ in columns] for run in runs])
    names = [*(f"seed {run['seed']}" for run in runs), "mean"]
    lines = [
        [name, *(format(value, style) for value, (_, _, style) in zip(row, columns, strict=True))]
        for name, row in zip(names, [*values, values.mean(axis=0)], strict=True)
    ]
    console.print(terminal_table(f"{title}, development set", header, lines))
    differences = [run["ours"]["score"] - run["torch"]["score"] for run in runs]
    spread = f" ± {interval(differences):.4f} (95 %)" if len(runs) > 1 else ""
    ratios = [
        run["ours"]["examples_per_second"] / run["torch"]["examples_per_second"] for run in runs
    ]
    console.print(
        f"Ours minus torch: {float(np.mean(differences)):+.4f}{spread}; examples a second "
        f"{float(np.median(ratios)):.2f} times torch's (ours without the first update "
        "of each length, torch without its first)."
    )


def config_of(argv: list[str]) -> FinetuneConfig:
    """The configuration that the command line asks for."""
    check_alone("eval.against_torch")
    config = choose(FINETUNE, "eval.against_torch", argv, about=__doc__, what="task")
    return replace(config, output=on_disk(config.output, "a comparison's folder"))


if __name__ == "__main__":
    main(lambda: compare_with_torch(config_of(sys.argv[1:])))
