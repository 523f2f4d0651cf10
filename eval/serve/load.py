"""Load on a server by many clients at once: how many requests it answers, and how soon."""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from data.clock import seconds_since
from data.tokenizer import load_vocabulary, save_vocabulary
from eval.serve.__main__ import check_libraries
from eval.timing.measurement import announced
from eval.timing.peak import peak_main_memory_of
from eval.timing.predictions import random_texts
from eval.timing.settings import PREDICTION_SIZES, PredictionSize, ServingSpeed
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.hf.weight_map import ENCODERS
from model.pretrained import save
from model.tasks import Embedder
from report.tables import terminal_table
from train.recipes.distill import TINY_TEACHER

TEXTS_SENT = 1000
"""Texts that differ; then they come again."""
PERCENTILES = (50, 95, 99)


class LoadedServer(NamedTuple):
    """A server in a process of its own."""

    process: int
    port: int
    start_seconds: float
    """Until it said that it was ready."""


def measure_serving(settings: ServingSpeed, console: Console) -> dict[str, Any]:
    """Requests a second, their times and the server's memory; prints them.

    Raises:
        InputError: the model has no vectors, a library is missing, or the server has ended.
    """
    check_libraries()
    with tempfile.TemporaryDirectory() as folder:
        name = settings.model or random_embedder(Path(folder), settings.size)
        checkpoint = open_checkpoint(name)
        vocabulary = load_vocabulary(checkpoint.place)
        texts = random_texts(vocabulary, TEXTS_SENT, settings.tokens, settings.tokens)
        announced("the runs")(settings.seconds * (settings.repeats + 1))
        with started(name) as server:
            runs = [
                asyncio.run(send(server.port, texts, settings.clients, settings.seconds))
                for _ in range(settings.repeats + 1)
            ][1:]
            peak = peak_main_memory_of(server.process)
    result = {"runs": runs, "start_seconds": server.start_seconds, "peak_memory_bytes": peak}
    console.print(serving_table(settings, result))
    console.print(f"The server was ready after {server.start_seconds:.0f} s.")
    return result


def random_embedder(folder: Path, size: PredictionSize) -> str:
    """The name of an embedder that is written to a folder."""
    vocabulary = load_vocabulary(TINY_TEACHER)
    config = PREDICTION_SIZES[size].replace(vocab_size=vocabulary.size)
    encoder = ENCODERS[config.architecture](config, rngs=nnx.Rngs(0))
    save(Embedder(encoder, max_length=min(256, config.max_positions)), folder)
    save_vocabulary(vocabulary, folder)
    return str(folder)


@contextmanager
def started(model: str) -> Iterator[LoadedServer]:
    """A server of a model, until the end of the block.

    Raises:
        InputError: it does not start, or did not stop as it should.
    """
    start = time.perf_counter()
    line = [sys.executable, "-m", "eval.serve", model, "--embed", "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = next((each for each in process.stdout if each.startswith("ready: ")), None)
        if told is None:
            raise InputError("the server did not start: its message stands above")
        try:
            yield LoadedServer(process.pid, int(told.rpartition(":")[2]), seconds_since(start))
        finally:
            process.send_signal(signal.SIGTERM)
            for _ in process.stdout:
                pass
    if process.returncode:
        raise InputError(f"the server ended with the status {process.returncode}")


async def send(port: int, texts: Sequence[str], clients: int, seconds: float) -> dict[str, Any]:
    """What becomes of the requests of so many clients, in so many seconds."""
    requests = cycle([_request(text) for text in texts])
    answered: list[tuple[str, float]] = []
    start = time.perf_counter()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while seconds_since(start) < seconds:
            sent = time.perf_counter()
            try:
                writer.write(next(requests))
                status = await _read_answer(reader)
            except (OSError, asyncio.IncompleteReadError):
                answered.append(("lost", seconds_since(sent)))
                break
            answered.append((status, seconds_since(sent)))
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    took, times = seconds_since(start), [each for _, each in answered]
    shares = np.percentile(times, PERCENTILES) if times else np.zeros(len(PERCENTILES))
    return {
        "requests": len(answered),
        "statuses": dict(Counter(status for status, _ in answered)),
        "per_second": len(answered) / took,
        "seconds": dict(zip(map(str, PERCENTILES), shares.tolist(), strict=True)),
        "longest": max(times, default=0.0),
    }


def _request(text: str) -> bytes:
    body = json.dumps({"texts": [text]}).encode()
    head = f"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _read_answer(reader: asyncio.StreamReader) -> str:
    """The status of an answer, of which all has come."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
    _, _, rest = head.partition("content-length:")
    await reader.readexactly(int(rest.split("\r\n")[0]))
    return head.split()[1]


def serving_table(settings: ServingSpeed, result: dict[str, Any]) -> Table:
    """A line with the medians of the runs; errors and the longest time are those of all."""
    runs, peak = result["runs"], result["peak_memory_bytes"]
    requests = sum(run["requests"] for run in runs)
    errors = requests - sum(run["statuses"].get("200", 0) for run in runs)
    times = [np.median([run["seconds"][str(share)] for run in runs]) for share in PERCENTILES]
    header = ["requests", "errors", "a second", *(f"{share} %\nms" for share in PERCENTILES)]
    line = [f"{requests:,}", f"{errors:,}", f"{np.median([r['per_second'] for r in runs]):,.0f}"]
    line += [f"{1e3 * each:,.0f}" for each in (*times, max(run["longest"] for run in runs))]
    line.append("" if peak is None else f"{peak / 1e6:,.0f}")
    title = f"{settings.clients} clients, texts of {settings.tokens} tokens"
    return terminal_table(title, [*header, "longest\nms", "peak\nMB"], [line])
