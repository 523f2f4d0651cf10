"""WordPiece tokenizers: loading, training, saving, comparing.

The pieces come from the `tokenizers` library; what is here is the little that makes one BERT's: the
normaliser's casing, the special tokens, and clear words for a vocabulary that will not do.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
from huggingface_hub.errors import HFValidationError
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import WordPiece

from model.errors import InputError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json")


class SpecialIds(NamedTuple):
    """Ids of the tokens that are not text, in the order of `SPECIAL_TOKENS`."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int


def load_tokenizer(name_or_path: str | Path) -> Tokenizer:
    """The tokenizer of a folder, a `vocab.txt`, a `tokenizer.json`, or a hub name `owner/name`.

    A folder's `tokenizer.json` goes before its `vocab.txt`. A bare vocabulary does not say whether
    text is to be lowercased: `tokenizer_config.json` beside it does, or else its pieces do (one
    with "The" in it was made from cased text).

    Raises:
      InputError: nothing is there, the hub cannot be reached, the file is not a vocabulary, or it
        lacks one of the five special tokens.
    """
    path = Path(name_or_path).expanduser()
    if not path.exists():
        path = _download(str(name_or_path))
    if path.is_dir():
        found = [path / name for name in FILES[:2] if (path / name).is_file()]
        if not found:
            raise InputError(f"{path}: holds neither tokenizer.json nor vocab.txt")
        path = found[0]
    tokenizer = _read_json(path) if path.suffix == ".json" else _read_vocabulary(path)
    # Files from sentence-transformers cut at 128 tokens and pad; here that is the data's business.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        special_ids(tokenizer)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return tokenizer


def train_wordpiece(
    texts: Iterable[str], vocab_size: int, lowercase: bool = True, alphabet_size: int = 1000
) -> Tokenizer:
    """A vocabulary of `vocab_size` pieces learned from `texts`, the same in every run.

    The library's trainer numbers the pieces in the order of a randomly seeded hash map, and breaks
    ties by these numbers. So the words are counted here, the pieces of one character are handed to
    it in a fixed order, and it learns only the merges. Memory grows with the number of different
    words, not with the text.

    Args:
      texts: read once.
      vocab_size: pieces in all, the five special tokens included.
      lowercase: lowercase and strip accents, as BERT's uncased models do.
      alphabet_size: the most frequent characters that get pieces of their own; words with others
        become [UNK].
    """
    words = _count_words(texts, lowercase)
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    if not characters:
        raise InputError("the text to learn a vocabulary from is empty")
    by_frequency = sorted(characters, key=lambda character: (-characters[character], character))
    alphabet = set(by_frequency[:alphabet_size])
    spelt = {word: count for word, count in words.items() if alphabet.issuperset(word)}
    singles = sorted({word[0] for word in spelt})
    singles += sorted({"##" + character for word in spelt for character in word[1:]})
    if vocab_size < len(SPECIAL_TOKENS) + len(singles):
        raise InputError(
            f"a vocabulary of {vocab_size} pieces has no room for the {len(singles)} single "
            f"characters of this text: ask for more pieces or a smaller alphabet"
        )

    learner = Tokenizer(WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        show_progress=False,
        special_tokens=[*SPECIAL_TOKENS, *singles],
    )
    learner.train_from_iterator(_repeat(spelt), trainer)
    return _bert_tokenizer(learner.get_vocab(), lowercase=lowercase)


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Write vocab.txt, tokenizer.json and tokenizer_config.json as transformers reads them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    casing = _bert_normalizer(tokenizer)
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": casing["lowercase"],
        "strip_accents": casing["strip_accents"],
        "tokenize_chinese_chars": casing["handle_chinese_chars"],
        "model_max_length": 512,
        **{f"{name[1:-1].lower()}_token": name for name in SPECIAL_TOKENS},
    }
    contents = {
        "vocab.txt": "".join(piece + "\n" for piece in vocabulary(tokenizer)),
        "tokenizer.json": tokenizer.to_str(pretty=True),
        "tokenizer_config.json": json.dumps(config, indent=2) + "\n",
    }
    for name, content in contents.items():
        temporary = folder / f".{name}.tmp"
        temporary.write_text(content, encoding="utf-8", newline="\n")
        temporary.replace(folder / name)


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """The pieces, by id."""
    by_id = {index: piece for piece, index in tokenizer.get_vocab().items()}
    if sorted(by_id) != list(range(len(by_id))):
        raise InputError(f"the tokenizer's {len(by_id)} ids are not 0 to {len(by_id) - 1}")
    return [by_id[index] for index in range(len(by_id))]


def special_ids(tokenizer: Tokenizer) -> SpecialIds:
    """Ids of [PAD], [UNK], [CLS], [SEP] and [MASK].

    Raises:
      InputError: the vocabulary lacks one of them.
    """
    missing = [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is None]
    if missing:
        raise InputError(
            f"the vocabulary has no {' and no '.join(missing)}, which masked language modelling "
            f"with BERT needs: give a WordPiece vocabulary made for BERT"
        )
    return SpecialIds(*(tokenizer.get_vocab()[token] for token in SPECIAL_TOKENS))


def check_same_vocabulary(teacher: Tokenizer, student: Tokenizer) -> None:
    """Raise an InputError that names the first id at which the two vocabularies differ.

    Equal sizes prove nothing: distillation compares the two models' distributions token by token.
    """
    pieces = vocabulary(teacher), vocabulary(student)
    for index, (ours, theirs) in enumerate(zip(*pieces, strict=False)):
        if ours != theirs:
            raise InputError(
                f"teacher and student must share one vocabulary, but token {index} is {ours!r} in "
                f"the teacher's and {theirs!r} in the student's"
            )
    if len(pieces[0]) != len(pieces[1]):
        raise InputError(
            f"teacher and student must share one vocabulary, but the teacher's has "
            f"{len(pieces[0])} tokens and the student's {len(pieces[1])}"
        )


def fingerprint(tokenizer: Tokenizer) -> str:
    """A hexadecimal digest of everything that decides which ids a text gets."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def _bert_tokenizer(
    pieces: dict[str, int],
    *,
    lowercase: bool,
    strip_accents: bool | None = None,
    chinese: bool = True,
) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens([token for token in SPECIAL_TOKENS if token in pieces])
    tokenizer.normalizer = _normalizer(lowercase, strip_accents, chinese)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if "[CLS]" in pieces and "[SEP]" in pieces:
        tokenizer.post_processor = processors.BertProcessing(
            ("[SEP]", pieces["[SEP]"]), ("[CLS]", pieces["[CLS]"])
        )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def _normalizer(
    lowercase: bool, strip_accents: bool | None = None, chinese: bool = True
) -> normalizers.Normalizer:
    """Accents go with the capitals unless said otherwise (`strip_accents` None), as in BERT."""
    return normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=chinese
    )


def _bert_normalizer(tokenizer: Tokenizer) -> dict:
    """The settings of the tokenizer's BertNormalizer."""
    normalizer = json.loads(tokenizer.to_str())["normalizer"] or {}
    for part in [normalizer, *normalizer.get("normalizers", ())]:
        if part.get("type") == "BertNormalizer":
            return part
    raise InputError("the tokenizer does not normalise text as BERT does (no BertNormalizer)")


def _read_json(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises bare Exceptions
        raise InputError(f"{path}: not a tokenizer.json ({error})") from None


def _read_vocabulary(path: Path) -> Tokenizer:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: a vocabulary is UTF-8 text, one piece a line") from None
    if lines[-1] == "":
        lines.pop()
    pieces = {piece: index for index, piece in enumerate(lines)}
    if len(pieces) < len(lines):
        repeated, _ = Counter(lines).most_common(1)[0]
        raise InputError(f"{path}: a vocabulary lists a piece once, but {repeated!r} stands twice")
    config = path.with_name("tokenizer_config.json")
    settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    cased = any(re.fullmatch("(##)?[a-z]*[A-Z][A-Za-z]*", piece) for piece in lines)
    return _bert_tokenizer(
        pieces,
        lowercase=settings.get("do_lower_case", not cased),
        strip_accents=settings.get("strip_accents"),
        chinese=settings.get("tokenize_chinese_chars", True),
    )


def _download(name: str) -> Path:
    """The folder with a hub model's tokenizer files."""
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(FILES)))
    except HFValidationError:
        raise InputError(
            f"tokenizer {name}: no such file or folder, and not a hub name (owner/name) either"
        ) from None
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"tokenizer {name}: no such file or folder here, and the hub did not give it ({reason})"
        ) from None


def _count_words(texts: Iterable[str], lowercase: bool) -> Counter[str]:
    """How often each word (a run between spaces and punctuation) occurs."""
    normalizer, splitter = _normalizer(lowercase), pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in texts:
        pieces = splitter.pre_tokenize_str(normalizer.normalize_str(text))
        words.update(word for word, _ in pieces)
    return words


def _repeat(words: dict[str, int], a_text: int = 10_000) -> Iterator[str]:
    """The words in a fixed order, each as often as it was counted, in texts of bounded size."""
    for word, count in sorted(words.items()):
        for start in range(0, count, a_text):
            yield " ".join([word] * min(a_text, count - start))
