"""Programs of ONNX for a model: one for most, two for an encoder with a decoder."""

from typing import Any

import onnx
from onnx import TensorProto

from eval.export.encoder import (
    SourceInputs,
    TextInputs,
    emit_backbone,
    emit_mask,
    emit_mask_of_heads,
)
from eval.export.graph import Graph, ints
from eval.export.heads import BATCH, HEADS, LENGTH, Outputs, vocabulary_outputs
from eval.export.layers import emit_linear
from model.backbone import Backbone
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError
from model.tasks import DocumentClassification, MultipleChoice

GROUPED: dict[type[Any], str] = {
    MultipleChoice: "num_choices",
    DocumentClassification: "num_windows",
}
"""Models whose inputs have one axis more: several rows of tokens belong to one text."""
ENCODER, DECODER = "encoder_model", "decoder_model"
"""The two programs of a model that writes."""
MOST_BYTES = 2**31
"""Of a file: the format is that of protobuf."""


def programs(model: Any) -> dict[str, onnx.ModelProto]:
    """The programs of a model in float32, by the names that transformers.js has for their files.

    The inputs are `input_ids`, `attention_mask` and, of a BERT, `token_type_ids`, int64 [batch,
    length], or [batch, choices, length] and [batch, windows, length]; batch and length are of any
    size. The outputs have the names of transformers and, for the vector of a text,
    sentence-transformers.

    Args:
        model: of `model.tasks` or `model.decoder`, or a bare encoder.

    Raises:
        InputError: it has more parameters than a file can hold.
    """
    made = _both_sides(model) if isinstance(model, Seq2Seq) else {"model": _one_text(model)}
    for program in made.values():
        if program.ByteSize() >= MOST_BYTES:
            raise InputError(
                f"the model has {program.ByteSize() / 1e9:.1f} GB of parameters, and a file of "
                "ONNX can hold 2: export a smaller one"
            )
        onnx.checker.check_model(program, full_check=True)
    return made


def _one_text(model: Any) -> onnx.ModelProto:
    graph = Graph(model)
    encoder = model if isinstance(model, Backbone) else model.backbone
    text = _inputs(graph, encoder, GROUPED.get(type(model)))
    hidden = emit_backbone(graph, encoder, text)
    return _program(graph, HEADS[type(model)](graph, model, hidden, text))


def _both_sides(model: Seq2Seq) -> dict[str, onnx.ModelProto]:
    """The encoder, and the decoder for given targets, without a cache of their keys."""
    graph = Graph(model)
    text = _inputs(graph, model.encoder)
    hidden = emit_backbone(graph, model.encoder, text)
    width = model.config.hidden_size
    encoder = _program(graph, {"last_hidden_state": (hidden, (BATCH, LENGTH, width))})

    graph = Graph(model)
    target = graph.input("input_ids", (BATCH, "decoder_sequence_length"))
    mask = graph.input("encoder_attention_mask", (BATCH, LENGTH))
    states = graph.input("encoder_hidden_states", (BATCH, LENGTH, width), TensorProto.FLOAT)
    if model.projection is not None:
        states = emit_linear(graph, model.projection, states)
    source = SourceInputs(states, emit_mask_of_heads(graph, emit_mask(graph, mask)))
    text = TextInputs(target, graph("Equal", target, target))  # padding comes after all tokens
    hidden = emit_backbone(graph, model.decoder.backbone, text, source)
    (logits, axes), *_ = vocabulary_outputs(graph, model.decoder, hidden, text).values()
    graph.output("logits", logits, (BATCH, "decoder_sequence_length", axes[-1]))
    return {ENCODER: encoder, DECODER: graph.program("model")}


def _inputs(graph: Graph, encoder: Backbone, group: str | None = None) -> TextInputs:
    axes = (BATCH, LENGTH) if group is None else (BATCH, group, LENGTH)
    names = ["input_ids", "attention_mask"]
    if encoder.config.type_vocab_size:
        names.append("token_type_ids")
    given, groups = [graph.input(name, axes) for name in names], None
    if group is not None:
        shape = graph("Shape", given[0])
        groups = graph("Slice", shape, ints(0), ints(2))
        rows = graph("Concat", ints(-1), graph("Slice", shape, ints(2), ints(3)), axis=0)
        given = [graph("Reshape", each, rows) for each in given]
    types = given[2] if encoder.config.type_vocab_size else None
    return TextInputs(given[0], emit_mask(graph, given[1]), types, groups)


def _program(graph: Graph, outputs: Outputs) -> onnx.ModelProto:
    for name, (value, axes) in outputs.items():
        graph.output(name, value, axes)
    return graph.program("model")
