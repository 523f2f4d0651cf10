"""The number of updates of a run, without opening its data: published sizes and assumptions."""

import math
from dataclasses import dataclass

from train.config import FinetuneConfig, TextConfig, TrainConfig
from train.planning.abstract_step import sequence_length
from train.recipes.pretrain import BOOKCORPUS, WIKIPEDIA

# Devlin et al. 2019, section 3.1: 2,500 and 800 million words, at 1.16 word pieces each (assumed).
# WikiText-103 (Merity et al. 2016): 103 million words, about 0.1 B tokens as others count them.
TOKENS = {
    WIKIPEDIA: 2_900_000_000,
    BOOKCORPUS: 930_000_000,
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
}
"""Training examples of a task as published, also where a development split is taken from them."""


@dataclass(frozen=True)
class RunLength:
    """The number of updates of a run, and where it is known from."""

    updates: int | None
    because: str
    tokens_a_sequence: int
    """Tokens of text in a sequence; the rest of it is padding, which takes as long."""


def run_length(config: TrainConfig, sequences: int | None, line_tokens: int) -> RunLength:
    """The length of the run that a configuration asks for.

    Args:
        config: of any loop.
        sequences: sequences or examples of an epoch; by default a published size.
        line_tokens: assumed length of a text where each is a sequence (`--data.mode lines`).
    """
    length = sequence_length(config)
    full = length
    if isinstance(config, TextConfig):
        lines = config.data.mode == "lines"
        full = min(line_tokens, length) if lines else length
        known = [TOKENS.get(corpus) for corpus in config.data.corpus]
        source = "--sequences"
        if sequences is None and None not in known:
            tokens = sum(size or 0 for size in known)
            sequences = math.ceil(tokens / (full if lines else length - 2))
            source = f"{tokens / 1e9:.3g} B tokens of {' and '.join(config.data.corpus)}"
            source += f", {full} a line (--line-tokens)" if lines else ", packed"
    else:
        assert isinstance(config, FinetuneConfig)
        source = "--sequences" if sequences else f"the published size of {config.task}"
        sequences = sequences or EXAMPLES.get(config.task)
    if config.steps is not None:
        return RunLength(config.steps, "--steps", full)
    if sequences is None:
        return RunLength(None, "the size of the data is not known: give --sequences", full)
    updates = max(math.ceil(config.epochs * math.ceil(sequences / config.batch_size)), 1)
    because = f"{config.epochs:g} epochs of {sequences:,} sequences, from {source}"
    return RunLength(updates, because, full)
