"""The number of updates of a run, without opening its data: published sizes and assumptions."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from data.config import DataConfig
from data.cutting import SHORTEST
from train.config import FinetuneConfig, TextConfig, TrainConfig
from train.planning.abstract_step import sequence_length

PIECES = 1.16
"""Word pieces a word, assumed."""
LINE_TOKENS = 128
"""Tokens of a text whose corpus has no published lengths, assumed."""
FILL = 0.99
"""Share of a sequence that several texts fill, as on WikiText-2 (docs/results/tokenizer.md)."""


@dataclass(frozen=True)
class Texts:
    """The rows of a corpus, of which `lines` makes sequences. Lengths are taken as lognormal."""

    rows: int
    mean: float
    """Words of a row."""
    median: float

    @property
    def tokens(self) -> int:
        """Tokens of an epoch."""
        return round(self.rows * self.mean * PIECES)

    def lines(self, length: int) -> tuple[int, int]:
        """The number of sequences that `data.cutting.Lines` makes of all rows, and their tokens."""
        from scipy.stats import lognorm  # which takes a second to import

        spread = math.sqrt(2 * math.log(self.mean / self.median))
        quantiles = (np.arange(100_000) + 0.5) / 100_000
        pieces = np.round(lognorm(spread, scale=self.median * PIECES).ppf(quantiles))
        full, rest = np.divmod(pieces, length - 2)
        kept = rest + 2 >= SHORTEST
        tokens = full * length + np.where(kept, rest + 2, 0)
        return round(self.rows * np.mean(full + kept)), round(self.rows * np.mean(tokens))


# Wikipedia: 6,407,814 articles, 3.37 million of them with 200 words or more (as others counted),
# which puts the median at 215; 20 GB, of which a word takes 6 bytes (assumed). BookCorpus: its card
# on the hub; 984,846,357 words in 74,004,228 sentences, median 11 (Zhu et al. 2015, table 2).
TEXTS = {
    "wikimedia/wikipedia:20231101.en": Texts(6_407_814, mean=523.0, median=215.0),
    "bookcorpus/bookcorpus": Texts(74_004_228, mean=984_846_357 / 74_004_228, median=11.0),
}
"""Corpora whose rows have published lengths, whatever their revision."""

# WikiText-103 (Merity et al. 2016): 103 million words, about 0.1 B tokens as others count them.
TOKENS = {
    **{name: texts.tokens for name, texts in TEXTS.items()},
    "Salesforce/wikitext:wikitext-103-v1": 100_000_000,
}
"""Tokens of an epoch of a corpus."""

EXAMPLES = {
    "cola": 8_551,
    "sst2": 67_349,
    "mrpc": 3_668,
    "stsb": 5_749,
    "qqp": 363_846,
    "mnli": 392_702,
    "qnli": 104_743,
    "rte": 2_490,
    "wnli": 635,
    "imdb": 25_000,
    "20newsgroups": 11_314,
    "ag_news": 120_000,
    "conll2003": 14_041,
    "wnut17": 3_394,
    "squad": 87_599,
    "squad2": 130_319,
    "swag": 73_546,
    "scitldr": 1_992,
    "cnn_dailymail": 287_113,
}
"""Training examples of a task as published, also where a development split is taken from them."""


@dataclass(frozen=True)
class RunLength:
    """The number of updates of a run, and where it is known from."""

    updates: int | None
    because: str
    tokens_a_sequence: int
    """Tokens of text in a sequence; the rest of it is padding, which takes as long."""


def text_size(data: DataConfig, line_tokens: int | None) -> tuple[int, int, str] | None:
    """Sequences of an epoch, tokens in a sequence and their source; None if it is not known."""
    names, length = [name.partition("@")[0] for name in data.corpus], data.sequence_length
    corpora = set(names)
    if not corpora <= TOKENS.keys():
        return None
    tokens = sum(TOKENS[name] for name in names)
    source = f"{tokens / 1e9:.3g} B tokens of {' and '.join(names)}"
    if data.mode == "packed":
        return math.ceil(tokens / (length - 2)), length, f"{source}, packed"
    if line_tokens is None and corpora <= TEXTS.keys():
        each = [TEXTS[name].lines(length) for name in names]
        texts, tokens = (sum(numbers) for numbers in zip(*each, strict=True))
        mean, source = round(tokens / texts), f"{source}, {texts:,} texts"
    else:
        mean = min(line_tokens or LINE_TOKENS, length)
        texts, source = math.ceil(tokens / mean), f"{source}, {mean} a line (--line-tokens)"
    if data.has_padding:
        return texts, mean, f"{source}, a sequence for each"
    return math.ceil(tokens / (FILL * length)), _filled(length), f"{source}, several a sequence"


def _filled(length: int) -> int:
    """Tokens of text in a sequence that several texts share."""
    return round(FILL * length)


def run_length(config: TrainConfig, sequences: int | None, line_tokens: int | None) -> RunLength:
    """The length of the run that a configuration asks for.

    Args:
        config: of any loop.
        sequences: sequences or examples of an epoch; by default a published size.
        line_tokens: length of a text (`--data.mode lines`); by default from the published lengths
            of the corpus, or LINE_TOKENS.
    """
    length = sequence_length(config)
    full = length
    if isinstance(config, TextConfig):
        size = text_size(config.data, line_tokens)
        if config.data.has_padding:
            full = min(line_tokens or LINE_TOKENS, length)
        elif config.data.shares_sequences:
            full = _filled(length)
        epoch, full, source = size or (None, full, "")
        sequences, source = (epoch, source) if sequences is None else (sequences, "--sequences")
    else:
        assert isinstance(config, FinetuneConfig)
        source = "--sequences" if sequences else f"the published size of {config.task}"
        sequences = sequences or EXAMPLES.get(config.task)
    if config.steps is not None:
        return RunLength(config.steps, "--steps", full)
    if sequences is None:
        return RunLength(None, "the size of the data is not known: give --sequences", full)
    epoch = Fraction(sequences, config.batch_size)
    if isinstance(config, FinetuneConfig):  # whose batches do not reach into the next epoch
        epoch = Fraction(math.ceil(epoch))
    because = f"{config.epochs:g} epochs of {sequences:,} sequences, from {source}"
    return RunLength(config.updates(epoch), because, full)
