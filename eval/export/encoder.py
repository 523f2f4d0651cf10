"""Attention and the layers of an encoder or a decoder as operators of ONNX."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from eval.export.graph import Graph, ints
from eval.export.layers import emit_embeddings, emit_layer_norm, emit_linear
from model.backbone import Backbone
from model.blocks.attention import Attention
from model.blocks.encoder import Layer


class TextInputs(NamedTuple):
    """Tokens as a program reads them, each [batch, length]."""

    input_ids: str
    mask: str
    """True on tokens, false on padding."""
    token_type_ids: str | None = None
    groups: str | None = None
    """The shape [batch, choices or windows], where several rows belong to one text."""


class SourceInputs(NamedTuple):
    """Another text, that a decoder's layers attend to."""

    states: str
    mask: str
    """As of a `TextInputs`, [batch, 1, 1, places]."""


def emit_mask(graph: Graph, integers: str) -> str:
    """A mask that is 1 on tokens, as true and false."""
    return graph("Cast", integers, to=TensorProto.BOOL)


def emit_mask_of_heads(graph: Graph, mask: str) -> str:
    """A mask of places with an axis for heads and one for the tokens that attend."""
    return graph("Unsqueeze", mask, ints(1, 2))


def emit_backbone(
    graph: Graph, model: Backbone, text: TextInputs, source: SourceInputs | None = None
) -> str:
    """The last hidden states: [batch, length, hidden]."""
    mask = emit_mask_of_heads(graph, text.mask)
    if model.causal:
        length = graph("Shape", text.input_ids, start=1)
        square = graph("Concat", length, length, axis=0)
        ones = graph("Expand", np.ones(1, np.float32), square)
        before = graph("Cast", graph("Trilu", ones, upper=0), to=TensorProto.BOOL)
        mask = graph("And", mask, before)
    hidden = emit_embeddings(graph, model.embeddings, text.input_ids, text.token_type_ids)
    return emit_layers(graph, model.encoder.layers, hidden, mask, source)


def emit_layers(
    graph: Graph,
    layers: Iterable[Layer],
    hidden: str,
    mask: str,
    source: SourceInputs | None = None,
) -> str:
    """The hidden states behind all layers; `mask` is [batch, 1, 1 or length, places]."""
    for layer in layers:
        attended = emit_attention(graph, layer.attention, hidden, hidden, mask)
        hidden = emit_layer_norm(graph, layer.attention_norm, graph("Add", hidden, attended))
        if layer.cross_attention is not None:
            assert layer.cross_norm is not None and source is not None
            attended = emit_attention(graph, layer.cross_attention, hidden, *source)
            hidden = emit_layer_norm(graph, layer.cross_norm, graph("Add", hidden, attended))
        inner = graph("Gelu", emit_linear(graph, layer.feed_forward.up, hidden))
        outer = emit_linear(graph, layer.feed_forward.down, inner)
        hidden = emit_layer_norm(graph, layer.output_norm, graph("Add", hidden, outer))
    return hidden


def emit_attention(graph: Graph, layer: Attention, hidden: str, source: str, mask: str) -> str:
    """Attention of every token in `hidden` to the places of `source` where `mask` is true."""
    heads, size = layer.config.num_heads, layer.config.head_size

    def by_head(vectors: str, axes: tuple[int, ...] = (0, 2, 1, 3)) -> str:
        return graph("Transpose", graph("Reshape", vectors, ints(0, 0, heads, size)), perm=axes)

    query = by_head(emit_linear(graph, layer.query, hidden))
    key = by_head(emit_linear(graph, layer.key, source), (0, 2, 3, 1))
    value = by_head(emit_linear(graph, layer.value, source))
    scores = graph("Mul", graph("MatMul", query, key), np.array([size**-0.5], np.float32))
    # As here, the smallest float: a row that is all padding then gives a mean, not NaN.
    scores = graph("Where", mask, scores, np.array([np.finfo(np.float32).min]))
    context = graph("MatMul", graph("Softmax", scores, axis=-1), value)
    context = graph("Transpose", context, perm=(0, 2, 1, 3))
    return emit_linear(graph, layer.out, graph("Reshape", context, ints(0, 0, heads * size)))
