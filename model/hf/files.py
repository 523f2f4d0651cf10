"""Files of a checkpoint: fetched from the hub, read, and written whole or not at all."""

import json
import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
from huggingface_hub.errors import (
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from model.errors import InputError, first_line
from model.hf.config import read_settings
from model.hf.lookalikes import check_fetched
from model.hf.pickled import read_pickled
from model.hf.temporaries import temporary_folder

Tensors = dict[str, np.ndarray]

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
DOCUMENT_FILE = "document.safetensors"
"""Of a classifier of documents what is behind the encoder."""


def hub_folder(name: str, patterns: list[str], *, absent: str) -> Path:
    """The folder, in the hub's cache and called as its commit, with some files of a model.

    Args:
        name: `owner/name` or `owner/name@revision`; a commit as revision needs no look-up.
        patterns: the names of the files that are wanted; not all need be there.
        absent: how the message begins if the hub does not help: what is not on this machine.

    Raises:
        InputError: the hub has no such model, cannot be reached, or does not give it.
    """
    repository, _, revision = name.partition("@")
    try:
        return Path(
            huggingface_hub.snapshot_download(
                repository, revision=revision or None, allow_patterns=patterns
            )
        )
    except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError):
        reason = "no such model (owner/name) on the hub that may be read"
    except LocalEntryNotFoundError:
        reason = "the hub cannot be reached: is there a network?"
    except Exception as error:  # OSErrors, and what the HTTP client beneath the library raises
        reason = f"the hub did not give it ({first_line(error)})"
    raise InputError(f"{absent}, and {reason}")


def read_tensors(weights: Path) -> Tensors:
    """All tensors of a file, or of the shards that an index lists.

    Raises:
        InputError: a file is missing, cut short or not what its name says.
    """
    tensors: Tensors = {}
    for name in _shards(weights) or [weights.name]:
        file = weights.parent / name
        try:
            tensors |= read_pickled(file) if file.suffix == ".bin" else load_file(file)
        except FileNotFoundError:
            raise InputError(f"{file}, which {weights.name} lists, is missing") from None
        except AttributeError as error:  # numpy has no such type
            kind = str(error).rpartition(" ")[2].strip("'")
            raise InputError(
                f"{file} holds numbers of the type {kind}, and float32, float16 and bfloat16 can "
                "be read: convert them"
            ) from None
        except (SafetensorError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            check_fetched(file)
            raise InputError(
                f"{file} is cut short or damaged ({first_line(error)}): copy or download it again"
            ) from None
    return tensors


def _shards(weights: Path) -> list[str]:
    """The files that an index lists; none if `weights` is no index.

    Raises:
        InputError: it is no index, or lists a file of another folder.
    """
    if weights.suffix != ".json":
        return []
    listed = read_settings(weights).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise InputError(f'{weights} is not an index of shards: it has no "weight_map"')
    for tensor, name in listed.items():
        # A folder is passed on as a whole: its index has no business elsewhere on the disk.
        plain = isinstance(name, str) and name.isprintable() and name not in ("", ".", "..")
        if not plain or Path(name).name != name:
            raise InputError(
                f"{weights}: weight_map puts {tensor} into {name!r:.60}, and must name a file of "
                "the same folder"
            )
    return sorted(set(listed.values()))


def write_model(
    folder: Path,
    config: dict[str, Any],
    tensors: Tensors,
    others: Mapping[str, Any] = {},
    beside: Mapping[str, Tensors] = {},
) -> None:
    """Writes the files of a model, or, when it cannot, none; what else is in `folder` stays.

    `others` are further files, texts or JSON, by path in the folder, and `beside` further files of
    tensors.

    Raises:
        InputError: no space, no permission, or `folder` is a file.
    """
    created = not folder.exists()
    contents = {CONFIG_FILE: config, **others}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder) as unfinished:
            for name, content in contents.items():
                (unfinished / name).parent.mkdir(exist_ok=True)
                text = content
                if not isinstance(content, str):
                    text = json.dumps(content, indent=2) + "\n"
                (unfinished / name).write_text(text, "utf-8")
            files = {**beside, WEIGHTS_FILE: tensors}
            for name, content in files.items():
                save_file(content, unfinished / name, metadata={"format": "pt"})
            for name in (*contents, *files):
                with (unfinished / name).open("rb") as written:
                    os.fsync(written.fileno())
            for name in (*contents, *files):
                (folder / name).parent.mkdir(exist_ok=True)
                (unfinished / name).replace(folder / name)
    except (OSError, SafetensorError) as error:
        raise InputError(f"the model could not be written to {folder}: {error}") from None
    finally:
        if created:
            with suppress(OSError):
                folder.rmdir()  # refuses to remove a folder that holds the model
