"""The training loop around the step: batches in, checkpoints, metrics and a trained model out.

Order at every update: step, evaluate, write metrics, then save. Everything recorded about step n is
on disk before checkpoint n, so a run that resumes there repeats nothing and misses nothing. Only a
stop saves before the evaluation is done: the resumed run then begins with it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jax.experimental import multihost_utils

from data.batches import Batch
from data.storage.holding import check_held
from data.storage.mirror import readable, upload
from data.storage.run_folder import read_metrics
from model.errors import InputError
from train.command.processes import is_first
from train.command.signals import Stopped, stop_if_asked, until_safe
from train.config import TrainConfig
from train.loop.checkpoint import Checkpoints
from train.loop.folder import alone_in_output, claim
from train.loop.learner import Learner
from train.loop.memory import out_of_memory, sequences_that_fit
from train.loop.metric_log import MetricLog
from train.loop.profiling import Tracer, timed
from train.update.keys import keys_of
from train.update.parallel import Parallel

Evaluate = Callable[[Any, dict[str, Any]], dict[str, float]]
"""From parameters and constants to metrics."""


@runtime_checkable
class TrainingBatches(Protocol):
    """Endless batches by random access: the place in the data is the step."""

    batch_size: int

    def __len__(self) -> int:
        """The number of sequences."""
        ...

    @property
    def updates_per_epoch(self) -> Fraction: ...

    def tokens(self, step: int) -> int:
        """Those of update `step` on all hosts, without padding."""
        ...

    def iterate(self, start: int) -> Iterator[Batch]: ...


@alone_in_output
def fit(
    config: TrainConfig,
    *,
    kind: str,
    title: str,
    learner: Learner,
    batches: TrainingBatches,
    parallel: Parallel,
    constants: dict[str, Any],
    evaluate: Evaluate,
    facts: dict[str, Any],
    best_by: str | None = None,
    patience: int | None = None,
    shown: Callable[[str], bool] = lambda name: True,
) -> dict[str, float]:
    """Trains as `config` says and leaves a run folder; resumes where an earlier try ended.

    Args:
        config: of the run.
        kind: the loop: `pretrain`, `distill`, `finetune` or `ablate`.
        title: what is trained on, for the first line.
        learner: what is trained.
        batches: of which update n reads `batch(n - 1)`.
        parallel: where it runs.
        constants: what the objective reads beside the batch; the same at every step.
        evaluate: from parameters and constants to metrics.
        facts: fingerprints of what the configuration names; a run resumes only if they agree.
        best_by: a metric of `evaluate`, higher being better: `output`/model is the model of the
            step where it was highest, and not that of the last.
        patience: training ends after so many evaluations in a row that are not better.
        shown: whether a held-out metric is printed; all are recorded.

    Returns:
        The metrics at the end.

    Raises:
        InputError: something that the user can fix.
        Stopped: a signal asked for it; the same command resumes.
    """
    if is_first():
        learner.check_export()  # before anything is written
    with until_safe():
        run = TrainingRun(
            config,
            kind,
            learner,
            batches,
            parallel,
            constants,
            evaluate,
            facts,
            best_by,
            patience,
            shown,
        )
        log, steps, size = run.log, run.steps, batches.batch_size
        with log, run.tracer, out_of_memory(run.sequences_that_fit):
            passes = np.format_float_positional(
                steps * size / len(batches), precision=3, fractional=False, trim="-"
            )
            log.say(
                f"{learner.parameters / 1e6:.1f} M parameters, {steps:,} updates of {size:,} "
                f"sequences: {passes} passes over {title}"
            )
            where = readable(config.output)
            if run.start:
                log.say(f"going on from step {run.start:,} of {steps:,} in {where}")
            if 0 < run.tracer.last <= run.start:
                log.say(f"nothing is traced: --run.profile {config.run.profile} lies before that")
            try:
                results = run.train()
            finally:
                run.checkpoints.close()
            if not results:
                log.say(f"{where} is complete: {run.number:,} steps were done before")
                results = evaluate(run.state.params, run.constants)
        if best_by is None:
            run.write_model()
    return results


class DivergedError(InputError):
    """Of a run whose loss or gradient is no longer finite."""


class Unlogged(NamedTuple):
    """The last update, whose metrics the device may not have made yet, until it is logged."""

    number: int
    metrics: Mapping[str, Any]
    tokens: int
    places: int
    """Tokens and padding."""
    waited: float
    compiles: bool


class TrainingRun:
    """A run between two updates, begun or resumed; the arguments are those of `fit`."""

    def __init__(
        self,
        config: TrainConfig,
        kind: str,
        learner: Learner,
        batches: TrainingBatches,
        parallel: Parallel,
        constants: dict[str, Any],
        evaluate: Evaluate,
        facts: dict[str, Any],
        best_by: str | None,
        patience: int | None,
        shown: Callable[[str], bool],
    ):
        self.config, self.learner, self.batches, self.parallel = config, learner, batches, parallel
        self.evaluate, self.best_by, self.patience = evaluate, best_by, patience
        self.steps = config.updates(batches.updates_per_epoch)
        self.constants = parallel.replicate(constants)
        self.keys = parallel.replicate(keys_of(config.seed))
        sizes = {"total_steps": self.steps, "parameters": learner.parameters}
        self.record = claim(config, kind, facts | sizes)
        self.checkpoints = Checkpoints(config.output, keep=config.run.keep_checkpoints)
        self.state = parallel.place_state(learner.state)
        if self.checkpoints.latest() is not None:
            self.state = self.checkpoints.restore(self.state)
        self.start = self.number = self.saved = int(self.state.step)
        self.tracer = Tracer(config.run.profile, config.output, self.steps)
        self.log = MetricLog(
            config.output,
            total_steps=self.steps,
            start_step=self.start,
            extent=self.checkpoints.extent,
            print_every=config.run.print_every,
            shown=shown,
            writes=is_first(),
            track=config.run.track,
            settings=self.record,
        )
        self.model = config.output / "model"
        self.best, self.no_better = -math.inf, 0
        self.batch: Batch | None = None
        self.unlogged: Unlogged | None = None

    def train(self) -> dict[str, float]:
        """The metrics of the last evaluation, after all updates that are left; {} for none.

        Raises:
            InputError: the loss is not finite, or something cannot be written.
            Stopped: a signal came, and all is saved.
        """
        try:
            return self._train()
        except Stopped as stopped:
            self.save()
            raise Stopped(
                stopped.number,
                f"stopped at step {self.number:,} of {self.steps:,}; everything is saved in "
                f"{readable(self.config.output)}: the same command resumes from there",
            ) from None

    def _train(self) -> dict[str, float]:
        stop_if_asked()
        unmeasured = self.start == 0
        if self.start and is_first():
            rows = read_metrics(self.config.output, whole=self.best_by is not None)
            if self.best_by is not None and not self.model.is_dir():
                raise InputError(
                    f"{self.model}, the model of the best step so far, is gone: put back a copy, "
                    f"or remove {self.config.output} to make this run again"
                )
            for row in rows:
                if row["kind"] == "heldout":
                    self.improves(row)
            unmeasured = bool(rows) and rows[-1]["kind"] == "train"
        # The record is process 0's, and all have to do the same.
        unmeasured = bool(multihost_utils.broadcast_one_to_all(np.int32(unmeasured)))
        results = self.measure() if unmeasured and self.due(self.start) else {}
        if self.out_of_patience():
            return results
        shapes: set[tuple[int, ...]] = set()
        numbers = range(self.start + 1, self.steps + 1)
        read = timed(self.batches.iterate(self.start))
        for self.number, (batch, waited) in zip(numbers, read, strict=False):
            shape = batch["input_ids"].shape
            self.update(batch, waited, compiles=shape not in shapes)
            shapes.add(shape)
            ends = self.number == self.steps
            if self.due(self.number):
                results = self.measure()
                if not ends and self.out_of_patience():
                    self.log.say(
                        f"training ends at step {self.number:,} of {self.steps:,}: no better "
                        f"{self.best_by} in evaluations of --patience {self.patience}"
                    )
                    ends = True
            if ends or self.number % self.config.run.checkpoint_every == 0:
                self.save()
            stop_if_asked()
            if ends:
                break
        return results

    def due(self, number: int) -> bool:
        """True where an evaluation follows update `number`."""
        every = self.config.evaluate_every or math.ceil(self.batches.updates_per_epoch)
        return number in (0, self.steps) or number % every == 0

    def out_of_patience(self) -> bool:
        """True if too many evaluations in a row were not better; process 0 decides for all."""
        if self.patience is None:
            return False
        ends = multihost_utils.broadcast_one_to_all(np.int32(self.no_better >= self.patience))
        return bool(ends)

    def update(self, batch: Batch, waited: float, *, compiles: bool) -> None:
        """Starts the next update and logs the one before.

        Args:
            batch: of this process.
            waited: seconds that the loop waited for it.
            compiles: whether it is the first of its shape.
        """
        self.batch = batch
        if compiles:  # an update's time has no other's compilation in it
            self.catch_up()
            self.log.compiling(
                f"the update of {' × '.join(map(str, batch['input_ids'].shape))} tokens"
            )
        with self.tracer.update(self.number):
            inputs = self.constants, self.parallel.place(batch), self.keys
            apart = self.apart(*inputs)
            self.state, metrics = self.learner.step(self.state, *inputs)
        # The metrics of the step before are fetched while this one runs.
        self.catch_up()
        tokens = self.batches.tokens(self.number - 1)
        texts = [batch[name] for name in ("input_ids", "target_ids") if name in batch]
        places = sum(ids.size for ids in texts) * jax.process_count()  # each reads its share
        numbers = {**metrics, **apart}
        self.unlogged = Unlogged(self.number, numbers, tokens, places, waited, compiles)
        self.tracer.done(self.number, metrics)

    def apart(self, *inputs: Any) -> Mapping[str, Any]:
        """The gradients of the terms in the first, the middle and the last update, if asked for."""
        if self.learner.term_gradients is None:
            return {}
        if self.number not in (1, (self.steps + 1) // 2, self.steps):
            return {}
        return self.learner.term_gradients(self.state, *inputs)

    @partial(jax.profiler.annotate_function, name="log")
    def catch_up(self) -> None:
        """Fetches and logs the metrics of the last update, if that is still to be done.

        Raises:
            DivergedError: the loss or the gradient is not finite: nothing later can be trusted.
        """
        if self.unlogged is None:
            return
        update, self.unlogged = self.unlogged, None
        values = {name: float(value) for name, value in jax.device_get(update.metrics).items()}
        values["padding"] = 1 - update.tokens / update.places
        waited, compiles = update.waited, update.compiles
        self.log.step(update.number, values, update.tokens, waited=waited, compiles=compiles)
        # In a stack of students a name begins with the student's: the others may still learn.
        watched = [name for name in ("loss", "grad_norm") if name in values]
        broken = [name for name in watched if not math.isfinite(values[name])]
        if broken:
            raise DivergedError(
                f"the {broken[0]} is {values[broken[0]]} at step {update.number:,}: training "
                "stopped, and the last good checkpoint is kept; try a lower "
                "--optimizer.learning-rate"
            )

    @partial(jax.profiler.annotate_function, name="evaluate")
    def measure(self) -> dict[str, float]:
        """The held-out metrics after the last update; logs them, and keeps the best model."""
        self.catch_up()
        self.log.evaluating()
        results = self.evaluate(self.state.params, self.constants)
        if self.improves(results):
            self.write_model()  # before what says that it is written
        self.log.heldout(self.number, results)
        return results

    def improves(self, results: Mapping[str, Any]) -> bool:
        """True if an evaluation is better than all before it; counts those that are not."""
        if self.best_by is None or not results[self.best_by] > self.best:
            self.no_better += 1
            return False
        self.best, self.no_better = results[self.best_by], 0
        return True

    def save(self) -> None:
        """Saves a checkpoint, once all that was recorded before it is on disk."""
        self.catch_up()
        if self.number == self.saved:
            return
        extent = self.log.flush()
        check_held(self.config.output)
        if is_first():
            upload(self.config.output)
        self.checkpoints.save(self.state, self.record, extent)
        self.saved = self.number

    def write_model(self) -> None:
        """Writes the present model into the run's folder."""
        if is_first():
            self.learner.export(jax.device_get(self.state.params), self.model)

    def sequences_that_fit(self) -> str:
        """The end of the sentence on too little memory: how many sequences would fit."""
        if self.batch is None:
            return ""
        axis = 2 if self.parallel.mode == "pmap" else 1
        placed = self.parallel.place(self.batch)
        return sequences_that_fit(
            self.learner.step, self.state, self.constants, placed, self.keys, axis=axis
        )
