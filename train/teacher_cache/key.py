"""All that stored answers depend on, so that a stale folder is never taken for a fresh one."""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xxhash

from data.storage.atomic import make_folder
from data.storage.provenance import changed_fields, to_jsonable, write_json_atomic
from model.config import EncoderConfig
from model.errors import InputError
from model.hf.config import read_settings
from model.hf.temporaries import contents
from train.objectives.stored import StoredColumns
from train.teacher_cache.answers import FLAG

CACHE_FORMAT = 1  # of the files, and of the rule by which a row's masks are drawn
KEY = "cache.json"


def key_of(
    teacher: EncoderConfig,
    params: Any,
    sequences: str,
    masking: dict[str, Any],
    masked: np.ndarray,
    columns: StoredColumns,
) -> dict[str, Any]:
    """The record of a folder's answers.

    Args:
        teacher: its shape, and the type of its activations.
        params: its parameters.
        sequences: the fingerprint of the text.
        masking: the settings of the masks.
        masked: some of the text as it is masked here. Another version of JAX, or another device,
            may draw other masks by the same settings.
        columns: what is stored for a token.
    """
    digest = xxhash.xxh3_128(json.dumps(to_jsonable(teacher), sort_keys=True).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.asarray(leaf).tobytes())
    return {
        "format": CACHE_FORMAT,
        "teacher": digest.hexdigest(),
        "text": sequences,
        "masking": to_jsonable(masking),
        "masks": xxhash.xxh3_128_hexdigest(masked.tobytes()),
        "columns": {n: [*c.shape, c.dtype.name] for n, c in columns.items()},
    }


def claim_cache(folder: Path, key: dict[str, Any]) -> str:
    """Writes the key into a new folder, or checks that an old one has it; returns its digest.

    Raises:
        InputError: the folder holds something else; the message says what differs.
    """
    path = folder / KEY
    if path.exists():
        changed = changed_fields(read_settings(path), key)
        if changed:
            raise InputError(
                f"{FLAG} {folder} holds answers of another kind ({', '.join(changed)} "
                "differ): choose another folder, or delete this one"
            )
    elif contents(folder):
        raise InputError(
            f"{FLAG} {folder} is not empty and holds no answers of a teacher: choose another folder"
        )
    else:
        make_folder(folder)
        write_json_atomic(path, key)
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
