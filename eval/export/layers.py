"""Embeddings, dense layer and LayerNorm as operators of ONNX."""

import numpy as np
from flax import nnx
from onnx import TensorProto

from eval.export.graph import Graph, ints
from model.blocks.embeddings import Embeddings
from model.blocks.layers import LayerNorm, Linear


def emit_embeddings(
    graph: Graph, layer: Embeddings, input_ids: str, token_type_ids: str | None
) -> str:
    """The sum of the embeddings, normalised: [batch, length, hidden]; types are 0 by default."""
    hidden = graph("Gather", layer.word.embedding, input_ids)
    hidden = emit_positions(graph, layer.position, hidden)
    if layer.token_type is not None:
        first = np.array(0, np.int64)
        types = graph("Gather", layer.token_type.embedding, token_type_ids or first)
        hidden = graph("Add", hidden, types)
    return emit_layer_norm(graph, layer.norm, hidden)


def emit_positions(graph: Graph, layer: nnx.Embed, vectors: str) -> str:
    """Vectors [batch, length, hidden] and the embeddings of their positions."""
    length = graph("Shape", vectors, start=1, end=2)
    places = graph("Slice", layer.embedding, ints(0), length, ints(0))
    return graph("Add", vectors, places)


def emit_linear(graph: Graph, layer: Linear, x: str) -> str:
    """The product x @ kernel + bias."""
    assert layer.bias is not None
    return graph("Add", graph("MatMul", x, layer.kernel), layer.bias)


def emit_layer_norm(graph: Graph, layer: LayerNorm, x: str) -> str:
    assert layer.scale is not None and layer.bias is not None
    return graph("LayerNormalization", x, layer.scale, layer.bias, axis=-1, epsilon=layer.epsilon)


def emit_first_token(graph: Graph, hidden: str) -> str:
    """The hidden state of [CLS]: [batch, hidden]."""
    return graph("Gather", hidden, np.array(0, np.int64), axis=1)


def emit_mean(graph: Graph, hidden: str, mask: str) -> str:
    """The mean of the vectors where `mask` is true, 0 where it never is: [batch, hidden]."""
    there = graph("Unsqueeze", mask, ints(-1))
    kept = graph("Where", there, hidden, np.zeros(1, np.float32))
    counts = graph("ReduceSum", graph("Cast", there, to=TensorProto.FLOAT), ints(1), keepdims=0)
    counts = graph("Max", counts, np.ones(1, np.float32))
    return graph("Div", graph("ReduceSum", kept, ints(1), keepdims=0), counts)
