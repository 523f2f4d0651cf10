"""Measures of fidelity against closed forms and brute force."""

import jax.numpy as jnp
import numpy as np
import pytest

from eval.fidelity.cka import cka_table, debiased_cka, shuffled, unbiased_hsic
from eval.fidelity.heads import match_heads
from eval.fidelity.predictions import PredictedValues, equal_mass_ece, values_of
from eval.fidelity.probe import control_classes, probe_accuracy

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def hsic_by_permutations(x: np.ndarray, y: np.ndarray) -> float:
    """The definition as a mean over all (i, j, q, r) that differ (Song et al. 2012, equation 4)."""
    k, other, n = x @ x.T, y @ y.T, len(x)
    total, count = 0.0, 0
    for i in range(n):
        for j in range(n):
            for q in range(n):
                for r in range(n):
                    if len({i, j, q, r}) == 4:
                        total += k[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q])
                        count += 1
    return total / count


def test_hsic_is_the_mean_over_quadruples() -> None:
    x, y = normal(7, 3) + 2, normal(7, 5)
    expected = hsic_by_permutations(x.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(unbiased_hsic(x, y), expected, rtol=1e-6)


def test_cka_does_not_see_rotations_scales_and_shifts() -> None:
    x = normal(50, 8)
    rotation, _ = np.linalg.qr(normal(8, 8))
    np.testing.assert_allclose(debiased_cka(x, 3 * x @ rotation + 1), 1, rtol=1e-5)


def test_unrelated_wide_representations_are_at_zero_and_not_at_the_bias() -> None:
    x, y = normal(200, 150), normal(200, 150)
    centred = [each - each.mean(axis=0) for each in (x, y)]
    grams = [each @ each.T for each in centred]
    biased = np.sum(grams[0] * grams[1]) / np.prod([np.linalg.norm(gram) for gram in grams])
    assert biased > 0.4 and abs(debiased_cka(x, y)) < 0.02


def test_a_table_of_layers_and_its_shuffled_baseline() -> None:
    layers = np.stack([normal(400, 6), normal(400, 6)])
    table = cka_table(layers, layers)
    np.testing.assert_allclose(np.diag(table), 1, rtol=1e-6)
    np.testing.assert_allclose(table, table.T, atol=1e-9)
    assert np.all(np.abs(cka_table(layers, shuffled(layers))) < 0.03)
    assert np.isnan(debiased_cka(layers[0], np.ones((400, 2), np.float32)))


def test_bins_of_equal_mass_by_hand() -> None:
    confidence = np.array([0.9, 0.1, 0.8, 0.2, 0.5], np.float32)
    right = np.array([True, False, False, True, True])
    # Sorted: (0.1 0) (0.2 1) (0.5 1) | (0.8 0) (0.9 1): gaps -1.2 of three and 0.7 of two.
    np.testing.assert_allclose(equal_mass_ece(confidence, right, 2), (1.2 + 0.7) / 5, rtol=1e-6)


def test_the_values_of_a_token() -> None:
    logits = normal(2, 4, 9).astype(np.float64)
    labels = np.array([3, 0, 8, 8])
    ours, theirs = jnp.asarray(logits, jnp.float32)
    found = values_of(ours, theirs, jnp.asarray(labels))
    student, teacher = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    one_hot = np.eye(9)[labels]
    expected = {
        "kl": np.sum(teacher * np.log(teacher / student), axis=-1),
        "same": student.argmax(-1) == teacher.argmax(-1),
        "model_brier": np.sum((student - one_hot) ** 2, axis=-1),
        "teacher_brier": np.sum((teacher - one_hot) ** 2, axis=-1),
        "model_nll": -np.log(student[np.arange(4), labels]),
        "teacher_confidence": teacher.max(-1),
        "teacher_right": teacher.argmax(-1) == labels,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


def test_agreement_where_the_teacher_errs() -> None:
    zeros = np.zeros(6, np.float32)
    values = {
        "same": np.array([1, 1, 0, 1, 0, 0], bool),
        "teacher_right": np.array([1, 1, 1, 0, 0, 0], bool),
        "model_right": np.array([1, 1, 0, 0, 0, 1], bool),
        **dict.fromkeys(("kl", "model_nll", "teacher_nll"), zeros),
        **dict.fromkeys(("model_brier", "teacher_brier"), zeros),
        **dict.fromkeys(("model_confidence", "teacher_confidence"), zeros),
    }
    predicted = PredictedValues(values, np.array([0, 0, 0, 1, 1, 1]))
    metrics = predicted.metrics()
    assert (metrics["agreement"], metrics["model_accuracy"]) == (0.5, 0.5)
    np.testing.assert_allclose(metrics["agreement_where_right"], 2 / 3)
    np.testing.assert_allclose(metrics["agreement_where_wrong"], 1 / 3)
    # Of the second sequence alone; a share of nothing is left out.
    other = predicted.metrics([1])
    np.testing.assert_allclose(other["agreement"], 1 / 3)
    assert "agreement_where_right" not in other


def test_heads_are_matched_so_that_the_sum_is_largest() -> None:
    affinity = np.array([[0.9, 0.8, 0.1], [0.9, 0.3, 0.2]])
    matching = match_heads(affinity)
    assert matching.pairs == ((0, 1), (1, 0))  # and not 0.9 + 0.3
    np.testing.assert_allclose(matching.mean, 0.85)


def test_a_control_task_gives_a_word_form_one_class() -> None:
    forms = [str(number % 40) for number in range(400)]
    classes = np.array([0, 1, 1, 2] * 100)
    control = control_classes(forms, classes)
    assert all(len({*control[number::40].tolist()}) == 1 for number in range(40))
    assert {*control.tolist()} <= {0, 1, 2} and len({*control.tolist()}) > 1


def test_a_probe_finds_what_is_linear_and_nothing_in_noise() -> None:
    features = normal(600, 5)
    test = np.arange(600) % 5 == 4
    classes = features[:, :3].argmax(axis=1)
    assert probe_accuracy(features, classes, test) > 0.9
    noise = RANDOM.integers(0, 3, 600)
    assert probe_accuracy(features, noise, test) == pytest.approx(1 / 3, abs=0.15)
