"""The correspondence of tensors in a Hugging Face checkpoint and parameters here.

The tables name modules; a parameter's own name follows from its kind: `kernel` (transposed: PyTorch
stores [out, in]), `scale` and `embedding` are all called `weight` there, `bias` is `bias`.
"""

from collections.abc import Iterable
from typing import Any

from flax import nnx

from model.backbone import Backbone
from model.bert import Bert
from model.config import Architecture
from model.decoder.causal_lm import CausalLM
from model.distilbert import DistilBert
from model.errors import InputError
from model.tasks import (
    DocumentClassification,
    Embedder,
    MaskedLM,
    MultipleChoice,
    NextSentence,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)

Modules = dict[str, str]
"""Path of a module here -> its path in the checkpoint; `*` is the layer's index."""

BACKBONES: dict[Architecture, Modules] = {
    "bert": {
        "embeddings.word": "embeddings.word_embeddings",
        "embeddings.position": "embeddings.position_embeddings",
        "embeddings.token_type": "embeddings.token_type_embeddings",
        "embeddings.norm": "embeddings.LayerNorm",
        "encoder.layers.*.attention.query": "encoder.layer.*.attention.self.query",
        "encoder.layers.*.attention.key": "encoder.layer.*.attention.self.key",
        "encoder.layers.*.attention.value": "encoder.layer.*.attention.self.value",
        "encoder.layers.*.attention.out": "encoder.layer.*.attention.output.dense",
        "encoder.layers.*.attention_norm": "encoder.layer.*.attention.output.LayerNorm",
        "encoder.layers.*.feed_forward.up": "encoder.layer.*.intermediate.dense",
        "encoder.layers.*.feed_forward.down": "encoder.layer.*.output.dense",
        "encoder.layers.*.output_norm": "encoder.layer.*.output.LayerNorm",
        "pooler.dense": "pooler.dense",
        "encoder.layers.*.cross_attention.query": "encoder.layer.*.crossattention.self.query",
        "encoder.layers.*.cross_attention.key": "encoder.layer.*.crossattention.self.key",
        "encoder.layers.*.cross_attention.value": "encoder.layer.*.crossattention.self.value",
        "encoder.layers.*.cross_attention.out": "encoder.layer.*.crossattention.output.dense",
        "encoder.layers.*.cross_norm": "encoder.layer.*.crossattention.output.LayerNorm",
    },
    "distilbert": {
        "embeddings.word": "embeddings.word_embeddings",
        "embeddings.position": "embeddings.position_embeddings",
        "embeddings.norm": "embeddings.LayerNorm",
        "encoder.layers.*.attention.query": "transformer.layer.*.attention.q_lin",
        "encoder.layers.*.attention.key": "transformer.layer.*.attention.k_lin",
        "encoder.layers.*.attention.value": "transformer.layer.*.attention.v_lin",
        "encoder.layers.*.attention.out": "transformer.layer.*.attention.out_lin",
        "encoder.layers.*.attention_norm": "transformer.layer.*.sa_layer_norm",
        "encoder.layers.*.feed_forward.up": "transformer.layer.*.ffn.lin1",
        "encoder.layers.*.feed_forward.down": "transformer.layer.*.ffn.lin2",
        "encoder.layers.*.output_norm": "transformer.layer.*.output_layer_norm",
    },
}

_BERT_MASKED_LM: Modules = {
    "head.dense": "cls.predictions.transform.dense",
    "head.norm": "cls.predictions.transform.LayerNorm",
    "head": "cls.predictions",
}
_DISTILBERT_MASKED_LM: Modules = {
    "head.dense": "vocab_transform",
    "head.norm": "vocab_layer_norm",
    "head": "vocab_projector",
}
_NEXT_SENTENCE: Modules = {"next_sentence.dense": "cls.seq_relationship"}
_CLASSIFIER: Modules = {"classifier.dense": "classifier"}
_POOLED_CLASSIFIER = {"pre_classifier.dense": "pre_classifier"} | _CLASSIFIER
_SPANS: Modules = {"spans.dense": "qa_outputs"}

ENCODERS: dict[Architecture, type[Backbone]] = {"bert": Bert, "distilbert": DistilBert}

# Class names of transformers, with the class here and the modules of its head.
MODEL_CLASSES: dict[Architecture, dict[str, tuple[type[nnx.Module], Modules]]] = {
    "bert": {
        "BertModel": (Bert, {}),
        "BertForMaskedLM": (MaskedLM, _BERT_MASKED_LM),
        "BertLMHeadModel": (CausalLM, _BERT_MASKED_LM),
        "BertForPreTraining": (PreTraining, _BERT_MASKED_LM | _NEXT_SENTENCE),
        "BertForNextSentencePrediction": (NextSentence, _NEXT_SENTENCE),
        "BertForSequenceClassification": (SequenceClassification, _CLASSIFIER),
        "BertForMultipleChoice": (MultipleChoice, _CLASSIFIER),
        "BertForTokenClassification": (TokenClassification, _CLASSIFIER),
        "BertForQuestionAnswering": (QuestionAnswering, _SPANS),
    },
    "distilbert": {
        "DistilBertModel": (DistilBert, {}),
        "DistilBertForMaskedLM": (MaskedLM, _DISTILBERT_MASKED_LM),
        "DistilBertForSequenceClassification": (SequenceClassification, _POOLED_CLASSIFIER),
        "DistilBertForMultipleChoice": (MultipleChoice, _POOLED_CLASSIFIER),
        "DistilBertForTokenClassification": (TokenClassification, _CLASSIFIER),
        "DistilBertForQuestionAnswering": (QuestionAnswering, _SPANS),
    },
}

# A copy that a checkpoint may hold of a tensor that it shares.
TIED: dict[Architecture, dict[str, str]] = {
    "bert": {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    "distilbert": {"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"},
}
_WORD_TABLE = "embeddings.word_embeddings.weight"  # every encoder has one
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}


def class_name(task: type[nnx.Module], architecture: Architecture) -> str | None:
    """The name of a model in transformers, None where the architecture has no such model.

    An `Embedder` is its bare encoder there, and so is the encoder of a `DocumentClassification`.
    """
    task = ENCODERS[architecture] if task in (Embedder, DocumentClassification) else task
    names = (name for name, (kind, _) in MODEL_CLASSES[architecture].items() if kind is task)
    return next(names, None)


def tensor_name(place: Iterable[Any], task: type[nnx.Module], architecture: Architecture) -> str:
    """The checkpoint's name for the parameter at `place` of a model of class `task`.

    The encoder's tensors bear the model's prefix (`bert.`), whether it has a head or not.

    Raises:
        InputError: transformers has no such parameter.
    """
    *parts, leaf = map(str, place)
    encoder = issubclass(task, Backbone)
    if not encoder and parts[0] == "backbone":
        encoder, parts = True, parts[1:]
    if encoder:
        modules, prefix = BACKBONES[architecture], f"{architecture}."
    else:
        modules, prefix = dict(MODEL_CLASSES[architecture].values())[task], ""
    layer = next((part for part in parts if part.isdigit()), "")
    module = modules.get(".".join("*" if part.isdigit() else part for part in parts))
    if module is None:
        raise InputError(f"transformers' {architecture} models have no {'.'.join(parts)}")
    return f"{prefix}{module.replace('*', layer)}.{_LEAVES[leaf]}"


def canonical_name(name: str, architecture: Architecture) -> str | None:
    """A tensor's name as today's transformers writes it, None for a buffer without content.

    Puts the prefix before an encoder's tensors that were saved without it, and renames the `gamma`
    and `beta` of checkpoints converted from TensorFlow.
    """
    prefix = f"{architecture}."
    prefixed, name = name.startswith(prefix), name.removeprefix(prefix)
    # Constants of older transformers: 0, 1, 2, ... and zeros.
    if name in ("embeddings.position_ids", "embeddings.token_type_ids"):
        return None
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(f"LayerNorm{old}"):
            name = name.removesuffix(old) + new
    roots = {module.split(".")[0] for module in BACKBONES[architecture].values()}
    return prefix + name if prefixed or name.split(".")[0] in roots else name


def wrapping_prefix(names: Iterable[str], architecture: Architecture) -> str:
    """The names of modules around a model, `module.` say, with which its tensors' names begin.

    Raises:
        InputError: two models are wrapped, each in its own way.
    """
    found = set()
    for name in names:
        if f".{name}".endswith(f".{_WORD_TABLE}"):
            *modules, last = name.removesuffix(_WORD_TABLE).split(".")[:-1] or [architecture]
            if last not in BACKBONES:
                modules.append(last)
            found.add("".join(f"{module}." for module in modules))
    if len(found) > 1 and "" not in found:
        raise InputError(
            f"two models are in one checkpoint, and the names of their tensors begin with "
            f"{' and '.join(sorted(found))}: save one of them alone"
        )
    return min(found, default="")


def is_head(name: str, architecture: Architecture) -> bool:
    """True for a tensor of some head or of the pooler, false for one of the encoder itself."""
    heads = {module for _, head in MODEL_CLASSES[architecture].values() for module in head.values()}
    module, _, leaf = name.rpartition(".")
    return leaf in ("weight", "bias") and module in heads | {f"{architecture}.pooler.dense"}
