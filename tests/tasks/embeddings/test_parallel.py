"""Translations matched in both directions, against a sort by hand."""

import numpy as np

from tasks.catalogue import TASKS
from tasks.embeddings.examples import PairExample
from tasks.embeddings.parallel import ParallelTexts
from tasks.kind import Mistake
from tasks.score import score_in_full
from tasks.windows import Windows

NO_WINDOWS = Windows([], np.zeros(0, np.int64), 0)


def predicted(queries: np.ndarray, documents: np.ndarray) -> list[dict]:
    pairs = np.stack([queries, documents], axis=1).astype(np.float32)
    examples = [PairExample(str(n), f"en {n}", f"de {n}") for n in range(len(pairs))]
    found = ParallelTexts().predict(examples, NO_WINDOWS, {"vectors": [*pairs]}, ())
    gold = ParallelTexts().gold
    return [{**p, "gold": gold(e)} for e, p in zip(examples, found, strict=True)]


def test_both_directions_are_ranked():
    random = np.random.default_rng(0)
    queries = random.normal(size=(20, 3)) * random.uniform(1, 5, size=(20, 1))
    documents = queries + random.normal(size=(20, 3))
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, documents)]
    cosines = unit[0] @ unit[1].T  # [text, translation]
    predictions = predicted(queries, documents)
    for number, prediction in enumerate(predictions):
        texts, translations = np.argsort(-cosines[:, number]), np.argsort(-cosines[number])
        places = [int(np.flatnonzero(order == number)[0]) for order in (texts, translations)]
        assert prediction["prediction"] == [place + 1 for place in places]
        assert prediction["first"] == [f"en {texts[0]}", f"de {translations[0]}"]
    diagonal = np.arange(20)
    right = [np.mean(cosines.argmax(axis) == diagonal) for axis in (0, 1)]
    assert right[0] != right[1]
    metrics = score_in_full(TASKS["parallel"], predictions).metrics
    expected = {"text_right_at_1": right[0], "translation_right_at_1": right[1]}
    assert metrics == {"score": np.mean(right), **expected}


def test_a_mistake_is_that_of_the_worse_direction():
    # The second text is near to both translations, and nothing is near to the first.
    queries, documents = np.array([[1, 0], [0, 1]]), np.array([[0.1, 1], [0, 1]])
    first, second = predicted(queries, documents)
    assert (first["prediction"], second["prediction"]) == ([2, 1], [1, 1])
    kind = ParallelTexts()
    assert kind.mistake(first) == Mistake(1, "en 0", "en 1")
    assert kind.mistake(second) == Mistake(0, "en 1", "en 1")
