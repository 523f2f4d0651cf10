"""BLEU of translations (Papineni et al. 2002), by sacreBLEU.

A library and no formula of our own: what is counted as a word changes BLEU by points, and
sacreBLEU's signature says it (Post 2018).
"""

from collections.abc import Sequence
from typing import Any

from data.extras import library


def bleu(gold: Sequence[Sequence[str]], predicted: Sequence[str], *, lowercase: bool) -> float:
    """BLEU of a corpus, from 0 to 1; texts may have several references.

    Raises:
        InputError: sacrebleu is not installed.
    """
    most = max(map(len, gold))
    # sacreBLEU takes the first references of all texts, the second ones, ...; a text may have none.
    streams = [[each[n] if n < len(each) else None for each in gold] for n in range(most)]
    return _bleu(lowercase).corpus_score(list(predicted), streams).score / 100


def sentence_bleu(references: Sequence[str], text: str, *, lowercase: bool) -> float:
    """BLEU of a single text, from 0 to 1; short ones by the n-grams that they have."""
    return _bleu(lowercase, effective_order=True).sentence_score(text, references).score / 100


def signature(lowercase: bool, references: int) -> str:
    """Signature of sacreBLEU, which says how texts with so many references each are compared."""
    metric = _bleu(lowercase)
    metric.corpus_score(["a"], [["a"]] * references)
    return str(metric.get_signature())


def check_bleu() -> None:
    """Raises InputError if sacrebleu is not installed."""
    _bleu(lowercase=False)


def _bleu(lowercase: bool, **options: bool) -> Any:
    metrics = library("sacrebleu.metrics", "text", "scoring translations")
    return metrics.BLEU(lowercase=lowercase, **options)
