"""Files of a tokenizer, in the formats of Hugging Face and of Google's BERT."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece

from data.added_tokens import CONFIG_FILE, TOKENS_FILES, read_added_tokens, read_optional
from data.storage.atomic import make_folder, write_text
from data.vocabulary import SPECIAL_TOKENS, Vocabulary
from data.wordpiece import Casing, bert_casing, bert_vocabulary
from model.errors import InputError
from model.hf.config import read_settings
from model.hf.files import CONFIG_FILE as MODEL_CONFIG
from model.hf.files import hub_folder

PIECES_FILES = ("tokenizer.json", "vocab.txt")
# Classes of transformers that make a tokenizer anew from its pieces and settings, and those that
# run a tokenizer.json whatever is in it. "Fast" behind a name changes nothing.
BERTS = tuple(f"{name}BertTokenizer" for name in ("", "Distil", "Conv", "Mobile", "Squeeze"))
AS_IT_STANDS = ("PreTrainedTokenizer", "TokenizersBackend")


def load_vocabulary(name_or_path: str | Path) -> Vocabulary:
    """The vocabulary of a folder, a `vocab.txt`, a `tokenizer.json`, or a hub name.

    Hub names are `owner/name`, with `@revision` if need be. A text gets the ids that transformers 5
    gives it: a folder's `tokenizer.json` goes before its `vocab.txt`, and `tokenizer_config.json`
    before both. Without a `tokenizer_config.json` the vocabulary says how text is folded: the
    normalizer of a tokenizer.json, or pieces (one with "The" in it was learned from cased text).

    Raises:
        InputError: nothing is there, the hub does not give it, the file is not a WordPiece
            vocabulary, it lacks one of the five special tokens, a setting is not of its type, or
            transformers 5 would leave something of a tokenizer.json out.
    """
    path = Path(name_or_path).expanduser()
    if not path.exists():
        absent = f"tokenizer {name_or_path}: there is no such file or folder here"
        wanted = [*PIECES_FILES, CONFIG_FILE, *TOKENS_FILES, MODEL_CONFIG]
        path = hub_folder(str(name_or_path), wanted, absent=absent)
    if not path.is_file():
        found = [path / name for name in PIECES_FILES if (path / name).is_file()]
        if not found:
            raise InputError(
                f"{name_or_path}: there is neither a tokenizer.json nor a vocab.txt in it"
            )
        path = found[0]
    config_file = path.with_name(CONFIG_FILE)
    config = read_settings(config_file) if config_file.is_file() else None
    read = _read_json if path.suffix == ".json" else _read_pieces
    vocabulary = read(path, config)
    by_id: dict[int, str] = {}
    for token, index in sorted(vocabulary.tokenizer.get_vocab().items()):
        if by_id.setdefault(index, token) != token:
            raise InputError(
                f"{path}: the tokens {by_id[index]!r} and {token!r} have the same id, {index}: an "
                f"added token gets the number of pieces as its id, without blank lines"
            )
    return vocabulary


def save_vocabulary(vocabulary: Vocabulary, folder: Path, max_length: int = 512) -> None:
    """Writes the files that transformers' AutoTokenizer reads; it then gives the same ids.

    `folder` is made if need be. Text of more than `max_length` tokens, the model's positions, is
    cut by transformers.

    Raises:
        InputError: the disk refuses.
    """
    tokenizer, contents = vocabulary.tokenizer, {}
    config: dict[str, Any] = {"tokenizer_class": f"{AS_IT_STANDS[0]}Fast"}
    if casing := bert_casing(tokenizer):
        config = {
            "tokenizer_class": BERTS[0],
            "do_lower_case": casing.lowercase,
            "strip_accents": casing.strip_accents,
            "tokenize_chinese_chars": casing.split_chinese,
        }
        pieces = {i: piece for piece, i in tokenizer.get_vocab(with_added_tokens=False).items()}
        lines = [pieces.get(index, "") for index in range(max(pieces) + 1)]
        contents["vocab.txt"] = "".join(line + "\n" for line in lines)
    config["model_max_length"] = max_length
    config |= {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}
    added = tokenizer.get_added_tokens_decoder()
    if [*added.values()] != [AddedToken(token, special=True) for token in SPECIAL_TOKENS]:
        listed = json.loads(tokenizer.to_str())["added_tokens"]
        config["additional_special_tokens"] = [
            token["content"]
            for token in listed
            if token["special"] and token["content"] not in SPECIAL_TOKENS
        ]
        config["added_tokens_decoder"] = {str(token.pop("id")): token for token in listed}
    contents["tokenizer.json"] = tokenizer.to_str(pretty=True)
    contents[CONFIG_FILE] = json.dumps(config, indent=2) + "\n"
    make_folder(folder)
    for name, content in contents.items():
        write_text(folder / name, content)


def _read_json(path: Path, config: dict[str, Any] | None) -> Vocabulary:
    try:
        text = path.read_text(encoding="utf-8")
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exceptions
        raise InputError(f"{path}: this is not a tokenizer.json ({error})") from None
    added = read_added_tokens(path, config or {}, json.loads(text).get("added_tokens") or [])
    _check_special_tokens({*tokenizer.get_vocab(), *(t.content for t in added.listed)}, path)
    own, wanted = bert_casing(tokenizer), _casing(path, config)
    as_it_stands = _as_it_stands(path, config)
    if own and not as_it_stands:
        pieces = tokenizer.get_vocab(with_added_tokens=False)
        vocabulary = bert_vocabulary(pieces, wanted or own, [*added.listed, *added.named])
    elif wanted and not as_it_stands:
        raise InputError(
            f"{path}: this is not the tokenizer of BERT, a WordPiece model with nothing but a "
            f"BertNormalizer that cleans text before it, and transformers 5 would run that one: to "
            f'run this one as it stands, write "tokenizer_class": "{AS_IT_STANDS[0]}Fast" into '
            f"{CONFIG_FILE}"
        )
    else:
        # Files of sentence-transformers pad, and cut at 128 tokens.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        own_tokens = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
        tokenizer.add_tokens(
            [*added.listed, *(t for t in added.named if t.content not in own_tokens)]
        )
        vocabulary = Vocabulary(tokenizer)
        _check_steps(vocabulary, path)
    added.check_ids(vocabulary.tokenizer)
    return vocabulary


def _read_pieces(path: Path, config: dict[str, Any] | None) -> Vocabulary:
    try:
        # A byte order mark is no part of the first piece.
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is no vocabulary: UTF-8 text, one piece a line") from None
    if lines[-1] == "":
        lines.pop()
    lines = [line.rstrip() for line in lines]
    pieces = {piece: index for index, piece in enumerate(lines)}
    added = read_added_tokens(path, config or {}, [])
    _check_special_tokens({*pieces, *(t.content for t in added.listed)}, path)
    [(piece, times), *_] = [*Counter(filter(None, lines)).most_common(1), ("", 0)]
    if times > 1:
        raise InputError(f"{path}: {piece!r} is listed {times} times, a vocabulary lists it once")
    if _as_it_stands(path, config):
        raise InputError(f"{path}: the tokenizer_class in {CONFIG_FILE} needs a tokenizer.json")
    cased = any(re.fullmatch("(##)?[A-Za-z]*[A-Z][A-Za-z]*", piece) for piece in lines)
    casing = _casing(path, config) or Casing(lowercase=not cased)
    vocabulary = bert_vocabulary(pieces, casing, [*added.listed, *added.named])
    added.check_ids(vocabulary.tokenizer)
    return vocabulary


def _check_special_tokens(pieces: set[str], path: Path) -> None:
    missing = [token for token in SPECIAL_TOKENS if token not in pieces]
    if missing:
        raise InputError(
            f"{path}: the vocabulary has no {' and no '.join(missing)}: masked language modelling "
            f"needs a vocabulary made for BERT"
        )


def _check_steps(vocabulary: Vocabulary, path: Path) -> None:
    """Raises an InputError unless a tokenizer does what is taken for granted here of any."""
    tokenizer, special = vocabulary.tokenizer, vocabulary.special
    if not isinstance(tokenizer.model, WordPiece) or tokenizer.model.unk_token != "[UNK]":
        raise InputError(f"{path}: the tokenizer is no WordPiece model with [UNK] for other words")
    split = tokenizer.pre_tokenizer
    if split is None or [word for word, _ in split.pre_tokenize_str("a b\nc")] != ["a", "b", "c"]:
        raise InputError(f"{path}: the tokenizer does not split text at white space, as BERT does")
    if tokenizer.encode(" ".join(SPECIAL_TOKENS), add_special_tokens=False).ids != list(special):
        raise InputError(
            f"{path}: the tokenizer splits [MASK] and the like where they are in a text"
        )
    pair = tokenizer.encode("", "")
    if (pair.ids, pair.type_ids) != ([special.cls, special.sep, special.sep], [0, 0, 1]):
        raise InputError(
            f"{path}: the tokenizer does not put [CLS] before two texts and [SEP] behind each, as "
            f"BERT does"
        )


def _casing(path: Path, config: dict[str, Any] | None) -> Casing | None:
    """The casing in tokenizer_config.json, with transformers' defaults; None without the file."""
    if config is None:
        return None
    file = path.with_name(CONFIG_FILE)
    keys = ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "split_special_tokens")
    settings = {k: v for k, v in config.items() if k in keys and v is not None}
    for key, value in settings.items():
        if not isinstance(value, bool):
            raise InputError(f"{file}: {key} is {value!r}, and should be true or false")
    if settings.get("split_special_tokens"):
        raise InputError(f"{file}: split_special_tokens would make [MASK] in a text no mask")
    return Casing(
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        split_chinese=settings.get("tokenize_chinese_chars", True),
    )


def _as_it_stands(path: Path, config: dict[str, Any] | None) -> bool:
    """True if the files beside a vocabulary name a class that runs any tokenizer.json."""
    for file in map(path.with_name, (CONFIG_FILE, MODEL_CONFIG)):
        settings = config if file.name == CONFIG_FILE else read_optional(file)
        name = (settings or {}).get("tokenizer_class") or ""
        if not isinstance(name, str):
            raise InputError(f"{file}: tokenizer_class is {name!r}, and should be a name")
        name = name.removesuffix("Fast")
        if name and name not in (*BERTS, *AS_IT_STANDS):
            raise InputError(
                f"{file}: the tokenizer_class {name} splits text in its own way, and only BERT's "
                f"tokenizers can be run: {', '.join((*BERTS, *AS_IT_STANDS))}"
            )
        if name:
            return name in AS_IT_STANDS
    return False
