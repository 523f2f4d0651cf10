import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from data.masking import MaskingConfig, mask_tokens, token_log_weights
from model.errors import InputError

VOCAB, SPECIAL = 300, (0, 1, 2, 3, 4)
PAD, CLS, SEP, MASK = 0, 2, 3, 4
COUNTS = np.random.default_rng(0).zipf(1.5, VOCAB)  # a few frequent tokens, many rare ones


def batch(rows=64, length=40, seed=0):
    """Sequences of every length from [CLS] [SEP] alone to `length`, padded, and their rows."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, length + 1, rows)
    ids = rng.integers(len(SPECIAL), VOCAB, (rows, length))
    ids[:, 0] = CLS
    ids[np.arange(rows), lengths - 1] = SEP
    attended = np.arange(length) < lengths[:, None]
    # The padding consists of ordinary tokens: only the attention mask marks it.
    return ids.astype(np.int32), attended, np.arange(rows, dtype=np.int32)


def masker(log_weights=None, **settings):
    """`mask_tokens` as a function of (key, input_ids, attention_mask, row), not compiled."""
    if log_weights is None:
        log_weights = token_log_weights(COUNTS, SPECIAL, smoothing=0.7)
    config = MaskingConfig(**settings)

    def apply(key, input_ids, attention_mask, row):
        weights = jnp.asarray(log_weights)
        return mask_tokens(
            key, input_ids, attention_mask, row, weights, config=config, mask_id=MASK
        )

    return apply


mask = jax.jit(masker())  # compiled once for all tests that use the default batch


def assert_equal(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, np.asarray(b).reshape(a.shape))


# The choice of tokens


def set_probabilities(weights, draws):
    """The exact probability of every set that sequential draws without replacement can give."""
    sets = {frozenset(): 1.0}
    for _ in range(draws):
        longer = {}
        for chosen, p in sets.items():
            left = {i: w for i, w in enumerate(weights) if i not in chosen and w > 0}
            for i, w in left.items():
                key = chosen | {i}
                longer[key] = longer.get(key, 0.0) + p * w / sum(left.values())
        sets = longer
    return sets


@pytest.mark.parametrize("smoothing", [0.0, 0.7])
def test_the_chosen_sets_are_distributed_like_sequential_weighted_draws(smoothing):
    counts = np.array([9, 9, 9, 9, 9, 0, 1, 3, 10, 40, 200, 1000, 8000, 60000])
    ids = np.array([[CLS, 5, 12, 7, 13, 10, SEP], [CLS, 8, 9, 13, SEP, PAD, PAD]], np.int32)
    attended = ids != PAD
    draws = math.ceil(0.25 * attended.sum())  # 3 of 12, where a full group would need 4
    weights = np.where(np.isin(ids, SPECIAL), 0.0, np.maximum(counts, 1.0)[ids] ** -smoothing)
    expected = set_probabilities(weights.ravel(), draws)

    groups = 40_000
    apply = masker(token_log_weights(counts, SPECIAL, smoothing), group_rows=2, share=0.25)
    repeated = np.tile(ids, (groups, 1)), np.tile(attended, (groups, 1))
    masked = jax.jit(apply)(jax.random.key(1), *repeated, np.arange(2 * groups, dtype=np.int32))
    assert masked.positions.shape == (groups, 4)
    assert masked.valid.sum(1).tolist() == [draws] * groups
    drawn = np.asarray(masked.positions)[np.asarray(masked.valid)].reshape(groups, draws)

    # The frequency of each token, each pair and each whole set, in standard errors.
    for size in (1, 2, 3):
        for tokens in itertools.combinations(np.flatnonzero(weights).tolist(), size):
            p = sum(q for chosen, q in expected.items() if chosen.issuperset(tokens))
            hits = np.isin(drawn, tokens).sum(1) == size
            error = math.sqrt(p * (1 - p) / groups)
            assert abs(hits.mean() - p) < 4.5 * error + 1 / groups, tokens


@pytest.mark.parametrize("seed", range(8))
def test_a_group_predicts_its_share_of_attended_tokens_and_only_ordinary_ones(seed):
    ids, attended, row = batch(seed=seed)
    masked = mask(jax.random.key(seed), ids, attended, row)
    assert masked.labels.shape == (8, math.ceil(0.15 * 8 * 40))
    for group, (tokens, real) in enumerate(
        zip(ids.reshape(8, -1), attended.reshape(8, -1), strict=True)
    ):
        positions, valid = (np.asarray(x[group]) for x in (masked.positions, masked.valid))
        assert len(set(positions.tolist())) == len(positions)  # without replacement
        assert valid.sum() == math.ceil(0.15 * real.sum())
        assert real[positions[valid]].all()
        assert not np.isin(tokens[positions[valid]], SPECIAL).any()
        np.testing.assert_array_equal(masked.labels[group], tokens[positions])


def test_tokens_that_are_not_predicted_do_not_change():
    ids, attended, row = batch()
    masked = mask(jax.random.key(0), ids, attended, row)
    shown, original = np.array(masked.input_ids).reshape(8, -1), ids.reshape(8, -1)
    assert (shown != original).any()
    for group in range(8):
        predicted = np.asarray(masked.positions[group])[np.asarray(masked.valid[group])]
        shown[group, predicted] = original[group, predicted]
    np.testing.assert_array_equal(shown, original)


def test_groups_with_too_few_ordinary_tokens_predict_only_these():
    ids, attended, row = batch()
    ids[:16] = CLS
    attended[:8], attended[8:16] = True, False
    ids[0, 3], ids[7, 7] = 100, 200
    masked = mask(jax.random.key(0), ids, attended, row)
    labels, valid = np.asarray(masked.labels), np.asarray(masked.valid)
    assert sorted(labels[0][valid[0]].tolist()) == [100, 200]
    assert not valid[1].any()
    np.testing.assert_array_equal(masked.input_ids[8:16], ids[8:16])


@pytest.mark.parametrize("share", [0.15, 1.0])
def test_the_number_of_predictions_is_rounded_as_python_rounds_it(share):
    # In float32 some products end just above a whole number.
    ids, attended = np.full((600, 600), 100, np.int32), np.tri(600, dtype=bool)
    apply = jax.jit(masker(group_rows=1, share=share))
    masked = apply(jax.random.key(0), ids, attended, np.arange(600, dtype=np.int32))
    assert masked.valid.sum(1).tolist() == [math.ceil(share * n) for n in range(1, 601)]


def test_token_weights_are_smoothed_counts_and_nothing_for_special_tokens():
    weights = np.exp(token_log_weights(np.array([7, 7, 0, 1, 100, 10**9]), (1, 0), 0.7))
    assert weights.dtype == np.float32
    expected = [0, 0, 1, 1, 100**-0.7, 1e9**-0.7]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    uniform = token_log_weights(np.array([7, 7, 0, 1, 100, 10**9]), (1, 0), 0.0)
    assert np.exp(uniform).tolist() == [0, 0, 1, 1, 1, 1]


# Their replacements


def what_stands_there(masked):
    """The tokens at the chosen positions, in the order in which these were drawn."""
    grouped = np.asarray(masked.input_ids).reshape(len(masked.positions), -1)
    return np.take_along_axis(grouped, np.asarray(masked.positions), axis=1)


@pytest.mark.parametrize(
    "shares", [(0.8, 0.1, 0.1), (0.2, 0.5, 0.3), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)]
)
def test_predicted_tokens_are_masked_kept_or_replaced_in_the_given_shares(shares):
    mask, keep, random = shares
    vocab, token = 8, 6
    uniform = token_log_weights(np.ones(vocab, int), SPECIAL, 0.0)
    apply = masker(uniform, mask=mask, keep=keep, random=random, share=0.5)
    ids, row = np.full((512, 256), token, np.int32), np.arange(512, dtype=np.int32)
    masked = jax.jit(apply)(jax.random.key(3), ids, np.ones_like(ids, bool), row)

    # The random replacement may be any token at all: special, [MASK], or the original one.
    expected = np.full(vocab, random / vocab)
    expected[MASK] += mask
    expected[token] += keep
    shown = what_stands_there(masked).ravel()
    shares_seen = np.bincount(shown, minlength=vocab) / shown.size
    error = np.sqrt(expected * (1 - expected) / shown.size)
    assert (np.abs(shares_seen - expected) <= 4 * error).all()


def test_the_replacement_of_a_token_does_not_depend_on_the_order_of_draws():
    ids = np.full((4000, 16), 100, np.int32)
    row = np.arange(4000, dtype=np.int32)
    masked = jax.jit(masker(group_rows=1, share=0.25))(
        jax.random.key(0), ids, np.ones_like(ids, bool), row
    )
    hidden, expected = what_stands_there(masked) == MASK, 0.8 + 0.1 / VOCAB
    assert (np.abs(hidden.mean(0) - expected) < 4 * math.sqrt(0.8 * 0.2 / 4000)).all()
    # Nor on the draw: where number i of its noise made token i the one in place i.
    alike = hidden[np.asarray(masked.positions) == np.arange(4)]
    assert abs(alike.mean() - expected) < 4 * math.sqrt(0.8 * 0.2 / len(alike))


# Randomness and the division of a batch


def test_the_same_key_masks_alike_and_another_key_or_group_differently():
    ids, attended, row = batch()
    ids[8:16], attended[8:16] = ids[:8], attended[:8]
    masked = mask(jax.random.key(0), ids, attended, row)
    assert_equal(masked, mask(jax.random.key(0), ids, attended, row))
    other = mask(jax.random.key(1), ids, attended, row)
    assert (masked.positions != other.positions).mean() > 0.8
    assert (masked.positions[0] != masked.positions[1]).mean() > 0.8


def test_a_group_is_masked_alike_at_every_place_in_the_batch():
    ids, attended, row = batch()
    masked = mask(jax.random.key(0), ids, attended, row)
    rolled = mask(jax.random.key(0), *(np.roll(x, 24, axis=0) for x in (ids, attended, row)))
    assert_equal(
        rolled, (np.roll(masked[0], 24, axis=0), *(np.roll(x, 3, axis=0) for x in masked[1:]))
    )


def collectives(compiled):
    names = (
        "all-gather|all-reduce|all-to-all|collective-permute|collective-broadcast|reduce-scatter"
    )
    return re.findall(rf"\b(?:{names})\b", compiled.as_text())


def test_devices_change_nothing_and_exchange_nothing():
    if jax.device_count() < 4:
        pytest.skip("needs 4 devices")
    key, rows = jax.random.key(0), batch()
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.device_put(rows, NamedSharding(mesh, P("data")))
    arguments = jax.device_put(key, NamedSharding(mesh, P())), *sharded
    compiled = jax.jit(masker()).lower(*arguments).compile()
    assert collectives(compiled) == []
    masked = compiled(*arguments)
    assert all(x.sharding.spec == P("data") for x in masked)
    assert_equal(mask(key, *rows), masked)

    gathers = jax.jit(jnp.sum).lower(sharded[0]).compile()
    assert collectives(gathers), "the search finds nothing where there must be something"


def test_pmap_and_micro_batches_change_nothing():
    if jax.device_count() < 4:
        pytest.skip("needs 4 devices")
    key, rows, apply = jax.random.key(0), batch(), masker()
    alone = mask(key, *rows)
    micro = [x.reshape(4, 16, *x.shape[1:]) for x in rows]
    in_axes = (None, 0, 0, 0)
    assert_equal(alone, jax.pmap(apply, in_axes=in_axes)(key, *micro))
    assert_equal(alone, jax.jit(jax.vmap(apply, in_axes=in_axes))(key, *micro))
    assert_equal(alone, jax.lax.scan(lambda _, x: (None, apply(key, *x)), None, micro)[1])


# Bad settings


def test_rows_that_do_not_fill_groups_are_an_error_naming_both():
    ids, attended, row = batch(rows=12, length=9)
    with pytest.raises(InputError, match=r"12 rows .* groups of 8"):
        mask(jax.random.key(0), ids, attended, row)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0.0}, "--masking.share is 0.0: give a number above 0, at most 1"),
        ({"share": 1.5}, "--masking.share is 1.5"),
        ({"mask": 0.7}, "0.7, 0.1 and 0.1"),
        ({"mask": 1.1, "keep": -0.2}, "--masking.mask is 1.1: give a number from 0 to 1"),
        ({"group_rows": 0}, "--masking.group-rows is 0"),
    ],
)
def test_impossible_shares_are_errors(settings, message):
    with pytest.raises(InputError, match=re.escape(message)):
        MaskingConfig(**settings)
