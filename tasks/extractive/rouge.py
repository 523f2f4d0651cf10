"""ROUGE of summaries (Lin 2004), by rouge-score with its stemmer.

A library and no formulas of our own, because published numbers come from it, or from the Perl
script that it follows. Of several references the one counts whose ROUGE-1 is best, for all
measures, as in SciTLDR's own script. ROUGE-L takes a summary for one sentence, ROUGE-Lsum compares
sentence by sentence; both are published under the name ROUGE-L.
"""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache, partial
from statistics import fmean
from typing import Any

from data.extras import library
from tasks.extractive.split import split_sentences

ROUGE_TITLES = {
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rougeLsum": "ROUGE-Lsum",
}
PROTOCOL = "ROUGE by rouge-score with its stemmer; of several references that with the best ROUGE-1"


def mean_rouge(name: str, gold: Sequence[Sequence[str]], predicted: Sequence[str]) -> float:
    """The mean F1 of a measure over all documents.

    Raises:
        InputError: rouge-score is not installed.
    """
    return fmean(
        rouge(tuple(references), summary)[name]
        for references, summary in zip(gold, predicted, strict=True)
    )


ROUGE_METRICS = {name: partial(mean_rouge, name) for name in ROUGE_TITLES}


@lru_cache(maxsize=2**17)  # of the summaries of a split, which is scored in many parts
def rouge(references: tuple[str, ...], summary: str) -> Mapping[str, float]:
    """The F1 of every measure with the reference whose ROUGE-1 is best, the first among equals."""
    score, text = _scorer().score, _lines(summary)
    each = [score(_lines(reference), text) for reference in references]
    best = max(each, key=lambda scores: scores["rouge1"].fmeasure)
    return {name: float(best[name].fmeasure) for name in ROUGE_TITLES}


def check_rouge() -> None:
    """Raises InputError if rouge-score is not installed."""
    _scorer()


def _lines(text: str) -> str:
    """The text with a sentence a line, which is what ROUGE-Lsum compares."""
    return "\n".join(split_sentences(text))


@cache
def _scorer() -> Any:
    found = library("rouge_score.rouge_scorer", "text", "scoring summaries")
    return found.RougeScorer([*ROUGE_TITLES], use_stemmer=True)
