"""A student that starts from some layers of its teacher (Sanh et al. 2019, section 3).

The original (`extract_distilbert.py`) copies layers 0, 2, 4, 7, 9 and 11 of 12, the word and
position embeddings, and the decoder's bias. BERT's token types and pooler are dropped, and the
dense layer and LayerNorm of the masked-LM head start at random.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from model.backbone import Backbone
from model.config import EncoderConfig
from model.errors import InputError
from model.tasks import MaskedLM

TokenTypes = Literal["drop", "fold"]


def student_from_teacher(
    teacher: MaskedLM,
    *,
    layers: str | tuple[int, ...] = "original",
    num_layers: int | None = None,
    copy_head: bool = True,
    token_types: TokenTypes = "drop",
    hidden_size: int | None = None,
    num_heads: int | None = None,
    intermediate_size: int | None = None,
    rngs: nnx.Rngs,
) -> MaskedLM:
    """A DistilBERT with the weights of `teacher`; it shares no memory with it.

    Args:
        teacher: the source of layers, embeddings and head.
        layers: see `choose_layers`; or `random`: nothing is copied, positions are sinusoids and all
            other weights are N(0, sigma). The original keeps the sinusoids frozen; freezing is left
            to the caller.
        num_layers: the student's depth; by default half the teacher's, or the number of indices in
            `layers`.
        copy_head: copy the dense layer and LayerNorm of the masked-LM head too, and not only the
            bias of the decoder (the original's `--vocab_transform`).
        token_types: `drop` the type-0 vector that is in every activation of the teacher, as the
            original does, or `fold` it into the position table.
        hidden_size: the student's width, by default the teacher's; another needs `random`.
        num_heads: its number of attention heads, by default the teacher's.
        intermediate_size: the width inside its feed-forward; by default the teacher's, or four
            times the student's width where that differs from the teacher's.
        rngs: draws the weights that are not copied.

    Raises:
        InputError: the teacher has no such layers, or no token types to fold, or the student has
            another shape than the layers to copy.
    """
    config = student_config(teacher.config, layers, num_layers)
    width = hidden_size or config.hidden_size
    feed_forward = config.intermediate_size if width == config.hidden_size else 4 * width
    config = config.replace(
        hidden_size=width,
        num_heads=num_heads or config.num_heads,
        intermediate_size=intermediate_size or feed_forward,
    )
    for field in ("hidden_size", "num_heads", "intermediate_size"):
        size, teacher_size = getattr(config, field), getattr(teacher.config, field)
        if layers != "random" and size != teacher_size:
            raise InputError(
                f"the student's {field} is {size} and the teacher's {teacher_size}, so no layer "
                "can be copied: let the student start at random (--student.layers random)"
            )
    student = MaskedLM(config, rngs=rngs)
    initialise(student.backbone, teacher.backbone, layers, token_types=token_types)
    if layers != "random" and copy_head:
        copy_parameters(teacher.head, student.head)
    elif layers != "random":
        student.head.bias[...] = jnp.copy(teacher.head.bias[...])
    return student


def student_config(
    teacher: EncoderConfig, layers: str | tuple[int, ...], num_layers: int | None = None
) -> EncoderConfig:
    """The configuration of the DistilBERT that is made of these layers of a teacher.

    Raises:
        InputError: the teacher has no such layers.
    """
    if layers == "random":
        return teacher.distilled(num_layers or max(1, teacher.num_layers // 2))
    return teacher.distilled(len(choose_layers(layers, teacher.num_layers, num_layers)))


def initialise(
    student: Backbone,
    teacher: Backbone,
    layers: str | tuple[int, ...],
    *,
    token_types: TokenTypes = "drop",
) -> None:
    """Copies the weights of its teacher's layers into a student made with `student_config`.

    Raises:
        InputError: the teacher has no such layers, or no token types to fold.
    """
    source, target = teacher.embeddings, student.embeddings
    if layers == "random":
        target.position.embedding[...] = sinusoids(*target.position.embedding.shape)
        return
    for name in ("word", "position", "norm"):
        copy_parameters(getattr(source, name), getattr(target, name))
    if token_types == "fold":
        if source.token_type is None:
            raise InputError("the teacher has no token types to fold: drop them")
        target.position.embedding[...] += source.token_type.embedding[...][None, 0]
    chosen = choose_layers(layers, teacher.config.num_layers, student.config.num_layers)
    for index, layer in zip(chosen, student.encoder.layers, strict=True):
        copy_parameters(teacher.encoder.layers[index], layer)


def choose_layers(
    layers: str | tuple[int, ...], depth: int, num_layers: int | None = None
) -> tuple[int, ...]:
    """The indices, from 0, of the layers to copy: `num_layers` of the teacher's `depth`.

    `original` spaces them evenly from the first to the last, which for 12 and 6 gives the
    original's (0, 2, 4, 7, 9, 11). `first` and `last` are adjacent layers, `even` and `odd` every
    second one. Indices may also be given, as a tuple or as in `"0,5,11"`.

    Raises:
        InputError: an unknown name, an index that the teacher does not have, or a choice that does
            not give `num_layers`.
    """
    count = max(1, depth // 2) if num_layers is None else num_layers
    named: dict[str, tuple[int, ...]] = {
        "original": tuple(round(index * (depth - 1) / max(1, count - 1)) for index in range(count)),
        "first": tuple(range(count)),
        "last": tuple(range(depth - count, depth)),
        "even": tuple(range(0, depth, 2)),
        "odd": tuple(range(1, depth, 2)),
    }
    chosen = named.get(layers) if isinstance(layers, str) else layers
    if chosen is None:
        try:
            chosen = tuple(int(index) for index in str(layers).split(","))
        except ValueError:
            raise InputError(
                f"student layers {layers!r} are unknown: there are {', '.join(named)}, random, "
                "and indices such as 0,5,11"
            ) from None
    size = count if layers in named else len(chosen)
    if size < 1 or (layers in named and size > depth):
        raise InputError(f"a teacher with {depth} layers has no student of {size}")
    outside = [str(index) for index in chosen if not 0 <= index < depth]
    if outside:
        raise InputError(
            f"student layers {layers!r}: {', '.join(outside)} is not among the teacher's layers "
            f"0 to {depth - 1}"
        )
    if num_layers is not None and len(chosen) != num_layers:
        raise InputError(
            f"student layers {layers!r} of {depth} are {len(chosen)}, and the student is to have "
            f"{num_layers}"
        )
    return chosen


def sinusoids(length: int, width: int) -> Float[Array, "length width"]:
    """Sines and cosines alternating along the width (Vaswani et al. 2017, section 3.5)."""
    frequencies = 10000.0 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * frequencies
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, -1)
    return jnp.asarray(table[:, :width], jnp.float32)


def copy_parameters(source: nnx.Module, target: nnx.Module) -> None:
    """Copies parameters: a step that donates the student must not free the teacher's memory."""
    nnx.update(target, jax.tree.map(jnp.copy, nnx.state(source, nnx.Param)))
