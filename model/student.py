"""A student that starts as some layers of its teacher (Sanh et al. 2019, section 3).

What the original does (`extract_distilbert.py`): layers 0, 2, 4, 7, 9 and 11 of 12, the word and
position embeddings, the decoder's bias; BERT's token types and pooler are dropped, and the dense
layer and LayerNorm of the masked-LM head start at random.
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
        teacher: where layers, embeddings and head come from.
        layers: see `choose_layers`; or `random`: nothing is copied, everything is N(0, sigma) but
            the positions, which are sinusoids. The original keeps them frozen; freezing is the
            caller's.
        num_layers: the student's depth; by default half the teacher's, or the layers named.
        copy_head: copy the dense layer and LayerNorm of the masked-LM head too, and not only the
            bias of the decoder (the original's `--vocab_transform`).
        token_types: `drop` the type-0 vector that is in every activation of the teacher, as the
            original does, or `fold` it into the position table.
        hidden_size: the student's width, by default the teacher's; another goes with `random`.
        num_heads: its attention heads, by default the teacher's number.
        intermediate_size: of its feed-forward, by default four times a width of its own.
        rngs: draws what is not copied.

    Raises:
        InputError: the teacher has no such layers, or no token types to fold, or nothing can be
            copied because the student has another shape.
    """
    config = student_config(teacher.config, layers, num_layers)
    width = hidden_size or config.hidden_size
    feed_forward = config.intermediate_size if width == config.hidden_size else 4 * width
    try:
        config = config.replace(
            hidden_size=width,
            num_heads=num_heads or config.num_heads,
            intermediate_size=intermediate_size or feed_forward,
        )
    except ValueError as error:
        raise InputError(f"the student cannot have this shape: {error}") from error
    for field in ("hidden_size", "num_heads", "intermediate_size"):
        ours, theirs = getattr(config, field), getattr(teacher.config, field)
        if layers != "random" and ours != theirs:
            raise InputError(
                f"the student's {field} is {ours} and the teacher's {theirs}, so no layer can be "
                "copied: let the student start at random (--student.layers random)"
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
    """The shape of the DistilBERT that these layers of a teacher make.

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
    """Gives a student, made with `student_config`, the weights of its teacher's layers."""
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
    """The layers, counted from 0, of a teacher with `depth` that make a student of `num_layers`.

    `original`: evenly spaced from the first to the last, which for 12 and 6 is the original's
    (0, 2, 4, 7, 9, 11); `first` and `last`; `even` and `odd`: every other one; or the indices
    themselves, as a tuple or as in `"0,5,11"`.

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
    """Sines and cosines by turns along the width (Vaswani et al. 2017, section 3.5)."""
    frequencies = 10000.0 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * frequencies
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, -1)
    return jnp.asarray(table[:, :width], jnp.float32)


def check_fit(teacher: EncoderConfig, student: EncoderConfig) -> None:
    """Raises InputError unless what both predict can be compared token by token."""
    if student.vocab_size != teacher.vocab_size:
        raise InputError(
            f"teacher and student do not fit: vocab_size is {teacher.vocab_size} and "
            f"{student.vocab_size}, and must be equal"
        )


def copy_parameters(source: nnx.Module, target: nnx.Module) -> None:
    """Copies, because a train step that donates the student must not take the teacher's memory."""
    nnx.update(target, jax.tree.map(jnp.copy, nnx.state(source, nnx.Param)))
