"""BERT's WordPiece tokenizer: cleaning of text, and learning of a vocabulary.

The machinery is the `tokenizers` library's, put together as in `BertTokenizer` of transformers 5,
whose ids these are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer, Sequence
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer

from data.vocabulary import SPECIAL_TOKENS, Vocabulary
from model.errors import InputError

LONGEST_WORD = 100  # characters; BERT makes one [UNK] of a longer word
# Before it read accents and sigmas as transformers does, this project wrote one of these sequences.
_FORMER = (
    ("BertNormalizer", "NFC", "BertNormalizer"),
    ("BertNormalizer", "NFC", "Replace", "BertNormalizer"),
)


class Casing(NamedTuple):
    """The folding of text before its words are looked up."""

    lowercase: bool = True
    strip_accents: bool | None = None
    """None, as in BERT: accents go when the capitals go."""
    split_chinese: bool = True
    """Every Chinese character is a word."""


def normalizer(casing: Casing) -> BertNormalizer:
    """BERT's cleaning and folding of text, before it is split into words."""
    return BertNormalizer(
        clean_text=True,
        handle_chinese_chars=casing.split_chinese,
        strip_accents=casing.strip_accents,
        lowercase=casing.lowercase,
    )


def bert_vocabulary(
    pieces: Mapping[str, int], casing: Casing, added: Iterable[AddedToken] = ()
) -> Vocabulary:
    """The vocabulary of these pieces, with their ids, and of tokens that are looked for first.

    Those that are no pieces get the next free ids.
    """
    model = WordPiece(dict(pieces), unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizer(casing)  # first: some added tokens are normalized, too
    tokenizer.add_special_tokens([token for token in SPECIAL_TOKENS if token in pieces])
    tokenizer.add_tokens(list(added))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    vocabulary = Vocabulary(tokenizer)
    special = vocabulary.special
    ends = ("[SEP]", special.sep), ("[CLS]", special.cls)
    tokenizer.post_processor = processors.BertProcessing(*ends)
    return vocabulary


def bert_casing(tokenizer: Tokenizer) -> Casing | None:
    """The casing of a tokenizer that `bert_vocabulary` can make, or None for any other."""
    model, split, steps = tokenizer.model, tokenizer.pre_tokenizer, [tokenizer.normalizer]
    if isinstance(steps[0], Sequence) and tuple(type(s).__name__ for s in steps[0]) in _FORMER:
        steps = list(steps[0])  # type: ignore[arg-type]
    first, last = steps[0], steps[-1]
    if not (
        isinstance(model, WordPiece)
        and (model.unk_token, model.continuing_subword_prefix) == ("[UNK]", "##")
        and model.max_input_chars_per_word == LONGEST_WORD
        and isinstance(split, BertPreTokenizer)
        and isinstance(first, BertNormalizer)
        and isinstance(last, BertNormalizer)
        and first.clean_text
    ):
        return None
    return Casing(last.lowercase, last.strip_accents, first.handle_chinese_chars)


def train_wordpiece(
    texts: Iterable[str], vocab_size: int, lowercase: bool = True, alphabet_size: int = 1000
) -> Vocabulary:
    """A vocabulary of `vocab_size` pieces learned from `texts`, the same in every run.

    The library's trainer numbers single characters in the order of a randomly seeded hash map, and
    these numbers decide between equally frequent pairs. So the words are counted here, the single
    characters are handed over in a fixed order, and the trainer learns only what is merged. Memory
    grows with the number of different words, not with the text.

    Args:
        texts: read once.
        vocab_size: pieces in all, the five special tokens included; fewer if the text has no more.
        lowercase: fold capitals and accents, as BERT's uncased models do.
        alphabet_size: the most frequent characters, which become pieces of their own; a word with
            any other character will be [UNK].

    Raises:
        InputError: there is no text, or more single characters than `vocab_size` has room for.
    """
    casing = Casing(lowercase=lowercase)
    normalize = normalizer(casing).normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str  # at white space and punctuation
    words: Mapping[str, int] = Counter(
        word for text in texts for word, _ in split(normalize(encodable(text)))
    )
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    by_frequency = sorted(characters, key=lambda character: (-characters[character], character))
    alphabet = set(by_frequency[:alphabet_size])
    words = {word: count for word, count in sorted(words.items()) if alphabet.issuperset(word)}
    if not words:
        raise InputError("there is no text to learn a vocabulary from")
    singles = sorted({character for word in words for character in word})
    singles += sorted({"##" + character for word in words for character in word[1:]})
    given = [*SPECIAL_TOKENS, *singles]
    if vocab_size < len(given):
        raise InputError(
            f"a vocabulary of {vocab_size} pieces has no room for the {len(given)} single "
            f"characters and special tokens of this text: ask for at least {len(given)}"
        )

    learner = Tokenizer(WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = WordPieceTrainer(vocab_size=vocab_size, special_tokens=given, show_progress=False)
    learner.train_from_iterator(_repeated(words), trainer)
    return bert_vocabulary(learner.get_vocab(), casing)


def encodable(text: str) -> str:
    """Without halves of surrogate pairs: JSON may hold them, UTF-8 cannot; BERT drops them too."""
    return text.encode("utf-8", "ignore").decode("utf-8")


def _repeated(words: Mapping[str, int], longest: int = 10_000) -> Iterator[str]:
    """Each word as often as it was counted, in texts of at most `longest` words."""
    for word, count in words.items():
        for start in range(0, count, longest):
            yield " ".join([word] * min(longest, count - start))
