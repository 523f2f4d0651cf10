"""Tokenizers by name: loaded or trained, saved, and compared."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from data.config import DataConfig
from data.corpora.open import Corpus
from data.storage.atomic import make_folder, replacing
from data.storage.cache import make_once
from data.wordpiece import SPECIAL_TOKENS, Casing, bert_tokenizer, normalizer, train_wordpiece
from model.errors import InputError
from model.hf.files import download

FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json")


class SpecialIds(NamedTuple):
    """Ids of the tokens that are not text, in the order of `SPECIAL_TOKENS`."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int


def open_tokenizer(config: DataConfig, corpus: Corpus) -> Tokenizer:
    """The tokenizer that the settings name, which may be one to learn from the corpus.

    `wordpiece:8192` stands for a lowercased vocabulary of 8,192 pieces learned from the corpus's
    training text, `wordpiece:8192:cased` for a cased one. It is learned once and kept in the cache.
    """
    name = config.tokenizer
    if name is None:
        raise InputError("--data.tokenizer is missing: name one, or wordpiece:8192 to learn one")
    if not name.startswith("wordpiece:"):
        return load_tokenizer(name)
    wanted = re.fullmatch(r"wordpiece:(\d+)(:cased)?", name)
    if wanted is None:
        raise InputError(
            f"--data.tokenizer {name}: after wordpiece: comes the number of pieces, as in "
            f"wordpiece:8192 or wordpiece:8192:cased"
        )

    def make(folder: Path) -> None:
        texts = (text.text for text in corpus.texts("train"))
        tokenizer = train_wordpiece(texts, int(wanted[1]), lowercase=wanted[2] is None)
        save_tokenizer(tokenizer, folder)

    key = hashlib.sha256(f"{corpus.fingerprint} {name}".encode()).hexdigest()
    return load_tokenizer(make_once(config.cache / "tokenizers" / key[:24], make))


def load_tokenizer(name_or_path: str | Path) -> Tokenizer:
    """The tokenizer of a folder, a `vocab.txt`, a `tokenizer.json`, or a hub name.

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
        path = download(str(name_or_path), list(FILES), absent=absent)
    if not path.is_file():
        found = [path / name for name in FILES[:2] if (path / name).is_file()]
        if not found:
            raise InputError(
                f"{name_or_path}: there is neither a tokenizer.json nor a vocab.txt in it"
            )
        path = found[0]
    return _read_json(path) if path.suffix == ".json" else _read_vocabulary(path)


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int = 512) -> None:
    """Write the three files that transformers' AutoTokenizer reads.

    From the vocabulary and the casing it builds one with the library's own BertNormalizer, which
    differs from ours in decomposed accents (when cased) and final capital sigmas (when uncased).

    Args:
        tokenizer: from `load_tokenizer` or `train_wordpiece`.
        folder: is made if need be.
        max_length: where transformers warns about, and cuts, longer text: the model's positions.

    Raises:
        InputError: the disk refuses.
    """
    casing = _casing(tokenizer)
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": casing.lowercase,
        "strip_accents": casing.strip_accents,
        "tokenize_chinese_chars": casing.split_chinese,
        "model_max_length": max_length,
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS},
    }
    contents = {
        "vocab.txt": "".join(piece + "\n" for piece in vocabulary(tokenizer)),
        "tokenizer.json": tokenizer.to_str(pretty=True),
        "tokenizer_config.json": json.dumps(config, indent=2) + "\n",
    }
    make_folder(folder)
    for name, content in contents.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8", newline="\n")


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """The pieces, by id."""
    by_id = {index: piece for piece, index in tokenizer.get_vocab().items()}
    return [by_id[index] for index in sorted(by_id)]


def special_ids(tokenizer: Tokenizer) -> SpecialIds:
    """Ids of [PAD], [UNK], [CLS], [SEP] and [MASK]."""
    pieces = tokenizer.get_vocab()
    _check_special_tokens(pieces, "the tokenizer")
    return SpecialIds(*(pieces[token] for token in SPECIAL_TOKENS))


def check_same_vocabulary(teacher: Tokenizer, student: Tokenizer) -> None:
    """Raise an InputError that names the first token in which the two differ.

    Equal sizes prove nothing: distillation compares two distributions token by token.
    """
    teachers, students = vocabulary(teacher), vocabulary(student)
    for index, (ours, theirs) in enumerate(zip(teachers, students, strict=False)):
        if ours != theirs:
            raise InputError(
                f"teacher and student need the same vocabulary, but token {index} is {ours!r} for "
                f"the teacher and {theirs!r} for the student: give the student the teacher's"
            )
    if len(teachers) != len(students):
        raise InputError(
            f"teacher and student need the same vocabulary, but the teacher's has {len(teachers)} "
            f"tokens and the student's {len(students)}: give the student the teacher's"
        )


def fingerprint(tokenizer: Tokenizer) -> str:
    """A hexadecimal digest of everything that decides which ids a text gets."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def _read_json(path: Path) -> Tokenizer:
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
    return tokenizer


def _read_vocabulary(path: Path) -> Tokenizer:
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
    settings = _read_settings(path.with_name("tokenizer_config.json"))
    cased = any(re.fullmatch("(##)?[A-Za-z]*[A-Z][A-Za-z]*", piece) for piece in lines)
    casing = Casing(
        lowercase=settings.get("do_lower_case", not cased),
        strip_accents=settings.get("strip_accents"),
        split_chinese=settings.get("tokenize_chinese_chars", True),
    )
    return bert_tokenizer(pieces, casing)


def _read_settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: this is not JSON ({error})") from None


def _check_special_tokens(pieces: dict[str, int], place: Path | str) -> None:
    missing = [token for token in SPECIAL_TOKENS if token not in pieces]
    if missing:
        raise InputError(
            f"{place}: the vocabulary has no {' and no '.join(missing)}: masked language modelling "
            f"needs a vocabulary made for BERT"
        )


def _casing(tokenizer: Tokenizer) -> Casing:
    """Read back from the tokenizer's BertNormalizer (ours are several, see `normalizer`)."""
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
