"""Vectors of texts in a file, for `eval.predict --embed`."""

import os
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from data.storage.atomic import check_writable, replacing
from data.tokenizer import load_vocabulary
from eval.asking.inference import Input
from eval.asking.inputs import read_inputs
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.tasks import Embedder
from model.terminal import say
from tasks.embeddings.embed import embed
from tasks.reading import Asked, Reading
from tasks.words.encode import check_text


def write_npy(
    path: Path,
    model: str,
    texts: Sequence[str],
    file: Path | None,
    asked: Asked,
    prompt: str | None,
) -> None:
    """Writes the vector of each text to an npy file: float32 [texts, width], in their order.

    The file is whole, or as it was before.

    Args:
        path: of the npy file.
        model: a folder or hub name, of any encoder.
        texts: those of the command line.
        file: has the texts if there are none, as `read_inputs` has it; None: on standard input.
        asked: of it only `reading.max_length` means something.
        prompt: as `embed` has it.

    Raises:
        InputError: as `read_inputs` and `embed`; something else is asked, or the disk refuses.
    """
    _check_alone(asked)
    check_writable(path, [file])
    checkpoint = open_checkpoint(model)
    embedder, vocabulary = load(checkpoint, Embedder), load_vocabulary(checkpoint.place)
    length = asked.reading.max_length
    chunks = read_inputs(None, texts, file, Asked(), _check)
    given = [each.text for chunk in chunks for each in chunk]
    vectors = embed(embedder, vocabulary, given, prompt=prompt, max_length=length)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, vectors, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())
    say(f"{len(vectors):,} vectors, {vectors.shape[1]} wide: {path}")


def _check(given: Input) -> None:
    check_text(given.text, given.place)


def _check_alone(asked: Asked) -> None:
    """Raises InputError for what means nothing to vectors."""
    defaults = Asked(reading=Reading(max_length=asked.reading.max_length))
    for settings, default, prefix in [
        (replace(asked, reading=defaults.reading), defaults, ""),
        (asked.reading, defaults.reading, "reading."),
    ]:
        for name in (field.name for field in fields(default)):
            if getattr(settings, name) != getattr(default, name):
                flag = f"--{prefix}{name.replace('_', '-')}"
                raise InputError(f"{flag} means nothing to --embed, which writes vectors")
