"""From logits of where an answer starts and ends to answers: parts of the context, or none."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from tasks.questions.examples import QuestionExample
from tasks.windows import Windows


class Candidate(NamedTuple):
    """A possible answer: `context[start : start + len(text)] == text`."""

    text: str
    """Empty for the answer that there is none."""
    start: int
    score: float
    """The sum of its two logits."""
    probability: float = 0.0
    """Among the candidates."""


class BestAnswer(NamedTuple):
    """The answer to a question, and the other candidates."""

    answer: Candidate
    candidates: list[Candidate]
    """The likeliest first, with different texts."""
    no_answer: float | None
    """By how much the score of no answer is above that of the best answer, which is what a
    threshold is set for; None where there is nothing to choose from."""


def predict_answers(
    start_logits: Iterable[np.ndarray],
    end_logits: Iterable[np.ndarray],
    windows: Windows,
    examples: Sequence[QuestionExample],
    *,
    n_best: int = 20,
    max_answer: int = 30,
    null_threshold: float | None = None,
) -> list[BestAnswer]:
    """The best answers by the sum of their logits, as in BERT's `run_squad.py`.

    An answer is up to `max_answer` tokens of the context in one window, and starts at a token of
    which no other window shows more context. All such pairs are looked at, where the original looks
    at those of the 20 best starts and ends. Among equals the first start, then the shorter is best.

    Args:
        start_logits: [tokens] of each window, or longer where the window is padded.
        end_logits: likewise.
        windows: from `tasks.questions.encode`.
        examples: of the windows.
        n_best: the most candidates, beside that of no answer.
        max_answer: tokens.
        null_threshold: there is no answer if the score of that, the least over the windows, is
            above the best answer's by more than this (0 in SQuAD 2.0 by default). None: always an
            answer, if the context has any token.
    """
    null = [np.inf] * len(examples)
    found: list[list[Candidate]] = [[] for _ in examples]
    columns = start_logits, end_logits, windows.notes["offsets"], windows.notes["most_context"]
    for starts, ends, offsets, most, number in zip(*columns, windows.example, strict=True):
        null[number] = min(null[number], float(starts[0]) + float(ends[0]))
        context = examples[number].context
        [inside] = np.nonzero(offsets[:, 0] >= 0)
        places = offsets[inside]
        allowed = np.where(most[inside], starts[inside], -np.inf)
        for first, last, score in _best_spans(allowed, ends[inside], n_best, max_answer):
            start, end = int(places[first, 0]), int(places[last, 1])
            found[number].append(Candidate(context[start:end], start, score))
    return [
        _choose(candidates, score, n_best, null_threshold)
        for candidates, score in zip(found, null, strict=True)
    ]


def _best_spans(
    starts: Float[np.ndarray, " tokens"],
    ends: Float[np.ndarray, " tokens"],
    n_best: int,
    max_answer: int,
) -> Iterator[tuple[int, int, float]]:
    """First token, last token and score of the spans with the highest scores, best first."""
    if len(starts) == 0:
        return
    padding = np.full(max_answer - 1, -np.inf)
    following = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([ends.astype(np.float64), padding]), max_answer
    )
    scores = (starts.astype(np.float64)[:, None] + following).ravel()
    least = np.partition(scores, -n_best)[-n_best] if n_best < len(scores) else -np.inf
    among = np.flatnonzero((scores >= least) & (scores > -np.inf))
    for place in among[np.argsort(-scores[among], kind="stable")][:n_best]:
        first, more = divmod(int(place), max_answer)
        yield first, first + more, float(scores[place])


def _choose(
    found: list[Candidate], null: float, n_best: int, null_threshold: float | None
) -> BestAnswer:
    different: dict[str, Candidate] = {}
    for candidate in sorted(found, key=lambda candidate: -candidate.score):
        different.setdefault(candidate.text, candidate)
    candidates = list(different.values())[:n_best]
    nothing = Candidate("", 0, null)
    no_answer = null - candidates[0].score if candidates else None
    threshold = np.inf if null_threshold is None else null_threshold
    answer = nothing if no_answer is None or no_answer > threshold else candidates[0]
    if null_threshold is not None or not candidates:
        candidates = sorted([*candidates, nothing], key=lambda candidate: -candidate.score)
    scores = np.array([candidate.score for candidate in candidates])
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    place = candidates.index(answer)
    candidates = [c._replace(probability=float(p)) for c, p in zip(candidates, shares, strict=True)]
    return BestAnswer(candidates[place], candidates, no_answer)
