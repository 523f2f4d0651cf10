"""Perplexities of texts and bits a character, with intervals over documents."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from data.vocabulary import SpecialIds
from eval.likelihood.score import (
    HiddenPart,
    log_likelihood,
    masked_log_likelihood,
    pseudo_log_likelihood,
)
from eval.likelihood.texts import TokenisedText, reading_windows
from model.decoder.causal_lm import CausalLM
from model.tasks import MaskedLM
from tasks.score import half_widths

PerDocument = Float64[np.ndarray, " documents"]
LARGEST = 700.0  # of an exponent


@dataclass(frozen=True)
class ScoredTexts:
    """Sums over the texts of each document."""

    tokens: PerDocument
    characters: PerDocument
    nats: Mapping[str, tuple[PerDocument, PerDocument]]
    """By the name of a perplexity the negated log-probabilities, and how many they are."""

    def metrics(self, documents: Sequence[int] | slice = slice(None)) -> dict[str, float]:
        """Each perplexity with its bits a character, of all documents or of some.

        Where only some tokens are asked for, bits are as if all others cost as much on average.
        """
        chosen = documents if isinstance(documents, slice) else list(documents)
        tokens, characters = (float(a[chosen].sum()) for a in (self.tokens, self.characters))
        found = {}
        for name, (nats, counts) in self.nats.items():
            mean = float(nats[chosen].sum()) / max(float(counts[chosen].sum()), 1.0)
            found[name] = math.exp(min(mean, LARGEST))
            found[f"{name}_bits"] = mean * tokens / max(characters, 1.0) / math.log(2)
        return found

    def intervals(self) -> dict[str, float]:
        """Half the width of each metric's 95 % interval; none of fewer than ten documents."""
        return half_widths(self.metrics, len(self.tokens))


def score_texts(
    model: MaskedLM | CausalLM,
    texts: list[TokenisedText],
    special: SpecialIds,
    *,
    length: int,
    hidden: HiddenPart = "token",
    rows: int,
) -> ScoredTexts:
    """The texts under a model, which reads at most `length` tokens at a time."""
    windows = [*reading_windows(texts, special, length)]
    names = {text.document: None for text in texts}
    numbers = {name: number for number, name in enumerate(names)}
    document = np.asarray([numbers[text.document] for text in texts])
    of_window = document[[window.text for window in windows]]

    def sums(values: Sequence[int] | np.ndarray, where: np.ndarray) -> PerDocument:
        return np.bincount(where, np.asarray(values, np.float64), minlength=len(numbers))

    tokens = sums([text.count for text in texts], document)
    nats = {}
    if isinstance(model, CausalLM):
        found = log_likelihood(model, windows, special, rows=rows)
        nats["perplexity"] = sums(-found, of_window), tokens
    else:
        found = pseudo_log_likelihood(model, windows, special, hidden=hidden, rows=rows)
        nats["pseudo_perplexity"] = sums(-found, of_window), tokens
        some, counts = masked_log_likelihood(model, windows, special, rows=rows)
        nats["exp_masked_lm_loss"] = sums(-some, of_window), sums(counts, of_window)
    return ScoredTexts(tokens, sums([text.characters for text in texts], document), nats)
