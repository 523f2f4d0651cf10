import numpy as np
import pytest

from tasks.windows import most_context, spans


def spans_of_the_original(tokens, room, step):
    """The loop of BERT's `run_squad.py`."""
    found, start = [], 0
    while start < tokens:
        length = min(tokens - start, room)
        found.append((start, start + length))
        if start + length == tokens:
            break
        start += min(length, step)
    return found


@pytest.mark.parametrize("room", [1, 2, 7, 10])
@pytest.mark.parametrize("step", [1, 3, 10, 11])
def test_spans_are_those_of_the_original(room, step):
    for tokens in range(1, 40):
        assert spans(tokens, room, step) == spans_of_the_original(tokens, room, step)


def test_no_tokens_are_one_empty_span():
    assert spans(0, 5, 2) == [(0, 0)]
    assert most_context(0, [(0, 0)]).tolist() == []


@pytest.mark.parametrize("room", [2, 7, 10])
@pytest.mark.parametrize("step", [1, 3, 10])
def test_the_span_with_most_context_is_the_originals(room, step):
    for tokens in range(1, 40):
        parts = spans(tokens, room, step)
        chosen = most_context(tokens, parts)
        for place in range(tokens):
            scores = [
                min(place - start, end - 1 - place) + 0.01 * (end - start)
                if start <= place < end
                else -np.inf
                for start, end in parts
            ]
            assert chosen[place] == scores.index(max(scores))
