"""Tokens a second of generation, greedily and by beams, beside transformers.

Every contender runs in a process of its own, so that the peak of memory is its own; they write
alternately, so that all meet the same disturbances.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from eval.timing.device import use
from eval.timing.generation.case import GenerationCase
from eval.timing.measurement import announced
from eval.timing.settings import SIZES, GenerationSpeed, Size
from eval.timing.worker import OutOfMemoryError, Worker, update_alternately
from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.decoder.settings import GenerationConfig
from model.distilbert import DistilBert
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import save
from report.tables import terminal_table

OURS, TORCH = "this repository", "torch"


def measure_generation(settings: GenerationSpeed, console: Console) -> dict[str, Any]:
    """Tokens a second and peak memory for each number of beams and of texts; prints them.

    Raises:
        InputError: the model writes no text or not so long a one, there is no such device, or torch
            is to be compared elsewhere than on the CPU.
    """
    on = use(settings.device).platform
    if on not in ("cpu", "gpu", "tpu"):
        raise InputError(f"JAX computes on {on} here; --device knows cpu, gpu and tpu")
    if on != "cpu" and settings.against:
        raise InputError("--against torch compares generation on the CPU: give --device cpu")
    measured = []
    with tempfile.TemporaryDirectory() as temporary:
        if settings.model is None:
            folder = Path(temporary)
            save(random_writer(settings.size), folder)
        else:
            folder = check_writer(settings.model, settings)
        for beams in settings.beams:
            for rows in settings.batch_size:
                lengths = settings.source_length, settings.new_tokens
                case = GenerationCase(folder, rows, beams, *lengths, on)
                contenders = _compare(case, settings)
                measured.append({"beams": beams, "batch": rows, "contenders": contenders})
    console.print(generation_table(settings, measured))
    return {"measured": measured}


def random_writer(size: Size) -> Seq2Seq:
    """A DistilBERT and a BERT of as many layers as its decoder, with random weights."""
    encoder = SIZES[size][1]
    whole = SIZES[size][0].replace(num_layers=encoder.num_layers)
    rngs = nnx.Rngs(0)
    return Seq2Seq(
        DistilBert(encoder, rngs=rngs),
        CausalLM(whole, crosses=True, rngs=rngs),
        generation=GenerationConfig(start=2, end=3),
        rngs=rngs,
    )


def check_writer(name: str, settings: GenerationSpeed) -> Path:
    """The folder of a model that can write such texts.

    Raises:
        InputError: it cannot.
    """
    checkpoint = open_checkpoint(name)
    if checkpoint.model_class() not in (Seq2Seq, CausalLM):
        raise InputError(
            f"{name} is a {' and a '.join(checkpoint.classes)}, which generates no text: give the "
            "folder of an EncoderDecoderModel or of a BertLMHeadModel"
        )
    if checkpoint.read_generation() is None:
        raise InputError(
            f"{name} does not say which tokens start and end a text: that takes bos_token_id and "
            "eos_token_id in its generation_config.json"
        )
    needed = {"--new-tokens": (settings.new_tokens, checkpoint.decoder or checkpoint.config)}
    if checkpoint.decoder is not None:
        needed["--source-length"] = settings.source_length, checkpoint.config
    for flag, (length, config) in needed.items():
        if length > config.max_positions:
            raise InputError(
                f"{flag} is {length}, and {name} has {config.max_positions} positions for that: "
                "give fewer"
            )
    checkpoint.read_tensors()  # of a name on the hub they are fetched here
    return checkpoint.folder


def _compare(case: GenerationCase, settings: GenerationSpeed) -> dict[str, dict[str, Any]]:
    """The numbers of each contender, by name."""
    made = {OURS: case.ours} | ({TORCH: case.torch} if settings.against else {})
    with ExitStack() as stack:
        workers = {}
        for name, make in made.items():
            try:
                workers[name] = stack.enter_context(Worker(make))
            except OutOfMemoryError as error:
                raise InputError(
                    f"{name}: {case.rows} texts of {case.beams} beams do not fit; a smaller "
                    f"--batch-size may ({error})"
                ) from None
        one_round = sum(worker.first_seconds for worker in workers.values())
        announced(f"{case.rows} texts, beams: {case.beams}")(one_round * settings.repeats)
        seconds, facts = update_alternately(workers, settings.repeats)
    return {
        name: {
            "seconds": seconds[name],
            "tokens_per_second": case.tokens / float(np.median(seconds[name])),
            **facts[name],
        }
        for name in made
    }


def generation_table(settings: GenerationSpeed, measured: list[dict[str, Any]]) -> Table:
    """A line for each number of beams and of texts; how many times torch's tokens ours are."""
    against = [OURS, TORCH] if settings.against else [OURS]
    header = ["beams", "texts", *(f"{name}\n{what}" for name in against for what in _WHAT)]
    header += ["ours\n/ torch"] if settings.against else []
    lines = []
    for row in measured:
        found = row["contenders"]
        line = [str(row["beams"]), str(row["batch"])]
        for name in against:
            line.append(f"{found[name]['tokens_per_second']:,.0f}")
            line.append(f"{found[name]['peak_memory_bytes'] / 1e6:,.0f}")
        if settings.against:
            speeds = [found[name]["tokens_per_second"] for name in against]
            line.append(f"{speeds[0] / speeds[1]:.2f}")
        lines.append(line)
    return terminal_table(f"Texts of {settings.new_tokens} tokens, float32", header, lines)


_WHAT = ("tokens/s", "peak MB")
