"""How fast models run and learn, as ratios measured in one go on the same machine.

    python -m eval.speed
    python -m eval.speed --against torch --json speed.json

The command times whole updates of distillation: BERT-base reads, DistilBERT-base reads and learns.
The weights and the tokens are random: speed does not depend on their values.
"""

import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from rich.console import Console
from rich.table import Table

from eval.speed_flax import LOSS, OPTIMIZER, FlaxStep, random_batch
from model.config import EncoderConfig, bert_base, distilbert_base, tiny_bert, tiny_distilbert
from model.errors import InputError
from model.pretrained import save
from model.tasks import MaskedLM
from train.provenance import provenance, write_json_atomic

SIZES: dict[str, tuple[Callable[[], EncoderConfig], Callable[[], EncoderConfig]]] = {
    "base": (bert_base, distilbert_base),
    "tiny": (tiny_bert, tiny_distilbert),
}
OURS = "this repository, float32"


@dataclass(frozen=True)
class Speed:
    """Time whole updates of distillation: the triple loss, its gradient, the clip and AdamW."""

    batch: int = 8
    """Sequences an update."""
    length: int = 128
    """Tokens in a sequence, all of them attended."""
    size: Literal["base", "tiny"] = "base"
    """BERT-base and DistilBERT-base, or the pair of the tiny recipes."""
    steps: int = 5
    """Updates that are timed, after one that is not."""
    against: Literal["torch"] | None = None
    """`torch`: Hugging Face's models do the same on the same batches, by turns with ours."""
    json: Path | None = None
    """A file for every single time, the versions and the machine."""


def seconds_by_turns(
    functions: Mapping[str, Callable[[], object]], *, repeats: int
) -> dict[str, list[float]]:
    """The times of each function, called by turns so that all meet the same disturbances.

    Each is called once before, to compile.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            times[name].append(time.perf_counter() - start)
    return times


def sentences_per_second(
    models: Mapping[str, MaskedLM], *, sentences: int = 32, length: int = 64, repeats: int = 20
) -> dict[str, float]:
    """Sentences of `length` tokens that each encoder reads in a second, `sentences` at a time."""
    ids = jnp.ones((sentences, length), jnp.int32)

    def runner(model: MaskedLM) -> Callable[[], object]:
        graphdef, params = nnx.split(model.backbone)
        encode = jax.jit(lambda params, ids: nnx.merge(graphdef, params)(ids).last_hidden)
        return lambda: encode(params, ids)

    seconds = seconds_by_turns({n: runner(m) for n, m in models.items()}, repeats=repeats)
    return {name: sentences / float(np.median(values)) for name, values in seconds.items()}


def measure(config: Speed) -> dict[str, Any]:
    """Runs the comparison.

    Returns:
        `seconds`: the time of every update, by name; `compile_seconds` and `peak_memory_bytes` of
        ours; `load_average_before`: how many other threads wanted the cores; `provenance`: command,
        versions and machine.

    Raises:
        InputError: a setting makes no sense, or torch is asked for and not there.
    """
    check(config)
    load = os.getloadavg()[0]
    teacher, student = (
        MaskedLM(make(), rngs=nnx.Rngs(seed)) for seed, make in enumerate(SIZES[config.size])
    )
    batches = [
        random_batch(student.config, config.batch, config.length, seed)
        for seed in range(config.steps + 2)
    ]
    with tempfile.TemporaryDirectory() as folder:
        if config.against:
            save(teacher, Path(folder, "teacher"))
            save(student, Path(folder, "student"))
        ours = FlaxStep(student, teacher, batches[0])
        ours(batches[0])
        memory = peak_memory()  # before torch, which would be counted with ours
        functions: dict[str, Callable[[], object]] = {OURS: _in_turn(ours, batches[1:])}
        record = provenance()
        if config.against:
            from eval.speed_torch import TorchStep, as_tensors

            masked = [
                as_tensors(ours.masked(batch, number)) for number, batch in enumerate(batches)
            ]
            for autocast, name in ((False, "torch, float32"), (True, "torch, bfloat16 autocast")):
                theirs = TorchStep(Path(folder), LOSS, OPTIMIZER, autocast=autocast)
                functions[name] = _in_turn(theirs, masked[1:])
            record["versions"] |= {p: metadata.version(p) for p in ("torch", "transformers")}
        seconds = seconds_by_turns(functions, repeats=config.steps)
    return {
        "settings": config,
        "seconds": seconds,
        "compile_seconds": ours.compile_seconds,
        "peak_memory_bytes": memory,
        "load_average_before": load,
        "provenance": record,
    }


def check(config: Speed) -> None:
    """Raises InputError for what cannot be measured."""
    for name in ("batch", "steps"):
        if getattr(config, name) < 1:
            raise InputError(f"--{name} is {getattr(config, name)}, and must be at least 1")
    positions = SIZES[config.size][0]().max_positions
    if not 1 <= config.length <= positions:
        raise InputError(
            f"--length is {config.length}, and the {config.size} models have {positions} positions"
        )
    if config.against is None:
        return
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        raise InputError(
            "--against torch needs torch and transformers, which are not installed: "
            "pip install -e .[oracle]"
        )
    if jax.default_backend() != "cpu":
        raise InputError("--against torch compares on the CPU: set JAX_PLATFORMS=cpu")


def _in_turn(step: Callable[[Any], object], batches: list[Any]) -> Callable[[], object]:
    """The step on the next batch at every call."""
    left = iter(batches)
    return lambda: step(next(left))


def peak_memory() -> int:
    """The most main memory that this process has held so far, in bytes (ru_maxrss)."""
    import resource  # not there on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def table(config: Speed, seconds: Mapping[str, list[float]]) -> Table:
    """Medians, a row each, and how many times as fast each is as torch in float32."""
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    first_torch = next((median for name, median in medians.items() if name != OURS), None)
    result = Table(title=f"An update of distillation, {config.size}, median of {config.steps}")
    result.add_column("")
    for title in ("seconds", "tokens/s", *(["speed over torch float32"] if first_torch else [])):
        result.add_column(title, justify="right")
    for name, median in medians.items():
        cells = [f"{median:.3g}", f"{config.batch * config.length / median:,.0f}"]
        result.add_row(name, *cells, *([f"{first_torch / median:.2f} x"] if first_torch else []))
    return result


def speed(config: Speed) -> None:
    """Measures, prints, and writes the file that was asked for."""
    record = measure(config)
    console = Console(highlight=False)
    console.print(table(config, record["seconds"]))
    console.print(
        f"{config.batch} x {config.length} tokens an update. Ours compiled in "
        f"{record['compile_seconds']:.1f} s; peak memory of the process, before any torch: "
        f"{record['peak_memory_bytes'] / 1e9:.2f} GB (ru_maxrss). Load average before: "
        f"{record['load_average_before']:.1f} (the "
        "ratios mean something only on a quiet machine, where it is near 0)."
    )
    if config.json is not None:
        write_json_atomic(config.json, record)


if __name__ == "__main__":
    from train.cli import main

    main(lambda: speed(tyro.cli(Speed, prog="python -m eval.speed")))
