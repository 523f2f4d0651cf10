"""Time and memory of exact search, in a process of its own for each number of documents.

Vectors and queries are random, of norm 1: neither depends on their values.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from data.clock import seconds_since
from eval.timing.device import use
from eval.timing.peak import peak_main_memory
from eval.timing.settings import SearchSpeed
from eval.timing.worker import answer_once
from report.tables import terminal_table
from tasks.search.exact import ExactSearch
from tasks.search.vectors import StoredVectors, write_vectors

WRITTEN_TOGETHER = 10_000


def measure_search(settings: SearchSpeed, console: Console) -> dict[str, Any]:
    """Bytes of the index, seconds of searches, and memory, by number of documents; prints them.

    Raises:
        InputError: there is no such device, or no room for the vectors.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in settings.documents:
            file = Path(folder, "vectors.npy")
            shape = (count, settings.width)
            write_vectors(file, shape, settings.vectors, random_batches(*shape), None)
            row = {"documents": count, "index_bytes": file.stat().st_size}
            rows.append(row | answer_once(partial(search_times, settings, file)))
    result = {"measured": rows}
    console.print(search_table(settings, result))
    console.print(
        "First: of one query, with the reading of the disk and compilation. "
        f"Libraries alone hold {rows[0]['libraries'] / 1e6:,.0f} MB."
    )
    return result


def random_batches(count: int, width: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places and vectors of norm 1."""
    random = np.random.default_rng(0)
    for start in range(0, count, WRITTEN_TOGETHER):
        places = np.arange(start, min(start + WRITTEN_TOGETHER, count))
        vectors = random.standard_normal((len(places), width), np.float32)
        yield places, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def search_times(settings: SearchSpeed, file: Path) -> dict[str, Any]:
    """Seconds of searches in this process, and the most memory that it held."""
    devices = jax.local_devices(backend=use(settings.device).platform)
    libraries = peak_main_memory()
    _, queries = next(random_batches(max(settings.queries), settings.width))
    start = time.perf_counter()
    search = ExactSearch(StoredVectors(file), devices=devices)
    search(queries[:1], settings.top)
    first = seconds_since(start)
    seconds = {
        number: median_seconds(partial(search, queries[:number], settings.top), settings.repeats)
        for number in settings.queries
    }
    memory = {"libraries": libraries, "peak": peak_main_memory()}
    return {"first": first, "seconds": seconds, **memory}


def median_seconds(function: Callable[[], Any], repeats: int) -> float:
    """Of a function, which is called once more before."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(seconds_since(start))
    return float(np.median(times))


def search_table(settings: SearchSpeed, result: dict[str, Any]) -> Table:
    """A line for each number of documents."""
    asked = [f"{n} {'query' if n == 1 else 'queries'}\nms" for n in settings.queries]
    header = ["documents", "index\nMB", "first\nms", *asked, "peak\nMB"]
    lines = [
        [
            f"{row['documents']:,}",
            f"{row['index_bytes'] / 1e6:,.1f}",
            f"{1e3 * row['first']:,.0f}",
            *(f"{1e3 * row['seconds'][number]:,.1f}" for number in settings.queries),
            f"{row['peak'] / 1e6:,.0f}",
        ]
        for row in result["measured"]
    ]
    title = f"Exact search, {settings.width} numbers in {settings.vectors}"
    return terminal_table(f"{title}, the best {settings.top}", header, lines)
