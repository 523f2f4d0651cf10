"""The training loop around the step: batches in, checkpoints, metrics and a trained model out.

Order at every update: step, evaluate, write metrics, then save. What a checkpoint at step n belongs
to is then on disk before it, and a run that goes on from it repeats nothing and misses nothing.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax

from data.batches import Batch
from data.storage.mirror import readable, upload
from data.storage.run_folder import read_metrics
from model.errors import InputError
from train.command.processes import is_first
from train.command.signals import Signals, Stopped
from train.config import TrainConfig
from train.loop.checkpoint import Checkpoints
from train.loop.folder import claim
from train.loop.learner import Learner
from train.loop.memory import out_of_memory, sequences_that_fit
from train.loop.metric_log import MetricLog, NoLog
from train.loop.profiling import Tracer, timed
from train.objectives.objective import Metrics
from train.update.keys import keys_of
from train.update.parallel import Parallel

Evaluate = Callable[[Any, dict[str, Any]], dict[str, float]]
"""From parameters and constants to metrics."""


@runtime_checkable
class Batches(Protocol):
    """What is trained on, endless and by random access: the place in the data is the step."""

    batch_size: int

    def __len__(self) -> int:
        """How many sequences there are."""
        ...

    @property
    def steps_per_epoch(self) -> int: ...

    def iterate(self, start: int) -> Iterator[Batch]: ...


def total_steps(config: TrainConfig, batches: Batches) -> int:
    """The updates of a run."""
    return config.steps or max(math.ceil(config.epochs * batches.steps_per_epoch), 1)


def fit(
    config: TrainConfig,
    *,
    kind: str,
    title: str,
    learner: Learner,
    batches: Batches,
    parallel: Parallel,
    constants: dict[str, Any],
    evaluate: Evaluate,
    facts: dict[str, Any],
    best_by: str | None = None,
    shown: Callable[[str], bool] = lambda name: True,
) -> dict[str, float]:
    """Trains as `config` says and leaves a run folder; goes on where an earlier try ended.

    Args:
        config: of the run.
        kind: the loop: `pretrain`, `distill`, `finetune` or `ablate`.
        title: what is trained on, for the first line.
        learner: what is trained.
        batches: of which update n reads `batch(n - 1)`.
        parallel: where it runs.
        constants: what the objective reads beside the batch; the same at every step.
        evaluate: from parameters and constants to metrics.
        facts: fingerprints of what the configuration names; a run goes on only if they agree.
        best_by: a metric of `evaluate`, higher being better, whose best model is kept in
            `output`/best beside that of the last step.
        shown: whether a held-out metric is printed; all are recorded.

    Returns:
        The metrics at the end.

    Raises:
        InputError: something that the user can mend.
        Stopped: a signal asked for it; the same command goes on.
    """
    steps, parameters = total_steps(config, batches), learner.parameters
    constants = parallel.replicate(constants)
    keys = parallel.replicate(keys_of(config.seed))
    record = claim(config, kind, {**facts, "total_steps": steps, "parameters": parameters})
    checkpoints = Checkpoints(config.output, keep=config.run.keep_checkpoints)
    state = parallel.place_state(learner.state)
    start = checkpoints.latest() or 0
    if start:
        state = checkpoints.restore(state)
    tracer = Tracer(config.run.profile, config.output, steps)

    log = NoLog()
    if is_first():
        log = MetricLog(
            config.output,
            total_steps=steps,
            start_step=start,
            print_every=config.run.print_every,
            shown=shown,
        )
    evaluate_every = config.evaluate_every or batches.steps_per_epoch
    best = _best_so_far(config.output, best_by)

    def write_model(name: str) -> None:
        if is_first():
            learner.export(jax.device_get(state.params), config.output / name)

    @partial(jax.profiler.annotate_function, name="evaluate")
    def measure(number: int) -> dict[str, float]:
        nonlocal best
        results = evaluate(state.params, constants)
        log.heldout(number, results)
        if best_by is not None and results[best_by] > best:
            best = results[best_by]
            write_model("best")
        return results

    batch: Batch | None = None

    def fitting() -> str:
        if batch is None:
            return ""
        axis = 2 if parallel.mode == "pmap" else 1
        placed = parallel.place(batch)
        return sequences_that_fit(learner.step, state, constants, placed, keys, axis=axis)

    with log, Signals() as signals, tracer, out_of_memory(fitting):
        log.say(
            f"{parameters / 1e6:.1f} M parameters, {steps:,} updates of "
            f"{batches.batch_size:,} sequences: "
            f"{steps * batches.batch_size / len(batches):.2g} passes over {title}"
        )
        if start:
            log.say(f"going on from step {start:,} of {steps:,} in {readable(config.output)}")
        if 0 < tracer.last <= start:
            log.say(f"nothing is traced: --run.profile {config.run.profile} lies before that")
        try:
            results = measure(0) if start == 0 else {}
            pending: Pending | None = None
            shapes: set[tuple[int, ...]] = set()
            for number, (batch, waited) in enumerate(timed(batches.iterate(start)), start + 1):
                if number > steps:
                    break
                shape = batch["input_ids"].shape
                compiles = shape not in shapes
                if compiles:  # an update's time has no other's compilation in it
                    shapes.add(shape)
                    record_metrics(log, pending)
                    pending = None
                with tracer.update(number):
                    state, metrics = learner.step(state, constants, parallel.place(batch), keys)
                # The metrics of the step before are fetched while this one runs.
                record_metrics(log, pending)
                tokens = batch["input_ids"].size * jax.process_count()  # each reads its share
                pending = Pending(number, metrics, tokens, waited, compiles)
                tracer.done(number, metrics)

                last = number == steps
                due = last or number % evaluate_every == 0
                stop = signals.stop_after(number)
                save_now = last or stop is not None or number % config.run.checkpoint_every == 0
                if due or save_now:
                    record_metrics(log, pending)
                    pending = None
                if due:
                    results = measure(number)
                if save_now:
                    log.flush()
                    if is_first():
                        upload(config.output)
                    checkpoints.save(state, record)
                if stop is not None and not last:
                    raise Stopped(
                        stop,
                        f"stopped at step {number:,} of {steps:,}; everything is saved in "
                        f"{readable(config.output)}: the same command goes on from there",
                    )
        finally:
            checkpoints.close()
        if start >= steps:
            log.say(f"{readable(config.output)} is complete: {steps:,} steps were done before")
            results = evaluate(state.params, constants)

    write_model("model")
    return results


def _best_so_far(folder: Path, name: str | None) -> float:
    """The best evaluation that a run has recorded; what is not recorded any more comes again."""
    if name is None or not (folder / "metrics.jsonl").is_file():
        return -math.inf
    values = [row[name] for row in read_metrics(folder) if row["kind"] == "heldout"]
    return max(values, default=-math.inf)


class Pending(NamedTuple):
    """A step that was started, and whose metrics the device may not have made yet."""

    step: int
    metrics: Metrics
    tokens: int
    waited: float
    """Seconds that the loop waited for its batch."""
    compiles: bool
    """Whether it is the first on batches of its shape."""


@partial(jax.profiler.annotate_function, name="log")
def record_metrics(log: MetricLog | NoLog, pending: Pending | None) -> None:
    """Fetches and logs one step's metrics.

    Raises:
        InputError: the loss or the gradient is not finite, so nothing later can be trusted.
    """
    if pending is None:
        return
    number = pending.step
    values = {name: float(value) for name, value in jax.device_get(pending.metrics).items()}
    values["data_seconds"] = pending.waited
    log.step(number, values, pending.tokens, compiles=pending.compiles)
    # In a stack of students a name begins with the student's: the others may still learn.
    watched = [name for name in ("loss", "grad_norm") if name in values]
    broken = [name for name in watched if not math.isfinite(values[name])]
    if broken:
        raise InputError(
            f"the {broken[0]} is {values[broken[0]]} at step {number:,}: training stopped, and "
            "the last good checkpoint is kept; try a lower --optimizer.learning-rate"
        )
