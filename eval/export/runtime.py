"""A program of ONNX, run by ONNX Runtime and called as the model that it was made of."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from data.extras import library
from model.config import EncoderConfig
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError, first_line
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.hf.files import CONFIG_FILE, WEIGHTS_FILE
from model.output import ModelOutput
from model.tasks import DocumentClassification, NextSentence

FOLDER, FILE = "onnx", "model.onnx"
"""The folder and the file beside config.json, as transformers.js expects them."""
_FIELDS = {
    "last_hidden_state": "last_hidden",
    "pooler_output": "pooled",
    "sentence_embedding": "embedding",
    "logits": "logits",
    "prediction_logits": "logits",
    "seq_relationship_logits": "next_sentence_logits",
    "start_logits": "start_logits",
    "end_logits": "end_logits",
}
"""Outputs of programs, and their names in `ModelOutput`."""
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class OnnxModel(nnx.Module):
    """A program with the inputs and outputs of `eval.export`; not to be traced by JAX.

    Args:
        file: of the program.
        config: of the model.
        head: the class of the model.

    Raises:
        InputError: ONNX Runtime is not installed, or cannot read it; or it reads something else.
    """

    def __init__(self, file: Path, config: EncoderConfig, head: type[Any]):
        runtime = library("onnxruntime", "onnx", "a program of ONNX")
        try:
            self.session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
        except Exception as error:  # of types that the library does not name
            raise InputError(
                f"{file} cannot be read as a program of ONNX ({first_line(error)}): export the "
                "model again"
            ) from None
        self.file, self.config, self.head = file, config, head
        self.inputs = [each.name for each in self.session.get_inputs()]
        self.names = [each.name for each in self.session.get_outputs()]
        unknown = [name for name in self.inputs if name not in _INPUTS]
        if unknown or not {*self.names} & {*_FIELDS}:
            raise InputError(
                f"{file} reads {', '.join(self.inputs)} and gives {', '.join(self.names)}: a "
                f"program should read {', '.join(_INPUTS)} and give the outputs of a model"
            )

    def __call__(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        *,
        rngs: None = None,
    ) -> ModelOutput:
        """The outputs of the program: see `Backbone` for the arguments.

        Raises:
            InputError: the program refuses them.
        """
        ids = np.asarray(input_ids, np.int64)
        mask = np.ones_like(ids) if attention_mask is None else attention_mask
        types = np.zeros_like(ids) if token_type_ids is None else token_type_ids
        given = dict(zip(_INPUTS, (ids, mask, types), strict=True))
        feed = {name: np.asarray(given[name], np.int64) for name in self.inputs}
        try:
            results = self.session.run(None, feed)
        except Exception as error:
            raise InputError(f"{self.file} cannot be run: {first_line(error)}") from None
        fields = _FIELDS | ({"logits": "next_sentence_logits"} if self.head is NextSentence else {})
        pairs = zip(self.names, results, strict=True)
        found: dict[str, Any] = {fields[n]: jnp.asarray(a) for n, a in pairs if n in fields}
        # Every model has hidden states, and a program with a head does not give them.
        rows = ids.reshape(-1, ids.shape[-1])
        return ModelOutput(**{"last_hidden": jnp.zeros((*rows.shape, 0)), **found})


def find_program(model: str) -> Path | None:
    """The file of a program that a user names: itself, or in a folder without other weights."""
    path = Path(model).expanduser()
    if path.suffix == ".onnx":
        return path
    inside = path / FOLDER / FILE
    weights = any(path.glob(f"{Path(WEIGHTS_FILE).stem}*")) or any(path.glob("pytorch_model*"))
    return inside if inside.is_file() and not weights else None


def open_program(model: str, file: Path) -> Checkpoint:
    """The checkpoint without weights that the files beside a program are; `model` is its name.

    Raises:
        InputError: there is no program, or no config.json beside it.
    """
    if not file.is_file():
        raise InputError(f"{file}: there is no such file")
    folder = file.parent.parent if file.parent.name == FOLDER else file.parent
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(f"{folder} has no {CONFIG_FILE}, which says what {file} computes")
    return Checkpoint(**{**vars(open_checkpoint(folder)), "name": model})


def load_program(
    file: Path, checkpoint: Checkpoint, head: type[Any], *, dtype: str = "float32", **changes: Any
) -> OnnxModel:
    """The model in a file, as `model.pretrained.load` has it of the weights of a checkpoint.

    Raises:
        InputError: as `OnnxModel`, or programs of such models cannot be asked alone.
    """
    if head in (Seq2Seq, DocumentClassification):
        raise InputError(
            f"{file}: programs of ONNX are not scored here for models that write texts or read "
            "documents in windows: name the model that it was made of"
        )
    return OnnxModel(file, checkpoint.config.replace(**changes), head)
