"""The losses by hand, and against sentence-transformers."""

import jax.numpy as jnp
import numpy as np
import pytest

from tasks.embeddings.kind import Pairs, Similarity
from tasks.embeddings.losses import margin_error, vector_distance

ROWS, NEGATIVES, WIDTH = 5, 2, 6
RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(ROWS, 2 + NEGATIVES, WIDTH)).astype(np.float32)
TEACHER = RANDOM.normal(size=(ROWS, 2 + NEGATIVES, 3)).astype(np.float32)
TEACHER /= np.linalg.norm(TEACHER, axis=-1, keepdims=True)
THERE = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]], bool)


def batch(**columns) -> dict:
    """Documents that are all different, each right for its own query alone."""
    documents = np.arange(ROWS * (1 + NEGATIVES), dtype=np.int32).reshape(ROWS, -1)
    arrays = {
        "documents": documents,
        "right": documents[:, :1],
        "valid": np.ones(ROWS, bool),
        **columns,
    }
    return {name: jnp.asarray(array) for name, array in arrays.items()}


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_margins_by_hand():
    student, teacher = RANDOM.normal(size=(2, ROWS, 3)).astype(np.float32)
    found = margin_error(jnp.asarray(student), jnp.asarray(teacher), jnp.asarray(THERE))
    for row in range(ROWS):
        errors = [
            ((student[row, 0] - student[row, n]) - (teacher[row, 0] - teacher[row, n])) ** 2
            for n in (1, 2)
            if THERE[row, n]
        ]
        np.testing.assert_allclose(found[row], np.mean(errors) if errors else 0, rtol=1e-5)


def test_distances_of_vectors_by_hand():
    student, teacher = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (VECTORS, -VECTORS))
    there = np.concatenate([np.ones((ROWS, 1), bool), THERE], axis=1)
    teacher[:, 0] = student[:, 0]
    found = vector_distance(*map(jnp.asarray, (student, teacher, there)))
    np.testing.assert_allclose(found, 2 * THERE.sum(1) / there.sum(1), rtol=1e-6)


@pytest.mark.parametrize("columns", ["teacher_vectors", "teacher_scores"])
def test_the_form_of_margins(columns):
    """Of an embedder by its cosines over 0.05, of a cross-encoder by its scores as they are."""
    theirs = {
        "teacher_vectors": TEACHER,
        "teacher_scores": RANDOM.normal(size=(ROWS, 1 + NEGATIVES)).astype(np.float32),
    }[columns]
    kind = Pairs(negatives=NEGATIVES, form="margin")
    found = kind.soft_loss({"vectors": jnp.asarray(VECTORS)}, batch(**{columns: theirs}), 2.0)
    for row in range(ROWS):
        ours = [cosine(VECTORS[row, 0], v) / 0.05 for v in VECTORS[row, 1:]]
        scores = theirs[row]
        if columns == "teacher_vectors":
            scores = [theirs[row, 0] @ v / 0.05 for v in theirs[row, 1:]]
        errors = [((ours[0] - ours[n]) - (scores[0] - scores[n])) ** 2 for n in (1, 2)]
        np.testing.assert_allclose(found[row], np.mean(errors), rtol=1e-4)


def test_the_form_of_vectors():
    kind = Pairs(negatives=NEGATIVES, form="vectors")
    teacher = np.roll(VECTORS, 1, axis=0)
    unit = teacher / np.linalg.norm(teacher, axis=-1, keepdims=True)
    found = kind.soft_loss({"vectors": jnp.asarray(VECTORS)}, batch(teacher_vectors=unit), 2.0)
    for row in range(ROWS):
        distances = [1 - cosine(a, b) for a, b in zip(VECTORS[row], teacher[row], strict=True)]
        np.testing.assert_allclose(found[row], np.mean(distances), rtol=1e-5)


@pytest.mark.oracle
class TestAgainstSentenceTransformers:
    """Its losses of vectors, which it averages over the batch."""

    @pytest.fixture
    def losses(self):
        return pytest.importorskip("sentence_transformers.sentence_transformer.losses")

    @pytest.fixture
    def vectors(self):
        torch = pytest.importorskip("torch")
        return [torch.tensor(VECTORS[:, place]) for place in range(2 + NEGATIVES)]

    def test_contrast(self, losses, vectors):
        expected = losses.MultipleNegativesRankingLoss(None).compute_loss_from_embeddings(
            vectors, None
        )
        found = Pairs(negatives=NEGATIVES).loss({"vectors": jnp.asarray(VECTORS)}, batch())
        np.testing.assert_allclose(np.mean(found), float(expected), rtol=1e-5)

    def test_regression(self, losses, vectors):
        torch = pytest.importorskip("torch")
        scores = np.linspace(0, 5, ROWS).astype(np.float32)
        expected = losses.CosineSimilarityLoss(None).compute_loss_from_embeddings(
            vectors[:2], torch.tensor(scores / 5)
        )
        output = {"vectors": jnp.asarray(VECTORS[:, :2])}
        found = Similarity(scale=5.0).loss(output, batch(score=scores))
        np.testing.assert_allclose(np.mean(found), float(expected), rtol=1e-5)

    def test_margins(self, losses, vectors):
        torch = pytest.importorskip("torch")
        scores = RANDOM.normal(size=(ROWS, 1 + NEGATIVES)).astype(np.float32)

        def scaled(a, b):
            return torch.cosine_similarity(a, b) / 0.05

        expected = losses.MarginMSELoss(None, scaled).compute_loss_from_embeddings(
            vectors, torch.tensor(scores)
        )
        kind = Pairs(negatives=NEGATIVES, form="margin")
        output = {"vectors": jnp.asarray(VECTORS)}
        found = kind.soft_loss(output, batch(teacher_scores=scores), 1.0)
        np.testing.assert_allclose(np.mean(found), float(expected), rtol=1e-5)
