"""Milliseconds a text of `eval.predict`, beside the compiled model alone and torch's pipeline."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from data.tokenizer import load_vocabulary, save_vocabulary
from data.vocabulary import Vocabulary
from eval.predict import predict
from eval.timing.device import use
from eval.timing.measurement import announced
from eval.timing.settings import PREDICTION_SIZES, PredictionSpeed
from model.errors import InputError
from model.pretrained import save
from model.tasks import SequenceClassification
from report.reading_speed import time_alternately
from report.tables import terminal_table
from train.recipes.distill import TINY_TEACHER

LENGTH = 32
"""Tokens of the longest text, and those that shorter ones are padded to."""
TOGETHER = (1, 32)
"""Texts in a call."""
OURS, BARE, TORCH = "eval.predict", "compiled model", "torch: pipeline"


def measure_predictions(settings: PredictionSpeed, console: Console) -> dict[str, Any]:
    """Milliseconds a text of a classifier, one text at a time and 32 together; prints them.

    Raises:
        InputError: there is no such device, or torch is to be compared elsewhere than on the CPU.
    """
    if use(settings.device).platform != "cpu" and settings.against:
        raise InputError("--against torch compares predictions on the CPU: give --device cpu")
    vocabulary = load_vocabulary(TINY_TEACHER)
    config = PREDICTION_SIZES[settings.size].replace(vocab_size=vocabulary.size)
    model = SequenceClassification(config, rngs=nnx.Rngs(0))
    texts = random_texts(vocabulary, settings.texts)
    calls = []
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
        save_vocabulary(vocabulary, Path(folder))
        for rows in TOGETHER:
            parts = [texts[start : start + rows] for start in range(0, len(texts), rows)]
            readers: dict[str, Callable[[], object]] = {
                OURS: lambda parts=parts: [predict(model, vocabulary, part) for part in parts],
                BARE: compiled_model(model, vocabulary, parts, rows),
            }
            if settings.against:
                readers[TORCH] = torch_pipeline(Path(folder), parts)
            what = announced(f"{rows} of {len(texts)} texts in a call")
            seconds = time_alternately(readers, repeats=settings.repeats, announce=what)
            medians = {name: 1e3 * float(np.median(s)) / len(texts) for name, s in seconds.items()}
            calls.append({"together": rows, "milliseconds": medians})
    console.print(prediction_table(calls))
    return {"calls": calls}


def random_texts(
    vocabulary: Vocabulary, count: int, shortest: int = 5, longest: int = LENGTH
) -> list[str]:
    """Texts of so many tokens, [CLS] and [SEP] included: random words, each a token of its own."""
    words = [piece for piece in vocabulary.pieces if piece.isascii() and piece.isalpha()]
    random = np.random.default_rng(0)
    return [
        " ".join(random.choice(words, random.integers(shortest, longest, endpoint=True) - 2))
        for _ in range(count)
    ]


def compiled_model(
    model: nnx.Module, vocabulary: Vocabulary, parts: Sequence[Sequence[str]], rows: int
) -> Callable[[], list[np.ndarray]]:
    """A function that computes the logits of all parts, which are tokenised and padded already."""
    graphdef, params = nnx.split(model)
    read = jax.jit(lambda params, *batch: nnx.merge(graphdef, params)(*batch).logits)
    batches = []
    for part in parts:
        ids = np.full((rows, LENGTH), vocabulary.special.pad, np.int32)
        for row, encoding in enumerate(vocabulary.tokenizer.encode_batch(list(part))):
            ids[row, : len(encoding.ids)] = encoding.ids
        batches.append((ids, ids != vocabulary.special.pad))
    return lambda: [np.asarray(read(params, *batch)) for batch in batches]


def torch_pipeline(folder: Path, parts: Sequence[Sequence[str]]) -> Callable[[], object]:
    """A function that asks transformers' pipeline for the classes of all parts."""
    from transformers import pipeline
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    name = str(folder)
    ask = pipeline("text-classification", model=name, tokenizer=name, device="cpu", top_k=None)
    return lambda: [ask(list(part), batch_size=len(part)) for part in parts]


def prediction_table(calls: Sequence[dict[str, Any]]) -> Table:
    """Milliseconds a text, how many times those of the compiled model, and torch's over ours."""
    header, lines = ["texts\nin a call", OURS, BARE, f"{OURS}\n/ model"], []
    for row in calls:
        times = row["milliseconds"]
        line = [str(row["together"]), f"{times[OURS]:.3g}", f"{times[BARE]:.3g}"]
        line.append(f"{times[OURS] / times[BARE]:.2f}")
        if TORCH in times:
            line += [f"{times[TORCH]:.3g}", f"{times[TORCH] / times[OURS]:.2f}"]
        lines.append(line)
    if TORCH in calls[0]["milliseconds"]:
        header += ["torch:\npipeline", "torch\n/ ours"]
    return terminal_table(f"Milliseconds a text of 5 to {LENGTH} tokens, float32", header, lines)
