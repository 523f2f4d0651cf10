"""Files of sentence-transformers around an encoder: how it pools, and how it reads a text.

`modules.json` lists modules, each with a folder of its own: the encoder (most often in the folder
itself), the pooling, the normalisation. Version 6 renamed keys and classes; both spellings are
read, and the older ones written, which every version understands.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from model.bert import Bert
from model.errors import InputError
from model.hf.config import read_json, read_settings
from model.tasks import Embedder, Pooling
from model.typed import as_type

MODULES_FILE = "modules.json"
_READING_FILES = ("sentence_bert_config.json", "sentence_distilbert_config.json")
_PROMPTS_FILE = "config_sentence_transformers.json"
_TOKENIZER_FILE = "tokenizer_config.json"
_POOLING = "1_Pooling/config.json"
EMBEDDER_FILES = (
    MODULES_FILE,
    *_READING_FILES,
    _PROMPTS_FILE,
    _TOKENIZER_FILE,
    "*_Pooling/config.json",
)
"""Patterns of the files that say what an embedder is."""

_PACKAGE = "sentence_transformers."
_CLASS = "SentenceTransformer"
_NAMES = ["Transformer", "Pooling", "Normalize"]
_POOLINGS: dict[str, Pooling] = {"mean": "mean", "cls": "cls"}
_OLD_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}

logger = logging.getLogger(__name__)


class EmbedderSettings(NamedTuple):
    """The arguments of an `Embedder` beside its encoder."""

    pooling: Pooling = "mean"
    normalised: bool = True
    max_length: int | None = None
    prompts: tuple[tuple[str, str], ...] = ()
    default_prompt: str | None = None


@dataclass(frozen=True)
class _Module:
    type: str
    path: str = ""

    @property
    def name(self) -> str:
        """The class; another package's with all that is before it."""
        own = self.type.startswith(_PACKAGE)
        return self.type.rpartition(".")[2] if own else self.type


def encoder_folder(root: Path) -> Path:
    """The folder of the encoder, which a `modules.json` may put into one inside `root`.

    Raises:
        InputError: `modules.json` is none.
    """
    modules = _modules(root)
    return root / modules[0].path if modules and modules[0].name == "Transformer" else root


def read_embedder(root: Path, encoder: Path, positions: int) -> EmbedderSettings:
    """The settings of an embedder; a warning in the log if its files say nothing of pooling.

    Args:
        root: the folder of `modules.json`.
        encoder: the folder of the encoder, `root` or inside it.
        positions: of the encoder, the most that it reads.

    Raises:
        InputError: a module or a pooling that an `Embedder` does not have, or a damaged file.
    """
    max_length = _max_length(encoder, positions)
    modules = _modules(root)
    if not modules:
        _assume_mean(root, f"it has no {MODULES_FILE}", "and has the length 1")
        return EmbedderSettings(max_length=max_length)
    names = [module.name for module in modules]
    if names[0] != _NAMES[0] or names != [name for name in _NAMES if name in names]:
        raise InputError(
            f"{root / MODULES_FILE} lists {', '.join(names)}, and an embedder can have "
            f"{', '.join(_NAMES)} here and nothing else"
        )
    prompts, default = _prompts(root)
    pooling = _pooling(root, modules, bool(prompts))
    return EmbedderSettings(pooling, "Normalize" in names, max_length, prompts, default)


def embedder_files(model: Embedder) -> dict[str, Any]:
    """The contents of the files beside an encoder's own, by path."""
    paths = {"Transformer": "", "Pooling": str(Path(_POOLING).parent)}
    if model.normalised:
        paths["Normalize"] = "2_Normalize"  # a folder without a file need not be there
    reading: dict[str, Any] = {
        "max_seq_length": model.max_length or model.config.max_positions,
        "do_lower_case": False,
    }
    if isinstance(model.backbone, Bert) and model.backbone.pooler is None:
        # Else transformers would draw one, and warn.
        reading["model_args"] = {"add_pooling_layer": False}
    return {
        MODULES_FILE: [
            {"idx": number, "name": str(number), "path": path, "type": f"{_PACKAGE}models.{name}"}
            for number, (name, path) in enumerate(paths.items())
        ],
        _POOLING: {
            "word_embedding_dimension": model.config.hidden_size,
            **{key: mode == model.pooling for key, mode in _OLD_KEYS.items()},
            "include_prompt": True,
        },
        _READING_FILES[0]: reading,
        _PROMPTS_FILE: {
            "prompts": dict(model.prompts),
            "default_prompt_name": model.default_prompt,
        },
    }


def _modules(root: Path) -> tuple[_Module, ...]:
    file = root / MODULES_FILE
    if not file.is_file():
        return ()
    modules = as_type(tuple[_Module, ...], read_json(file), str(file))
    for module in modules:
        # A folder is passed on as a whole: its files have no business elsewhere on the disk.
        if module.path and (Path(module.path).name != module.path or module.path in (".", "..")):
            raise InputError(
                f"{file} puts {module.type:.60} into {module.path!r:.60}, and must name a folder "
                "inside its own"
            )
    return modules


def _pooling(root: Path, modules: tuple[_Module, ...], prompts: bool) -> Pooling:
    found = [root / each.path / "config.json" for each in modules if each.name == "Pooling"]
    if not found or not found[0].is_file():
        _assume_mean(root, f"{found[0]} is missing" if found else f"{MODULES_FILE} lists none")
        return "mean"
    file, settings = found[0], read_settings(found[0])
    old = [mode for key, mode in _OLD_KEYS.items() if settings.get(key)]
    modes = settings.get("pooling_mode", old or "mean")
    modes = (
        [modes]
        if isinstance(modes, str)
        else as_type(tuple[str, ...], modes, str(file), "pooling_mode")
    )
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise InputError(
            f"{file} pools by {' and '.join(modes) or 'nothing'}, and an embedder can pool by "
            f"{' or '.join(_POOLINGS)} here"
        )
    if prompts and not settings.get("include_prompt", True):
        raise InputError(
            f"{file} leaves the tokens of prompts out of the pooling (include_prompt), which "
            "cannot be done here"
        )
    return _POOLINGS[modes[0]]


def _assume_mean(root: Path, why: str, more: str = "") -> None:
    logger.warning(
        "%s says nothing of how the vector of a text is made (%s): it is the mean over the tokens "
        "%s",
        root,
        why,
        more or "then",
    )


def _max_length(encoder: Path, positions: int) -> int | None:
    """Of the tokenizer's file since version 6; no more than the encoder has positions."""
    for name, key in [
        *((name, "max_seq_length") for name in _READING_FILES),
        (_TOKENIZER_FILE, "model_max_length"),
    ]:
        file = encoder / name
        if not file.is_file():
            continue
        settings = read_settings(file)
        if settings.get("do_lower_case") and name != _TOKENIZER_FILE:
            _check_lowercase(encoder, file)
        task = settings.get("transformer_task", "feature-extraction")
        if task != "feature-extraction":
            raise InputError(f"{file}: the transformer_task is {task!r:.60}: that is no embedder")
        if settings.get(key) is not None:
            # Tokenizers without a limit have 1e30.
            number = as_type(float, settings[key], str(file), key)
            if number < 3:
                raise InputError(f"{file}: {key} is {number:g}, which leaves no room for text")
            return int(min(number, positions))
    return None


def _check_lowercase(encoder: Path, file: Path) -> None:
    tokenizer = encoder / _TOKENIZER_FILE
    if tokenizer.is_file() and read_settings(tokenizer).get("do_lower_case") is False:
        raise InputError(
            f"{file} asks for lowercase (do_lower_case), and {_TOKENIZER_FILE} for text as it is: "
            "make both say the same"
        )


def _prompts(root: Path) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """The prompts that are not empty, and the name of the one that is put before every text."""
    file = root / _PROMPTS_FILE
    if not file.is_file():
        return (), None
    settings = read_settings(file)
    if settings.get("model_type", _CLASS) != _CLASS:
        raise InputError(f"{file} is of a {settings['model_type']!r:.60}, and no {_CLASS}")
    prompts = as_type(Mapping[str, str | None], settings.get("prompts") or {}, str(file), "prompts")
    default = as_type(
        str | None, settings.get("default_prompt_name"), str(file), "default_prompt_name"
    )
    if default is not None and default not in prompts:
        raise InputError(f"{file}: there is no prompt {default!r:.60}, the default_prompt_name")
    some = tuple((name, text) for name, text in prompts.items() if text)
    return some, default if default in dict(some) else None
