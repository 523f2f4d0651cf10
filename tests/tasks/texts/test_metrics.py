import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from model.tasks import SequenceClassification
from tasks.texts.metrics import (
    accuracy,
    collapsed,
    combine_windows,
    errors,
    f1,
    macro_f1,
    matthews,
    pearson,
    spearman,
)
from tests.small import ARCHITECTURES, build, tokens


def classes(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


#               tp fn fp tn tn
GOLD = classes(1, 1, 0, 0, 0)
GUESS = classes(1, 0, 1, 0, 0)


def test_two_classes_by_hand():
    assert accuracy(GOLD, GUESS) == pytest.approx(3 / 5)
    assert f1(GOLD, GUESS) == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    assert macro_f1(GOLD, GUESS) == pytest.approx((1 / 2 + 4 / 6) / 2)
    # (tp tn - fp fn) / sqrt((tp + fp)(tp + fn)(tn + fp)(tn + fn))
    assert matthews(GOLD, GUESS) == pytest.approx((1 * 2 - 1) / np.sqrt(2 * 2 * 3 * 3))
    for metric in (accuracy, f1, macro_f1, matthews):
        assert metric(GOLD, GOLD) == 1.0


def test_f1_is_that_of_the_second_class_whatever_others_there_are():
    assert f1(classes(0, 1, 2, 1), classes(2, 1, 1, 0)) == pytest.approx(1 / 2)
    assert f1(classes(0, 2), classes(2, 0)) == 0.0


@pytest.mark.parametrize("guess", [classes(0, 0, 0, 0, 0), classes(1, 1, 1, 1, 1)])
def test_one_class_for_all_is_seen_and_scored_without_warning(guess):
    assert collapsed(guess) and not collapsed(GUESS)
    assert matthews(GOLD, guess) == matthews(guess, GOLD) == 0.0
    assert accuracy(GOLD, guess) == pytest.approx(0.4 if guess[0] else 0.6)
    assert f1(GOLD, guess) == pytest.approx(4 / 7 if guess[0] else 0)
    assert macro_f1(GOLD, guess) == pytest.approx((4 / 7 if guess[0] else 6 / 8) / 2)


def test_correlations_by_hand():
    gold, guess = values(1, 2, 3, 4), values(1, 2, 3, 10)
    centred = np.array([-3, -2, -1, 6])
    by_hand = centred @ [-1.5, -0.5, 0.5, 1.5] / np.sqrt(5 * (centred @ centred))
    assert pearson(gold, guess) == pytest.approx(by_hand)
    assert spearman(gold, guess) == pytest.approx(1.0)
    assert spearman(gold, -guess) == pytest.approx(-1.0)
    ties = values(5, 5, 6, 7)
    ranks = np.corrcoef(stats.rankdata(gold), stats.rankdata(ties))
    assert spearman(gold, ties) == pytest.approx(ranks[0, 1])


def test_errors_as_scikit_learn_measures_them():
    random = np.random.default_rng(0)
    gold = random.normal(size=40)
    guess = gold + random.normal(size=40)
    assert errors(gold, guess) == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(gold, guess),
            "rmse": metrics.root_mean_squared_error(gold, guess),
            "r2": metrics.r2_score(gold, guess),
        }
    )
    assert errors([2.0, 2.0], [1.0, 5.0]) == pytest.approx({"mae": 2, "rmse": np.sqrt(5)})


@pytest.mark.parametrize("metric", [pearson, spearman])
def test_constant_values_have_no_correlation_and_a_warning(metric):
    with pytest.warns(RuntimeWarning, match="all 3 predicted values are 0.1: .* 0 is reported"):
        assert metric(values(1, 2, 3), values(0.1, 0.1, 0.1)) == 0.0
    with pytest.warns(RuntimeWarning, match="all 3 gold values are 1"):
        assert metric(values(1, 1, 1), values(1, 2, 3)) == 0.0


def test_windows_are_averaged_by_example():
    logits = values(1, 2, 3, 4, 5, 6, 7, 8).reshape(4, 2)
    combined = combine_windows(logits, np.array([0, 1, 1, 2]))
    assert combined.tolist() == [[1, 2], [4, 5], [7, 8]]
    assert combined.dtype == np.float32


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_mean_logits_are_the_logits_of_the_mean_pooled_vector(architecture):
    model = build(SequenceClassification, ARCHITECTURES[architecture])
    output = model(jnp.asarray(tokens(5)))
    pool = model.pre_classifier
    pooled = np.asarray(output.pooled if pool is None else pool(output.last_hidden))
    example = np.array([0, 0, 1, 1, 1])
    means = np.stack([pooled[:2].mean(0), pooled[2:].mean(0)])
    np.testing.assert_allclose(
        combine_windows(np.asarray(output.logits), example),
        model.classifier(jnp.asarray(means)),
        atol=1e-6,
    )
