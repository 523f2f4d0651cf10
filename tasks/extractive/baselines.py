"""Summaries that cost nothing, to be scored beside a model's."""

from collections.abc import Sequence

from tasks.extractive.choose import oracle
from tasks.extractive.examples import DocumentExample
from tasks.extractive.rouge import ROUGE_METRICS, ROUGE_TITLES
from tasks.kind import Prediction

BASELINES = ("lead", "oracle", "title")
"""The first sentences, the sentences that come closest to a reference, and the document's title."""
BASELINE_TITLES = {
    f"{baseline}_{name}": f"{baseline}: {title}"
    for baseline in BASELINES
    for name, title in ROUGE_TITLES.items()
}


def baselines(example: DocumentExample, most: int) -> dict[str, str]:
    """The texts of a document with references, by name, of at most so many sentences."""
    assert example.references is not None
    chosen = {
        "lead": range(min(most, len(example.sentences))),
        "oracle": oracle(example.sentences, example.references, most),
    }
    texts = {name: "\n".join(example.sentences[n] for n in c) for name, c in chosen.items()}
    return texts if example.title is None else texts | {"title": example.title}


def baseline_scores(predictions: Sequence[Prediction]) -> dict[str, float]:
    """The scores of those that all documents have."""
    found = {}
    for baseline in BASELINES:
        if predictions and all(baseline in prediction for prediction in predictions):
            gold, texts = ([p[side] for p in predictions] for side in ("gold", baseline))
            found |= {f"{baseline}_{name}": f(gold, texts) for name, f in ROUGE_METRICS.items()}
    return found
