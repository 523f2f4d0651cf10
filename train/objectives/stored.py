"""Answers of a teacher that a batch brings with it, in place of the teacher's own forward pass.

They belong to a row of the text and to its masks. So these are drawn for each row by itself, by
its number among the stored ones and not by the step.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from model.config import DType, EncoderConfig
from model.errors import InputError
from model.output import ModelOutput
from model.tasks import MaskedLM
from train.objectives.forward import borders
from train.objectives.layer_pairs import layer_pairs
from train.objectives.objective import DeviceBatch
from train.objectives.terms import DistillationLoss, ForwardTerm, LayerTerm
from train.update.keys import stream_key

StoredColumns = Mapping[str, jax.ShapeDtypeStruct]
"""Shape and type of what is stored for every token, by its name in a batch."""
STORED = "teacher_"
STORED_HIDDEN = f"{STORED}hidden"


def stored_columns(teacher: EncoderConfig, dtype: DType) -> StoredColumns:
    """The columns of what is stored: the teacher's last hidden state of every token."""
    return {STORED_HIDDEN: jax.ShapeDtypeStruct((teacher.hidden_size,), jnp.dtype(dtype))}


def to_store(teacher: MaskedLM, batch: DeviceBatch, columns: StoredColumns) -> DeviceBatch:
    """The columns of a masked batch, [rows, length, ...]."""
    hidden = teacher.backbone(batch["input_ids"], **borders(batch)).last_hidden
    return {STORED_HIDDEN: hidden.astype(columns[STORED_HIDDEN].dtype)}


def stored_in(batch: DeviceBatch) -> DeviceBatch:
    """The columns that a batch holds."""
    return {name: array for name, array in batch.items() if name.startswith(STORED)}


def stored_output(batch: DeviceBatch, teacher: EncoderConfig) -> ModelOutput:
    """The teacher's output as far as it is stored, in the type that the teacher computes in."""
    return ModelOutput(batch[STORED_HIDDEN].astype(teacher.dtype))


def stored_masks_key() -> PRNGKeyArray:
    """The key of the masks of all stored rows, the same in every run, whatever its seed."""
    return stream_key(0, "masking")


def check_stored(loss: DistillationLoss, student: EncoderConfig, teacher: EncoderConfig) -> None:
    """Raises InputError for a term that needs more of the teacher than is stored."""
    last = teacher.num_layers - 1
    for name, term in loss.terms().items():
        if not isinstance(term, ForwardTerm):
            continue
        if not isinstance(term, LayerTerm) or term.outputs != ("hidden_states",):
            raise InputError(
                f"--loss.{name} compares more of the teacher than its last hidden states, which "
                "are all that --teacher-cache keeps: leave out one of them"
            )
        pairs = layer_pairs(term.layers, student.num_layers, teacher.num_layers)
        if any(theirs != last for _, theirs in pairs):
            raise InputError(
                f"--loss.{name}.layers {term.layers} compares other layers, and --teacher-cache "
                f"keeps the teacher's last one only: give last, or leave out the cache"
            )
