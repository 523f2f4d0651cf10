"""The start of a decoder: from the layers of an encoder, or from those of a deeper decoder.

A decoder that starts as a copy of a trained encoder, embeddings and head included, has only its
attention to the source to learn from nothing (Rothe et al. 2020, section 3). One that starts from
some layers of its teacher has everything ("shrink and fine-tune": Shleifer and Rush 2020).
"""

import jax.numpy as jnp
from flax import nnx

from model.backbone import Backbone
from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.decoder.settings import GenerationConfig
from model.student import choose_layers, copy_parameters
from model.tasks import LanguageModel, backbone

Layers = str | tuple[int, ...]
"""Indices of layers, or a name, as in `model.student.choose_layers`; `all` for all of them."""


def decoder_from(
    source: LanguageModel | Backbone,
    *,
    crosses: bool,
    layers: Layers = "all",
    num_layers: int | None = None,
    generation: GenerationConfig | None = None,
    rngs: nnx.Rngs,
) -> CausalLM:
    """A decoder with the weights of `source`, with which it shares no memory.

    What the source does not have is drawn: a head, and the attention to another text. Where it has
    no token types, as in DistilBERT, those of the decoder are zero and change nothing.

    Args:
        source: a BERT or DistilBERT, with a head or without, or another decoder.
        crosses: whether the decoder also reads another text.
        layers: those of the source to copy.
        num_layers: how many, where a name of `layers` leaves it open.
        generation: see `CausalLM`.
        rngs: draws the other weights.

    Raises:
        InputError: the source has no such layers.
    """
    whole = source if isinstance(source, Backbone) else source.backbone
    config, indices = whole.config, _choose(layers, whole.config.num_layers, num_layers)
    config = config.replace(
        architecture="bert",
        num_layers=len(indices),
        type_vocab_size=config.type_vocab_size or 1,
    )
    decoder = CausalLM(config, crosses=crosses, generation=generation, rngs=rngs)
    _copy_layers(whole, decoder.backbone, indices)
    types = decoder.backbone.embeddings.token_type
    if whole.embeddings.token_type is None and types is not None:
        types.embedding[...] = jnp.zeros_like(types.embedding[...])
    if isinstance(source, LanguageModel):
        copy_parameters(source.head, decoder.head)
    return decoder


def shallow_seq2seq(
    teacher: Seq2Seq,
    *,
    decoder_layers: Layers = "all",
    encoder_layers: Layers = "all",
    rngs: nnx.Rngs,
) -> Seq2Seq:
    """An encoder with a decoder that have some layers of their teacher's, and all else.

    Raises:
        InputError: the teacher has no such layers.
    """
    source = teacher.encoder
    indices = _choose(encoder_layers, source.config.num_layers)
    config = source.config.replace(num_layers=len(indices))
    encoder = backbone(config, pooler=hasattr(source, "pooler"), rngs=rngs)
    _copy_layers(source, encoder, indices)
    if getattr(source, "pooler", None) is not None:
        copy_parameters(source.pooler, encoder.pooler)  # type: ignore[attr-defined]
    decoder = decoder_from(teacher.decoder, crosses=True, layers=decoder_layers, rngs=rngs)
    student = Seq2Seq(encoder, decoder, generation=teacher.generation, rngs=rngs)
    if teacher.projection is not None:
        assert student.projection is not None
        copy_parameters(teacher.projection, student.projection)
    return student


def _choose(layers: Layers, depth: int, num_layers: int | None = None) -> tuple[int, ...]:
    if layers == "all":
        return tuple(range(depth))
    return choose_layers(layers, depth, num_layers)


def _copy_layers(source: Backbone, target: Backbone, indices: tuple[int, ...]) -> None:
    """Copies the embeddings, and what both have of these layers."""
    for name in ("word", "position", "token_type", "norm"):
        _copy(source.embeddings, target.embeddings, name)
    for index, layer in zip(indices, target.encoder.layers, strict=True):
        for name in _PARTS:
            _copy(source.encoder.layers[index], layer, name)


_PARTS = (
    *("attention", "attention_norm", "cross_attention", "cross_norm"),
    *("feed_forward", "output_norm"),
)


def _copy(source: nnx.Module, target: nnx.Module, name: str) -> None:
    one, other = getattr(source, name), getattr(target, name)
    if one is not None and other is not None:
        copy_parameters(one, other)
