"""Beams and samples against a search by lists, and against probabilities by hand."""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from model import CausalLM
from model.decoder.beams import WrittenTexts, beam_search
from model.decoder.sampling import SamplingConfig, most_probable, sample
from model.decoder.settings import GenerationConfig
from tests.checkpoints import fails
from tests.model.decoder.test_decoder import GENERATION as SETTINGS
from tests.model.decoder.test_decoder import seq2seq
from tests.small import BERT, DISTILBERT, build, tokens

START, END = 2, 3
CONFIG = BERT.replace(vocab_size=14, initializer_range=0.5)
GENERATION = GenerationConfig(start=START, end=END, suppressed=(0, 1, 2), max_new_tokens=6)


@cache
def model() -> Any:
    return build(CausalLM, CONFIG)


def search(**changes: Any) -> WrittenTexts:
    graphdef, state = nnx.split(model())
    config = replace(GENERATION, **changes)
    run = jax.jit(lambda state: beam_search(nnx.merge(graphdef, state), None, config, rows=1))
    return jax.tree.map(lambda array: np.asarray(array[0]), run(state))


@cache
def next_log_probabilities(text: tuple[int, ...]) -> np.ndarray:
    """Of the token after a text, by a whole forward pass of one length."""
    ids = np.zeros((1, 6), np.int32)
    ids[0, : len(text)] = text
    return np.asarray(_forward()(jnp.asarray(ids)))[0, len(text) - 1]


@cache
def _forward() -> Any:
    graphdef, state = nnx.split(model())
    return jax.jit(lambda ids: jax.nn.log_softmax(nnx.merge(graphdef, state)(ids).logits))


def by_lists(beams: int, penalty: float) -> list[tuple[float, list[int]]]:
    """The finished texts of a beam search, the best first."""
    running, finished = [(0.0, (START,))], []
    while len(finished) < beams and len(running[0][1]) <= GENERATION.max_new_tokens:
        candidates = [
            (score + float(logp), (*text, token))
            for score, text in running
            for token, logp in enumerate(next_log_probabilities(text))
            if token not in GENERATION.suppressed
        ]
        candidates = sorted(candidates, reverse=True)[: 2 * beams]
        running = []
        for rank, (score, text) in enumerate(candidates):
            length = len(text) - 1
            if text[-1] == END or length == GENERATION.max_new_tokens:
                if rank < beams:
                    finished.append((score / length**penalty, list(text[1:])))
            else:
                running.append((score, text))
        finished = sorted(finished, reverse=True)[:beams]
        running = running[:beams] or [(0.0, (START,) * 9)]
    return finished


@pytest.mark.parametrize(("beams", "penalty"), [(1, 1.0), (3, 0.0), (5, 2.0)])
def test_beams_are_those_of_a_search_by_lists(beams: int, penalty: float) -> None:
    found, expected = search(beams=beams, length_penalty=penalty), by_lists(beams, penalty)
    assert len(expected) == beams
    for ids, score, (other_score, text) in zip(*found, expected, strict=True):
        assert list(ids[: len(text)]) == text and not ids[len(text) :].any()
        assert score == pytest.approx(other_score, abs=1e-4)


def draw(numbers: Any, **settings: Any) -> np.ndarray:
    graphdef, state = nnx.split(model())
    sampling = SamplingConfig(**settings)

    @jax.jit
    def run(state: Any, numbers: Any) -> Any:
        key = jax.random.key(0)
        return sample(nnx.merge(graphdef, state), None, GENERATION, sampling, key, numbers)

    return np.asarray(run(state, jnp.asarray(numbers)))


def test_first_tokens_are_drawn_with_their_probabilities() -> None:
    drawn = draw(np.arange(4000), temperature=0.7)
    logits = next_log_probabilities((START,)) / 0.7
    logits[list(GENERATION.suppressed)] = -np.inf
    expected = np.exp(logits) / np.exp(logits).sum()
    shares = np.bincount(drawn[:, 0], minlength=CONFIG.vocab_size) / len(drawn)
    assert np.all(np.abs(shares - expected) < 4 * np.sqrt(expected / len(drawn)) + 1e-9)
    assert not np.isin(drawn, (1, 2)).any()  # 0 is the padding behind an end
    for row in drawn[:50]:
        ends = np.flatnonzero(row == END)
        assert len(ends) <= 1 and (row[ends[0] + 1 :] == 0).all() if len(ends) else row.all()


def test_a_sample_does_not_depend_on_its_company() -> None:
    assert np.array_equal(draw(np.arange(5))[3:], draw(np.array([3, 4])))


def test_a_low_temperature_and_a_small_share_are_greedy() -> None:
    greedy = search(beams=1).tokens[0]
    for settings in ({"temperature": 1e-3}, {"top_p": 1e-3}):
        assert np.array_equal(draw(np.arange(2), **settings), np.stack([greedy, greedy]))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 1.0])
def test_the_most_probable_tokens(share: float) -> None:
    scores = np.random.default_rng(0).normal(0, 2, (20, 30)).astype(np.float32)
    for row, kept in zip(
        scores, np.asarray(most_probable(jnp.asarray(scores), share)), strict=True
    ):
        probabilities = np.exp(row) / np.exp(row).sum()
        total, expected = 0.0, set()
        for token in np.argsort(-row):
            if total >= share - 1e-7:
                break
            expected.add(int(token))
            total += probabilities[token]
        assert set(np.flatnonzero(kept > -np.inf)) == expected
        assert all(kept[token] == row[token] for token in expected)


@pytest.mark.long
def test_rows_may_be_shared_over_devices() -> None:
    graphdef, state = nnx.split(model())
    sampling, mesh = SamplingConfig(), Mesh(np.array(jax.devices()[:4]), ("rows",))
    numbers = jax.device_put(jnp.arange(8), NamedSharding(mesh, PartitionSpec("rows")))

    @jax.jit
    def run(state: Any, numbers: Any) -> Any:
        key = jax.random.key(0)
        return sample(nnx.merge(graphdef, state), None, GENERATION, sampling, key, numbers)

    assert np.array_equal(run(state, numbers), draw(np.arange(8)))


def test_searches_without_room() -> None:
    with fails("8 beams need twice as many tokens", "has 11 that may be written", "at most 5"):
        search(beams=8)
    with fails("texts of up to 30 tokens are longer than the 20 positions of the decoder"):
        search(max_new_tokens=30)
    with fails("temperature is 0"):
        SamplingConfig(temperature=0.0)
    with fails("top_p is 1.5"):
        SamplingConfig(top_p=1.5)


@pytest.mark.long
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_devices_write_what_one_writes(parallel: str) -> None:
    """Of a source, so that rows differ; each device has two of them."""
    graphdef, state = nnx.split(build(seq2seq, DISTILBERT))
    settings = replace(SETTINGS, max_new_tokens=6)

    def run(state: Any, source: Any, numbers: Any) -> tuple[Any, Any]:
        model = nnx.merge(graphdef, state)
        read = model.read(source)
        beams = replace(settings, beams=3)
        found = beam_search(model.decoder, read, beams, rows=source.shape[0])
        key, sampling = jax.random.key(0), SamplingConfig(0.8, 0.9)
        drawn = sample(model.decoder, read, settings, sampling, key, numbers)
        return found, drawn

    source, numbers, devices = tokens(8), np.arange(8), jax.devices()[:4]
    (texts, scores), drawn = jax.tree.map(np.asarray, jax.jit(run)(state, source, numbers))
    assert len({*map(bytes, texts[:, 0])}) > 3 and len({*map(bytes, drawn)}) > 3
    if parallel == "jit":
        rows = NamedSharding(Mesh(np.array(devices), ("rows",)), PartitionSpec("rows"))
        shared = jax.jit(run)(state, *(jax.device_put(each, rows) for each in (source, numbers)))
    else:
        split = (np.stack(np.split(each, 4)) for each in (source, numbers))
        shared = jax.pmap(run, in_axes=(None, 0, 0), devices=devices)(state, *split)
        shared = jax.tree.map(lambda each: np.concatenate(np.asarray(each)), shared)
    assert np.array_equal(shared[0].tokens, texts) and np.array_equal(shared[1], drawn)
    np.testing.assert_allclose(shared[0].scores, scores, rtol=0, atol=1e-5)
