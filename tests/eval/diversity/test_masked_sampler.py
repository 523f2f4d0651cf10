"""The sampler of masked LMs against a loop over texts, and one place against probabilities."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from scipy import stats

from data.vocabulary import SpecialIds
from eval.diversity.masked_sampler import sample_masked
from model.decoder.sampling import SamplingConfig
from model.tasks import MaskedLM
from tests.small import DISTILBERT, build, call

CONFIG = DISTILBERT.replace(vocab_size=14, initializer_range=0.2)
SPECIAL = SpecialIds(0, 1, 2, 3, 4)
NEVER = (*SPECIAL, 13)
KEY = jax.random.key(5)


@cache
def model() -> Any:
    return build(MaskedLM, CONFIG)


def draw(
    numbers: Any,
    *,
    length: int = 4,
    sweeps: int = 3,
    burn_in: int = 1,
    temperature: float = 0.5,
    top_p: float = 1.0,
) -> np.ndarray:
    graphdef, state = nnx.split(model())
    sampling = SamplingConfig(temperature, top_p)

    @jax.jit
    def run(state: Any, numbers: Any) -> Any:
        return sample_masked(
            nnx.merge(graphdef, state),
            SPECIAL,
            NEVER,
            sampling,
            length=length,
            sweeps=sweeps,
            burn_in=burn_in,
            key=KEY,
            numbers=numbers,
        )

    return np.asarray(run(state, jnp.asarray(numbers)))


def by_hand(number: int, length: int, sweeps: int, burn_in: int, temperature: float) -> list[int]:
    """One text, by the same random numbers: the most probable token once noise is added."""
    order_key, draw_key = jax.random.split(jax.random.fold_in(KEY, number))
    text, steps = [SPECIAL.mask] * length, 0
    for sweep in range(sweeps):
        for place in jax.random.permutation(jax.random.fold_in(order_key, sweep), length).tolist():
            text[place] = SPECIAL.mask
            ids = np.array([[SPECIAL.cls, *text, SPECIAL.sep]], np.int32)
            logits = np.asarray(call(model(), ids).logits[0, 1 + place], np.float64)
            logits /= 1.0 if sweep < burn_in else temperature
            noise = np.asarray(jax.random.gumbel(jax.random.fold_in(draw_key, steps), (14,)))
            text[place] = max(set(range(14)) - {*NEVER}, key=lambda token: (logits + noise)[token])
            steps += 1
    return text


def test_texts_are_those_of_a_loop() -> None:
    found = draw(np.arange(6))
    expected = [by_hand(number, 4, 3, 1, 0.5) for number in range(6)]
    assert found.tolist() == expected
    assert len({*map(tuple, expected)}) > 3


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_one_place_is_drawn_with_its_probabilities(temperature: float) -> None:
    drawn = draw(np.arange(4000), length=1, sweeps=1, burn_in=0, temperature=temperature)[:, 0]
    ids = np.array([[SPECIAL.cls, SPECIAL.mask, SPECIAL.sep]], np.int32)
    logits = np.asarray(call(model(), ids).logits[0, 1], np.float64) / temperature
    logits[list(NEVER)] = -np.inf
    expected = 4000 * np.exp(logits) / np.exp(logits).sum()
    counts = np.bincount(drawn, minlength=14)
    assert not counts[list(NEVER)].any()
    there = expected > 0
    assert stats.chisquare(counts[there], expected[there]).pvalue > 0.01
    other = np.roll(expected[there], 1)
    assert stats.chisquare(counts[there], other).pvalue < 1e-6


def test_the_burn_in_is_at_temperature_one() -> None:
    hot, cold = (draw(np.arange(8), sweeps=2, burn_in=2, temperature=t) for t in (1.0, 0.01))
    assert np.array_equal(hot, cold)


def test_a_low_temperature_and_a_small_share_take_the_most_probable() -> None:
    cold, few = draw(np.arange(8), temperature=1e-3), draw(np.arange(8), top_p=1e-3)
    assert np.array_equal(cold, few)


def test_a_text_does_not_depend_on_its_company() -> None:
    whole = draw(np.arange(9))
    assert np.array_equal(draw(np.array([8, 2, 5])), whole[[8, 2, 5]])
    assert len({*map(tuple, whole)}) > 5


@pytest.mark.long
def test_rows_may_be_shared_over_devices() -> None:
    graphdef, state = nnx.split(model())
    mesh = Mesh(np.array(jax.devices()[:4]), ("rows",))
    numbers = jax.device_put(jnp.arange(8), NamedSharding(mesh, PartitionSpec("rows")))

    def run(state: Any, numbers: Any) -> Any:
        settings: dict[str, Any] = {"length": 4, "sweeps": 3, "burn_in": 1}
        sampling = SamplingConfig(0.5)
        model = nnx.merge(graphdef, state)
        return sample_masked(model, SPECIAL, NEVER, sampling, **settings, key=KEY, numbers=numbers)

    expected = draw(np.arange(8))
    assert np.array_equal(jax.jit(run)(state, numbers), expected)
    each = jax.pmap(run, in_axes=(None, 0), devices=jax.devices()[:4])
    assert np.array_equal(each(state, np.arange(8).reshape(4, 2)).reshape(8, 4), expected)
