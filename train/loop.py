"""The training loop around the step: batches in, checkpoints, metrics and a trained model out.

Order at every update: step, evaluate, write metrics, then save. What a checkpoint at step n belongs
to is then on disk before it, and a run that goes on from it repeats nothing and misses nothing.
"""

import math
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from data.batches import Batches
from data.masking import token_log_weights
from data.pipeline import Data
from data.tokenizer import save_tokenizer, special_ids
from eval.masked_lm import HeldOut
from eval.report import write_report
from model.errors import InputError
from model.pretrained import save
from model.tasks import MaskedLM
from train.checkpoint import Checkpoints
from train.config import TrainConfig
from train.folder import claim
from train.logging import MetricLog
from train.optimizer import make_optimizer
from train.parallel import Parallel
from train.step import Keys, Metrics, Objective, TrainState, init_state, make_step
from train.streams import stream_key


class Stopped(Exception):  # noqa: N818 (not an error)
    """The run was asked to stop, and has saved what it needs to go on."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.exit_status = 128 + signum


class Signals:
    """Remembers SIGTERM and Ctrl-C until the step is done; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> "Signals":
        watched = (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, self._remember) for number in watched}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.received = number


def compute_dtype(config: TrainConfig) -> str:
    """bfloat16 where the hardware multiplies it faster, unless the configuration says otherwise."""
    if config.dtype != "auto":
        return config.dtype
    return "float32" if jax.default_backend() == "cpu" else "bfloat16"


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Any]:
    """A model as (structure, parameters), the parameters a plain nested dict of arrays."""
    graphdef, params = nnx.split(model, nnx.Param)
    return graphdef, nnx.to_pure_dict(params)


def fit(
    config: TrainConfig,
    *,
    kind: str,
    data: Data,
    model: MaskedLM,
    make_objective: Callable[[nnx.GraphDef], Objective],
    teacher: MaskedLM | None = None,
    frozen: tuple[str, ...] = (),
) -> dict[str, float]:
    """Trains `model` as `config` says and leaves a run folder; goes on where an earlier try ended.

    Returns:
        The held-out metrics at the end.

    Raises:
        InputError: something that the user can mend.
        Stopped: a signal asked for it; the same command goes on.
    """
    parallel = Parallel(config.run)
    parallel.check_rows(config.batch_size, config.micro_batches, config.masking.group_rows)
    special = special_ids(data.tokenizer)
    batches = Batches(
        data.train,
        batch_size=config.batch_size,
        micro_batches=config.micro_batches,
        seed=config.seed,
        pad_id=special.pad,
        host=jax.process_index(),
        hosts=jax.process_count(),
    )
    total_steps = config.steps or max(math.ceil(config.epochs * batches.steps_per_epoch), 1)

    graphdef, params = split(model)
    teacher_graphdef, teacher_params = (None, {}) if teacher is None else split(teacher)
    optimizer = make_optimizer(config.optimizer, total_steps, frozen=frozen)
    objective = make_objective(graphdef)
    step = parallel.compile(lambda axis: make_step(objective, optimizer, axis))
    counts = data.train.counts
    constants = parallel.replicate(
        {
            "log_weights": jnp.asarray(
                token_log_weights(counts, special, config.masking.smoothing)
            ),
            "teacher": teacher_params,
        }
    )
    keys = parallel.replicate(
        Keys(stream_key(config.seed, "masking"), stream_key(config.seed, "dropout"))
    )
    heldout = HeldOut(
        data.heldout,
        counts,
        special,
        rows=config.batch_size // config.micro_batches,
        limit=config.heldout_sequences,
    )
    evaluate = heldout.evaluator(graphdef, teacher_graphdef, parallel.place_rows)

    facts = {
        "corpus": data.corpus.fingerprint,
        "sequences": data.train.fingerprint,
        "heldout_sequences": data.heldout.fingerprint,
        "total_steps": total_steps,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
    }
    record = claim(config, kind, facts)
    checkpoints = Checkpoints(config.output, keep=config.run.keep_checkpoints)
    state = parallel.replicate(init_state(params, optimizer))
    start = checkpoints.latest() or 0
    if start:
        state = checkpoints.restore(state)

    log = MetricLog(
        config.output,
        total_steps=total_steps,
        start_step=start,
        tokens_per_step=config.batch_size * config.data.sequence_length,
        print_every=config.run.print_every,
    )
    with log, Signals() as signals:
        log.say(summary(config, data, facts))
        if start:
            log.say(f"going on from step {start:,} of {total_steps:,} in {config.output}")
        try:
            results = {}
            if start == 0:
                results = evaluate(state.params, constants["teacher"])
                log.heldout(0, results)
            pending: tuple[int, Metrics] | None = None
            for number, batch in enumerate(batches.iterate(start), start + 1):
                if number > total_steps:
                    break
                state, metrics = step(state, constants, parallel.place(batch), keys)
                # The metrics of the step before are fetched while this one runs.
                record_metrics(log, pending)
                pending = number, metrics

                last = number == total_steps
                due = last or number % config.evaluate_every == 0
                stop = signals.received is not None
                save_now = last or stop or number % config.run.checkpoint_every == 0
                if due or save_now:
                    record_metrics(log, pending)
                    pending = None
                if due:
                    results = evaluate(state.params, constants["teacher"])
                    log.heldout(number, results)
                if save_now:
                    log.flush()
                    checkpoints.save(state, record)
                if stop and not last:
                    raise Stopped(
                        signals.received or 0,
                        f"stopped at step {number:,} of {total_steps:,}; everything is saved in "
                        f"{config.output}: the same command goes on from there",
                    )
        finally:
            checkpoints.close()
        if start >= total_steps:
            log.say(f"{config.output} is complete: {total_steps:,} steps were done before")
            results = evaluate(state.params, constants["teacher"])

    export(config, data, graphdef, state)
    write_report(config.output)
    return results


def summary(config: TrainConfig, data: Data, facts: dict[str, Any]) -> str:
    """What is about to be run, in the units that runs are compared by."""
    tokens = config.batch_size * config.data.sequence_length
    epochs = facts["total_steps"] * config.batch_size / len(data.train)
    return (
        f"{facts['parameters'] / 1e6:.1f} M parameters, {facts['total_steps']:,} updates of "
        f"{config.batch_size:,} sequences of up to {config.data.sequence_length} tokens "
        f"({tokens:,} an update): {epochs:.2g} passes over the {len(data.train):,} sequences of "
        f"{data.corpus.name}"
    )


def record_metrics(log: MetricLog, pending: tuple[int, Metrics] | None) -> None:
    """Fetches and logs one step's metrics.

    Raises:
        InputError: the loss or the gradient is not finite, so nothing later can be trusted.
    """
    if pending is None:
        return
    number, metrics = pending
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    log.step(number, values)
    broken = [name for name in ("loss", "grad_norm") if not math.isfinite(values[name])]
    if broken:
        raise InputError(
            f"the {broken[0]} is {values[broken[0]]} at step {number:,}: training stopped, and "
            "the last good checkpoint is kept; try a lower --optimizer.learning-rate"
        )


def export(config: TrainConfig, data: Data, graphdef: nnx.GraphDef, state: TrainState) -> None:
    """Writes the trained model with its tokenizer as a Hugging Face folder, `output`/model."""
    folder = config.output / "model"
    save(nnx.merge(graphdef, jax.device_get(state.params)), folder)
    save_tokenizer(data.tokenizer, folder)
