"""Model card: the README.md of a model's folder, whose header the hub reads.

`save` writes a short one, `report.card` that of a run. A card of somebody else is left alone: ours
hold a line that says how to keep changes.
"""

from pathlib import Path
from typing import Any

import jax
from flax import nnx
from huggingface_hub import ModelCardData

from model.bert import Bert
from model.config import EncoderConfig
from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.distilbert import DistilBert
from model.hf.encoder_decoder import SEQ2SEQ_CLASS
from model.hf.weight_map import class_name
from model.tasks import (
    DocumentClassification,
    Embedder,
    MaskedLM,
    MultipleChoice,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)

CARD_FILE = "README.md"
MARK = "<!-- Written with the model; without this line your changes are kept. -->"
MODEL = "MODEL"
"""The word for the model's folder or name in the programs of a card."""
_WHERE = f"`{MODEL}` is this folder, or its name on the hub. "

PIPELINES: dict[type[nnx.Module], str] = {
    Bert: "feature-extraction",
    DistilBert: "feature-extraction",
    MaskedLM: "fill-mask",
    PreTraining: "fill-mask",
    CausalLM: "text-generation",
    SequenceClassification: "text-classification",
    MultipleChoice: "multiple-choice",
    TokenClassification: "token-classification",
    QuestionAnswering: "question-answering",
    Embedder: "sentence-similarity",
}
"""The hub's names of what models do."""

_NAMES = {"bert": "BERT", "distilbert": "DistilBERT"}


def is_ours(folder: Path) -> bool:
    """True if the folder's card may be written: it has none, or one of ours."""
    path = folder / CARD_FILE
    return not path.exists() or (path.is_file() and MARK in path.read_text("utf-8", "replace"))


def header(kind: type[Any], config: EncoderConfig, **fields: Any) -> ModelCardData:
    """The header of a model of this class, as the hub's client has it, with further `fields`."""
    library = "sentence-transformers" if kind is Embedder else "transformers"
    return ModelCardData(
        library_name=library,
        pipeline_tag=PIPELINES.get(kind),
        tags=["distilbert-flax", config.architecture],
        **fields,
    )


def card_text(data: ModelCardData, *parts: str) -> str:
    """A card of a header and the parts of its text."""
    return "\n\n".join([f"---\n{data.to_yaml()}\n---", MARK, *parts]) + "\n"


def model_sentence(
    kind: type[Any], config: EncoderConfig, decoder: EncoderConfig | None, parameters: int
) -> str:
    """A sentence on the sizes of a model."""
    shape = (
        f"{_layers(config)}, {config.hidden_size} wide, {config.num_heads} heads, "
        f"{parameters:,} parameters, a vocabulary of {config.vocab_size:,} pieces, texts of up to "
        f"{config.max_positions:,} tokens"
    )
    name = _NAMES[config.architecture]
    if decoder is not None:
        name = f"{name} that reads, with a decoder of {_layers(decoder)} that writes,"
    return f"A {name} (`{class_of(kind, config)}`): {shape}."


def _layers(config: EncoderConfig) -> str:
    return "one layer" if config.num_layers == 1 else f"{config.num_layers} layers"


def class_of(kind: type[Any], config: EncoderConfig) -> str:
    """The class of transformers, or of sentence-transformers, that loads such a model."""
    if kind is Embedder:
        return "SentenceTransformer"
    name = SEQ2SEQ_CLASS if kind is Seq2Seq else class_name(kind, config.architecture)
    assert name is not None
    return name


def elsewhere(kind: type[Any], config: EncoderConfig, model: str) -> tuple[str, str]:
    """Another library that loads the `model`, and the program that does."""
    name = class_of(kind, config)
    if kind is Embedder:
        program = f"from sentence_transformers import {name}\n\nmodel = {name}({model!r})"
        return "sentence-transformers", program
    return "transformers", (
        f"from transformers import AutoTokenizer, {name}\n\n"
        f"model = {name}.from_pretrained({model!r})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({model!r})"
    )


def how_to_load(kind: type[Any], config: EncoderConfig) -> str:
    """The section on loading a model, whose place is called `MODEL`."""
    library, program = elsewhere(kind, config, MODEL)
    where = f"{_WHERE}In {library}:"
    if kind is DocumentClassification:
        where += " its encoder alone, without what is in document.safetensors:"
    here = f"from model.pretrained import load\n\nmodel = load({MODEL!r})"
    return (
        f"## Load it\n\n{where}\n\n```python\n{program}\n```\n\n"
        f"In DistilBERT-Flax, the library of its training:\n\n```python\n{here}\n```"
    )


def of_hub(text: str, name: str) -> str:
    """The text of a card as the hub shows it, where the model is called `owner/name`."""
    return text.replace(f"{MARK}\n\n", "").replace(_WHERE, "").replace(repr(MODEL), repr(name))


def parameter_count(model: nnx.Module) -> int:
    """The number of trained numbers; a tied table counts once."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def plain_card(model: nnx.Module) -> str:
    """The card of a model of which nothing is known but what it is."""
    config: EncoderConfig = model.config  # type: ignore[attr-defined]
    kind = type(model)
    decoder = model.decoder.config if isinstance(model, Seq2Seq) else None
    return card_text(
        header(kind, config),
        f"# {class_of(kind, config)}",
        model_sentence(kind, config, decoder, parameter_count(model)),
        "How it was made, and how good it is, is not recorded here.",
        how_to_load(kind, config),
    )
