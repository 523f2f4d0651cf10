"""`config.json` of transformers to and from `EncoderConfig`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from flax import nnx

from model.config import Architecture, EncoderConfig, ProblemType
from model.decoder.causal_lm import CausalLM
from model.errors import InputError
from model.hf.lookalikes import check_fetched
from model.hf.weight_map import class_name
from model.ranges import Range, marks_in
from model.tasks import (
    DocumentClassification,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from model.typed import as_type, parse_json

# Field of EncoderConfig -> its keys in config.json, those of BERT and of DistilBERT.
_KEYS: dict[str, tuple[str, str | None]] = {
    "vocab_size": ("vocab_size", "vocab_size"),
    "max_positions": ("max_position_embeddings", "max_position_embeddings"),
    "initializer_range": ("initializer_range", "initializer_range"),
    "pad_token_id": ("pad_token_id", "pad_token_id"),
    "hidden_size": ("hidden_size", "dim"),
    "num_layers": ("num_hidden_layers", "n_layers"),
    "num_heads": ("num_attention_heads", "n_heads"),
    "intermediate_size": ("intermediate_size", "hidden_dim"),
    "type_vocab_size": ("type_vocab_size", None),
    "hidden_dropout": ("hidden_dropout_prob", "dropout"),
    "attention_dropout": ("attention_probs_dropout_prob", "attention_dropout"),
    "classifier_dropout": ("classifier_dropout", "seq_classif_dropout"),
    "layer_norm_eps": ("layer_norm_eps", None),
}
CONFIG_KEYS: dict[Architecture, dict[str, str]] = {
    "bert": {field: bert for field, (bert, _) in _KEYS.items()},
    "distilbert": {field: distil for field, (_, distil) in _KEYS.items() if distil},
}
# Nothing can stand in for these; transformers' default for every other key is EncoderConfig's.
_REQUIRED = ("vocab_size", "hidden_size", "num_layers", "num_heads", "intermediate_size")

# What the models here are: key -> the values that say so. An absent key says so too.
# DistilBERT's `sinusoidal_pos_embds` is free: its table is read as weights, however it was made.
_GELU = ("gelu", "gelu_python")
_FIXED: dict[Architecture, dict[str, tuple[Any, ...]]] = {
    "bert": {
        "hidden_act": _GELU,
        "position_embedding_type": ("absolute",),
    },
    "distilbert": {"activation": _GELU},
}

_KINDS: dict[str, Any] = {
    "model_type": str,
    "architectures": tuple[str, ...],
    "problem_type": ProblemType,
    "num_labels": int,
    "id2label": Mapping[str, str | int],
    "unanswerable": bool,
    "summary_sentences": int,
}
"""The types of all other values, by key."""
_CLASSES = Range(1, 100_000)
_HINTS = get_type_hints(EncoderConfig, include_extras=True)


def read_settings(path: Path) -> dict[str, Any]:
    """The content of a `config.json` or another file of settings.

    Raises:
        InputError: it is no JSON object, or a text in it is none.
    """
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise InputError(f"{path} holds no JSON object")
    return settings


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: it is no JSON, or a text in it is none.
    """
    try:
        settings = parse_json(path.read_text("utf-8"))
        json.dumps(settings, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(f"{path} holds half of a surrogate pair, which is no text") from None
    except (OSError, ValueError, RecursionError) as error:
        if path.is_file():
            check_fetched(path)
        raise InputError(f"{path} cannot be read as JSON: {error}") from None
    return settings


def encoder_config(raw: Mapping[str, Any], path: Path, *, crosses: bool = False) -> EncoderConfig:
    """The configuration that a `config.json` holds; `path` is for messages.

    Whether the model is a decoder follows from its class, and must be what the settings say.

    Args:
        raw: the settings of one model.
        path: the file, for messages.
        crosses: whether it is the decoder of an encoder.

    Raises:
        InputError: another architecture, or a setting that the models here do not have.
    """
    for key, kind in _KINDS.items():
        if key in raw:
            as_type(kind, raw[key], str(path), key)
    # Google's small BERTs came before `model_type`.
    model_type = raw.get("model_type", "distilbert" if "n_layers" in raw else "bert")
    if model_type not in CONFIG_KEYS:
        raise InputError(
            f"{path} is of a {model_type:.60} model, and only bert and distilbert can be read"
        )
    decodes = crosses or is_decoder(raw)
    decoding = {"is_decoder": (decodes,), "add_cross_attention": (crosses,)}
    for key, allowed in {**_FIXED[model_type], **decoding}.items():
        value = raw.get(key, False if key in decoding else allowed[0])
        if value not in allowed:
            raise InputError(
                f"{path}: {key} is {value!r:.60}, and the models here know {allowed[0]!r} only"
                + (f" for a {class_name(CausalLM, 'bert')}" if key in decoding and decodes else "")
            )
    fields = {name: _number(raw, key, name, path) for name, key in CONFIG_KEYS[model_type].items()}
    fields = {name: value for name, value in fields.items() if value is not None}
    missing = [CONFIG_KEYS[model_type][name] for name in _REQUIRED if name not in fields]
    if missing:
        if (model := path.parent / "model").joinpath(path.name).is_file():
            raise InputError(f"{path.parent} is the folder of a run: name {model}")
        raise InputError(f"{path} lacks {', '.join(missing)}: is it a model's config.json?")
    if model_type == "distilbert":
        fields = {"type_vocab_size": 0, "classifier_dropout": 0.2} | fields
    elif "hidden_dropout" in fields:
        # BERT's classifier_dropout is null where it is to follow the encoder's.
        fields = {"classifier_dropout": fields["hidden_dropout"]} | fields
    labels, problem_type = _labels(raw, path), raw.get("problem_type")
    if problem_type == "single_label_classification" and len(labels) == 1:
        raise InputError(
            f"{path}: problem_type is {problem_type!r}, and there is one class only: name both "
            "classes of two, and call a value 'regression'"
        )
    try:
        return EncoderConfig(
            architecture=model_type,
            labels=labels,
            problem_type=problem_type,
            unanswerable=raw.get("unanswerable"),
            summary_sentences=raw.get("summary_sentences"),
            **fields,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def is_decoder(raw: Mapping[str, Any]) -> bool:
    """True for the settings of a model that reads from left to right."""
    classes = raw.get("architectures", ())
    return class_name(CausalLM, "bert") in classes if classes else raw.get("is_decoder") is True


def _number(raw: Mapping[str, Any], key: str, field: str, path: Path) -> Any:
    if key not in raw:
        return None
    number = as_type(type(getattr(EncoderConfig, field)), raw[key], str(path), key)
    (limits,) = marks_in(_HINTS[field], Range)
    if number not in limits:
        raise InputError(f"{path}: {key} is {number!r:.60}, and must be {limits}")
    return number


def _labels(raw: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The names of the classes by index; transformers' default is two, LABEL_0 and LABEL_1."""
    if "id2label" not in raw:
        number = raw.get("num_labels", 2)
        if number not in _CLASSES:
            raise InputError(f"{path}: num_labels is {number}, and must be {_CLASSES}")
        return tuple(f"LABEL_{index}" for index in range(number))
    names = raw["id2label"]
    try:
        return tuple(str(names[str(index)]) for index in range(len(names)))
    except KeyError:
        raise InputError(
            f'{path}: id2label should name the classes "0", "1", "2" and so on, and is '
            f"{names!r:.60}"
        ) from None


def write_config(
    config: EncoderConfig, task: type[nnx.Module], dtype: str, *, crosses: bool = False
) -> dict[str, Any]:
    """The content of `config.json` for a model of class `task` with weights stored as `dtype`.

    `crosses` is true for the decoder of an encoder.

    Raises:
        InputError: transformers has no such model, or a file cannot hold the name of a label.
    """
    for label in config.labels:
        if label.encode("utf-8", "ignore").decode() != label:
            raise InputError(
                f"the label {label!r} holds half of a surrogate pair, which is no text"
            )
    architecture = config.architecture
    name = class_name(task, architecture)
    if name is None:
        raise InputError(f"transformers has no {task.__name__} model of {architecture}")
    if architecture == "distilbert" and config.layer_norm_eps != 1e-12:
        raise InputError(
            "transformers' DistilBERT has a LayerNorm epsilon of 1e-12, always, and this model "
            f"{config.layer_norm_eps}, as a student has its teacher's: start from a model whose "
            "config.json has a layer_norm_eps of 1e-12"
        )
    if architecture == "bert" and config.type_vocab_size == 0:
        raise InputError("transformers' BERT has token types; this one has none")
    fixed = {key: allowed[0] for key, allowed in _FIXED[architecture].items()}
    if architecture == "bert":
        fixed |= {"is_decoder": task is CausalLM, "add_cross_attention": crosses}
    else:
        fixed |= {"qa_dropout": 0.1, "sinusoidal_pos_embds": False}
    extra: dict[str, Any] = {}
    if task in (SequenceClassification, TokenClassification, DocumentClassification):
        extra["id2label"] = {str(index): label for index, label in enumerate(config.labels)}
        extra["label2id"] = {label: index for index, label in enumerate(config.labels)}
    if task is SequenceClassification and (config.problem_type or config.num_labels == 1):
        extra["problem_type"] = config.problem  # transformers takes a lone output for a class
    if task is QuestionAnswering and config.unanswerable is not None:
        extra["unanswerable"] = config.unanswerable  # transformers keeps it, and does not ask
    if task is TokenClassification and config.summary_sentences is not None:
        extra["summary_sentences"] = config.summary_sentences  # likewise
    return {
        "architectures": [name],
        "model_type": architecture,
        **{key: getattr(config, field) for field, key in CONFIG_KEYS[architecture].items()},
        **fixed,
        **extra,
        "tie_word_embeddings": True,
        "dtype": dtype,
    }
