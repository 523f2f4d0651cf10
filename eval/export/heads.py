"""Heads as operators of ONNX: the outputs of a model, by the names that transformers gives them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from eval.export.encoder import TextInputs, emit_layers, emit_mask_of_heads
from eval.export.graph import Axes, Graph, ints
from eval.export.layers import (
    emit_first_token,
    emit_layer_norm,
    emit_linear,
    emit_mean,
    emit_positions,
)
from model.backbone import Backbone
from model.bert import Bert
from model.decoder.causal_lm import CausalLM
from model.distilbert import DistilBert
from model.tasks import (
    DocumentClassification,
    Embedder,
    LanguageModel,
    MaskedLM,
    MultipleChoice,
    NextSentence,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)

BATCH, LENGTH = "batch_size", "sequence_length"
Outputs = dict[str, tuple[str, Axes]]
"""Values and their axes, by name."""
Head = Callable[[Graph, Any, str, TextInputs], Outputs]
"""A function of a graph, a model, its last hidden states, and the text that they are of."""


def encoder_outputs(graph: Graph, model: Backbone, hidden: str, text: TextInputs) -> Outputs:
    """The hidden states and, of a BERT with a pooler, its vector."""
    width = model.config.hidden_size
    outputs: Outputs = {"last_hidden_state": (hidden, (BATCH, LENGTH, width))}
    if isinstance(model, Bert) and model.pooler is not None:
        outputs["pooler_output"] = (emit_pooler(graph, model, hidden), (BATCH, width))
    return outputs


def embedder_outputs(graph: Graph, model: Embedder, hidden: str, text: TextInputs) -> Outputs:
    """The hidden states, and the vector of the text as sentence-transformers calls it."""
    cls = model.pooling == "cls"
    vector = emit_first_token(graph, hidden) if cls else emit_mean(graph, hidden, text.mask)
    if model.normalised:
        squares = graph("ReduceSumSquare", vector, ints(-1), keepdims=1)
        squares = graph("Max", squares, np.array([1e-24], np.float32))
        vector = graph("Div", vector, graph("Sqrt", squares))
    width = model.config.hidden_size
    return {
        "last_hidden_state": (hidden, (BATCH, LENGTH, width)),
        "sentence_embedding": (vector, (BATCH, width)),
    }


def token_outputs(
    graph: Graph, model: TokenClassification, hidden: str, text: TextInputs
) -> Outputs:
    logits = emit_linear(graph, model.classifier.dense, hidden)
    return {"logits": (logits, (BATCH, LENGTH, model.config.num_labels))}


def span_outputs(graph: Graph, model: QuestionAnswering, hidden: str, text: TextInputs) -> Outputs:
    spans = emit_linear(graph, model.spans.dense, hidden)
    return {
        name: (graph("Gather", spans, np.array(side, np.int64), axis=2), (BATCH, LENGTH))
        for side, name in enumerate(("start_logits", "end_logits"))
    }


def text_outputs(
    graph: Graph, model: SequenceClassification, hidden: str, text: TextInputs
) -> Outputs:
    logits = emit_classes(graph, model, hidden)
    return {"logits": (logits, (BATCH, model.config.num_labels))}


def choice_outputs(graph: Graph, model: MultipleChoice, hidden: str, text: TextInputs) -> Outputs:
    assert text.groups is not None
    logits = graph("Reshape", emit_classes(graph, model, hidden), text.groups)
    return {"logits": (logits, (BATCH, "num_choices"))}


def document_outputs(
    graph: Graph, model: DocumentClassification, hidden: str, text: TextInputs
) -> Outputs:
    """The classes of documents: a small encoder reads the mean vectors of their windows."""
    assert text.groups is not None
    encoder = model.windows
    apart = graph("Concat", text.groups, ints(-1), axis=0)
    vectors = graph("Reshape", emit_mean(graph, hidden, text.mask), apart)
    tokens = graph("Reshape", graph("Cast", text.mask, to=TensorProto.FLOAT), apart)
    there = graph("Cast", graph("ReduceMax", tokens, ints(-1), keepdims=0), to=TensorProto.BOOL)
    vectors = emit_layer_norm(graph, encoder.norm, emit_positions(graph, encoder.position, vectors))
    mask = emit_mask_of_heads(graph, there)
    vectors = emit_layers(graph, encoder.encoder.layers, vectors, mask)
    logits = emit_linear(graph, model.classifier.dense, emit_mean(graph, vectors, there))
    return {"logits": (logits, (BATCH, model.config.num_labels))}


def vocabulary_outputs(
    graph: Graph, model: LanguageModel, hidden: str, text: TextInputs
) -> Outputs:
    """Scores of all tokens: the word embeddings are their decoder, and stored once."""
    head, table = model.head, model.backbone.embeddings.word.embedding
    features = graph("Gelu", emit_linear(graph, head.dense, hidden))
    features = emit_layer_norm(graph, head.norm, features)
    scores = graph("MatMul", features, graph("Transpose", table, perm=(1, 0)))
    logits = graph("Add", scores, head.bias)
    return {"logits": (logits, (BATCH, LENGTH, model.config.vocab_size))}


def next_sentence_outputs(
    graph: Graph, model: NextSentence, hidden: str, text: TextInputs
) -> Outputs:
    pooled = emit_pooler(graph, model.backbone, hidden)
    return {"logits": (emit_linear(graph, model.next_sentence.dense, pooled), (BATCH, 2))}


def pretraining_outputs(graph: Graph, model: PreTraining, hidden: str, text: TextInputs) -> Outputs:
    pooled = emit_pooler(graph, model.backbone, hidden)
    follows = emit_linear(graph, model.next_sentence.dense, pooled)
    return {
        "prediction_logits": vocabulary_outputs(graph, model, hidden, text)["logits"],
        "seq_relationship_logits": (follows, (BATCH, 2)),
    }


def emit_pooler(graph: Graph, model: Backbone, hidden: str) -> str:
    """The tanh of a dense layer over [CLS]."""
    assert isinstance(model, Bert) and model.pooler is not None
    return graph("Tanh", emit_linear(graph, model.pooler.dense, emit_first_token(graph, hidden)))


def emit_classes(graph: Graph, model: SequenceClassification, hidden: str) -> str:
    """The scores of a text, from BERT's pooler or DistilBERT's pre-classifier."""
    if model.pre_classifier is None:
        pooled = emit_pooler(graph, model.backbone, hidden)
    else:
        first = emit_first_token(graph, hidden)
        pooled = graph("Relu", emit_linear(graph, model.pre_classifier.dense, first))
    return emit_linear(graph, model.classifier.dense, pooled)


HEADS: dict[type[Any], Head] = {
    Bert: encoder_outputs,
    DistilBert: encoder_outputs,
    Embedder: embedder_outputs,
    MaskedLM: vocabulary_outputs,
    CausalLM: vocabulary_outputs,
    PreTraining: pretraining_outputs,
    NextSentence: next_sentence_outputs,
    SequenceClassification: text_outputs,
    MultipleChoice: choice_outputs,
    TokenClassification: token_outputs,
    QuestionAnswering: span_outputs,
    DocumentClassification: document_outputs,
}
"""The heads of all models that read one text."""
