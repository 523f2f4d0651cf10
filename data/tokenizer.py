"""Files of a tokenizer, in the formats of Hugging Face and of Google's BERT."""

import json
import re
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer

from data.storage.atomic import make_folder, write_text
from data.vocabulary import SPECIAL_TOKENS, Vocabulary
from data.wordpiece import Casing, bert_vocabulary, normalizer
from model.errors import InputError
from model.hf.config import read_settings
from model.hf.files import hub_folder

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json")


def load_vocabulary(name_or_path: str | Path) -> Vocabulary:
    """The vocabulary of a folder, a `vocab.txt`, a `tokenizer.json`, or a hub name.

    Hub names are `owner/name`, with `@revision` if need be. A folder's `tokenizer.json` goes before
    its `vocab.txt`. A bare vocabulary does not say whether text is to be lowercased: a
    `tokenizer_config.json` beside it does, or else its pieces do (one with "The" in it was learned
    from cased text).

    Raises:
        InputError: nothing is there, the hub does not give it, the file is not a WordPiece
            vocabulary, or it lacks one of the five special tokens.
    """
    path = Path(name_or_path).expanduser()
    if not path.exists():
        absent = f"tokenizer {name_or_path}: there is no such file or folder here"
        path = hub_folder(str(name_or_path), list(TOKENIZER_FILES), absent=absent)
    if not path.is_file():
        found = [path / name for name in TOKENIZER_FILES[:2] if (path / name).is_file()]
        if not found:
            raise InputError(
                f"{name_or_path}: there is neither a tokenizer.json nor a vocab.txt in it"
            )
        path = found[0]
    return _read_json(path) if path.suffix == ".json" else _read_pieces(path)


def save_vocabulary(vocabulary: Vocabulary, folder: Path, max_length: int = 512) -> None:
    """Writes the three files that transformers' AutoTokenizer reads.

    From the pieces and the casing it builds a tokenizer with the library's own BertNormalizer,
    which differs from ours in decomposed accents (if cased) and final capital sigmas (if uncased).

    `folder` is made if need be. Text of more than `max_length` tokens, the model's positions, is
    cut by transformers.

    Raises:
        InputError: the disk refuses.
    """
    casing = _casing(vocabulary.tokenizer)
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": casing.lowercase,
        "strip_accents": casing.strip_accents,
        "tokenize_chinese_chars": casing.split_chinese,
        "model_max_length": max_length,
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS},
    }
    contents = {
        "vocab.txt": "".join(piece + "\n" for piece in vocabulary.pieces),
        "tokenizer.json": vocabulary.tokenizer.to_str(pretty=True),
        "tokenizer_config.json": json.dumps(config, indent=2) + "\n",
    }
    make_folder(folder)
    for name, content in contents.items():
        write_text(folder / name, content)


def _read_json(path: Path) -> Vocabulary:
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises bare Exceptions
        raise InputError(f"{path}: this is not a tokenizer.json ({error})") from None
    _check_special_tokens(tokenizer.get_vocab(), path)
    try:
        tokenizer.normalizer = normalizer(_casing(tokenizer))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    # Files of sentence-transformers pad, and cut at 128 tokens.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Vocabulary(tokenizer)


def _read_pieces(path: Path) -> Vocabulary:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is no vocabulary: UTF-8 text, one piece a line") from None
    if lines[-1] == "":
        lines.pop()
    pieces = {piece: index for index, piece in enumerate(lines)}
    _check_special_tokens(pieces, path)
    if len(pieces) < len(lines):
        [(piece, times)] = Counter(lines).most_common(1)
        raise InputError(f"{path}: {piece!r} is listed {times} times, a vocabulary lists it once")
    beside = path.with_name("tokenizer_config.json")
    settings = read_settings(beside) if beside.is_file() else {}
    cased = any(re.fullmatch("(##)?[A-Za-z]*[A-Z][A-Za-z]*", piece) for piece in lines)
    casing = Casing(
        lowercase=settings.get("do_lower_case", not cased),
        strip_accents=settings.get("strip_accents"),
        split_chinese=settings.get("tokenize_chinese_chars", True),
    )
    return bert_vocabulary(pieces, casing)


def _check_special_tokens(pieces: dict[str, int], path: Path) -> None:
    missing = [token for token in SPECIAL_TOKENS if token not in pieces]
    if missing:
        raise InputError(
            f"{path}: the vocabulary has no {' and no '.join(missing)}: masked language modelling "
            f"needs a vocabulary made for BERT"
        )


def _casing(tokenizer: Tokenizer) -> Casing:
    """The casing of a tokenizer, from its BertNormalizer (ours are several, see `normalizer`)."""
    settings = json.loads(tokenizer.to_str())
    outer = settings["normalizer"] or {}
    steps = outer.get("normalizers", [outer])
    steps = [step for step in steps if step.get("type") == "BertNormalizer"]
    if settings["model"]["type"] != "WordPiece" or not steps:
        raise InputError("the tokenizer is not BERT's, a WordPiece model with a BertNormalizer")
    return Casing(
        lowercase=steps[-1]["lowercase"],
        strip_accents=steps[-1]["strip_accents"],
        split_chinese=steps[0]["handle_chinese_chars"],
    )
