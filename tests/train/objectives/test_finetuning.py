"""The losses of fine-tuning against sums written out row by row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sklearn.utils.class_weight import compute_class_weight

from model.losses import weighted_cross_entropy
from tasks import kinds
from tasks.texts.kind import Hierarchical
from tasks.windows import Windows
from tests.small import BERT, DISTILBERT, build, tokens
from train.objectives.finetuning import TaskLoss, TaskObjective, balanced_weights
from train.objectives.objective import LossInputs

ROWS, LENGTH = 4, 12
LENGTHS = np.array([12, 7, 9, 5])
VALID = np.array([True, True, True, False])
CALM = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "classifier_dropout": 0.0}
KINDS = {name: kind for name, kind in kinds.KINDS.items() if not kind.writes}
KINDS["hierarchy"] = Hierarchical(windows=3)
CONFIG = {
    "hierarchy": DISTILBERT.replace(labels=("a", "b", "c"), **CALM),
    "classification": BERT.replace(labels=("a", "b", "c"), **CALM),
    "multilabel": BERT.replace(labels=("a", "b", "c"), **CALM),
    "regression": DISTILBERT.replace(labels=("LABEL_0",), **CALM),
    "tags": DISTILBERT.replace(labels=("O", "B-x", "I-x"), **CALM),
    "answers": BERT.replace(**CALM),
    "choices": BERT.replace(**CALM),
    "embeddings": DISTILBERT.replace(**CALM),
    "extractive": BERT.replace(labels=("out", "in"), **CALM),
}
OF_TOKENS = {"tags": "tags", "extractive": "in_summary"}
"""The labels of tokens, by kind."""
SIDE_BY_SIDE = ("choices", "embeddings", "hierarchy")
"""Kinds that read several texts in a row."""
LOSS = TaskLoss(task=0.3, soft=0.7, temperature=3.0)


def make_batch(kind: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    attended = np.arange(LENGTH) < LENGTHS[:, None]
    batch = {
        "input_ids": np.where(attended, tokens(ROWS, LENGTH), 0).astype(np.int32),
        "attention_mask": attended,
        "token_type_ids": np.zeros((ROWS, LENGTH), np.int32),
        "valid": VALID,
    }
    if kind == "answers":
        batch["context"] = attended & (np.arange(LENGTH) > 3)
        batch["start"], batch["end"] = (
            np.array([4, 0, 5, 4], np.int32),
            np.array([6, 0, 8, 4], np.int32),
        )
        for side in ("start", "end"):
            batch[f"teacher_{side}"] = random.normal(size=(ROWS, LENGTH)).astype(np.float32)
        return batch
    if kind in SIDE_BY_SIDE:
        batch |= {name: np.stack([batch[name]] * 3, axis=-1) for name in KINDS[kind].inputs}
        batch["input_ids"][..., 1:] = random.integers(1, 50, (ROWS, LENGTH, 2))
    if kind in ("embeddings", "hierarchy"):
        batch["attention_mask"][1, :, 2] = False  # has no negative, or fewer windows
    if kind == "embeddings":
        batch["documents"] = np.array([[0, 3], [1, -1], [2, 1], [0, 2]], np.int32)
        batch["right"] = np.array([[0, 3], [1, 2], [2, -1], [0, -1]], np.int32)
        batch["teacher_vectors"] = random.normal(size=(ROWS, 3, 7)).astype(np.float32) / 3
        return batch
    outputs = 3 if kind == "choices" else CONFIG[kind].num_labels
    shape = (ROWS, LENGTH, outputs) if kind in OF_TOKENS else (ROWS, outputs)
    batch["teacher_logits"] = random.normal(size=shape).astype(np.float32)
    if kind in OF_TOKENS:
        labels = random.integers(-1, outputs, (ROWS, LENGTH)).astype(np.int32)
        batch[OF_TOKENS[kind]] = np.where(attended, labels, -1).astype(np.int32)
        if kind == "extractive":  # two sentences in each row
            batch["sentence_tokens"] = np.zeros((ROWS, LENGTH), np.int32)
            batch["sentence_tokens"][:, 0], batch["sentence_tokens"][:, 2] = 2, LENGTHS - 2
            batch["in_summary"][batch["sentence_tokens"] == 0] = -1
    elif kind == "regression":
        batch["label"] = random.normal(size=ROWS).astype(np.float32)
    elif kind == "multilabel":
        batch["label"] = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0], [1, 1, 1]], np.int32)
    else:
        batch["label"] = np.array([2, 0, 1, 1], np.int32)
    return batch


def log_softmax(values: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    values = values.astype(np.float64) / temperature
    return values - np.log(np.exp(values - values.max()).sum()) - values.max()


def kl(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    p, q = log_softmax(teacher, temperature), log_softmax(student, temperature)
    return temperature**2 * float((np.exp(p) * (p - q)).sum())


def expected(kind: str, batch, output) -> tuple[float, float, int]:
    """Sums of both terms over the rows (or tags) that count, and their number."""
    hard, soft, count = 0.0, 0.0, 0
    if kind == "embeddings":
        return expected_of_embeddings(batch, np.asarray(output.embedding, np.float64))
    for row in np.flatnonzero(VALID):
        if kind == "answers":
            count += 1
            for side in ("start", "end"):
                logits = np.asarray(getattr(output, f"{side}_logits")[row])
                hard -= log_softmax(logits[: LENGTHS[row]])[batch[side][row]] / 2
                allowed = np.flatnonzero(batch["context"][row] | (np.arange(LENGTH) == 0))
                teacher = batch[f"teacher_{side}"][row]
                soft += kl(logits[allowed], teacher[allowed], LOSS.temperature) / 2
            continue
        logits = np.asarray(output.logits[row])
        if kind in OF_TOKENS:
            labels = batch[OF_TOKENS[kind]][row]
            for place in np.flatnonzero(labels >= 0):
                count += 1
                size = batch["sentence_tokens"][row, place] if kind == "extractive" else 1
                scores = logits[place : place + size].mean(axis=0)
                hard -= log_softmax(scores)[labels[place]]
                soft += kl(scores, batch["teacher_logits"][row, place], LOSS.temperature)
            continue
        count += 1
        if kind == "regression":
            hard += (logits[0] - batch["label"][row]) ** 2
            soft += (logits[0] - batch["teacher_logits"][row, 0]) ** 2
        elif kind == "multilabel":
            for z, teacher, label in zip(
                logits, batch["teacher_logits"][row], batch["label"][row], strict=True
            ):
                two, teachers_two = np.array([0, z]), np.array([0, teacher])
                hard -= log_softmax(two)[label] / 3
                soft += kl(two, teachers_two, LOSS.temperature) / 3
        else:
            hard -= log_softmax(logits)[batch["label"][row]]
            soft += kl(logits, batch["teacher_logits"][row], LOSS.temperature)
    return float(hard), float(soft), count


def expected_of_embeddings(batch, vectors: np.ndarray) -> tuple[float, float, int]:
    """Each query with its own document and what is wrong for it, by the cosine over 0.05."""
    vectors = vectors.reshape(ROWS, 3, -1)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    hard, soft = 0.0, 0.0
    for row in np.flatnonzero(VALID):
        places = [(r, t) for r in np.flatnonzero(VALID) for t in (0, 1) if (r, t) != (1, 1)]
        by = {
            name: {(r, t): v[row, 0] @ v[r, t + 1] / 0.05 for r, t in places}
            for name, v in (("student", vectors), ("teacher", batch["teacher_vectors"]))
        }
        wrong = [p for p in places if batch["documents"][p] not in batch["right"][row]]
        hard -= log_softmax(np.array([by["student"][p] for p in [(row, 0), *wrong]]))[0]
        student, teacher = (np.array(list(scores.values())) for scores in by.values())
        soft += kl(student, teacher, LOSS.temperature)
    return float(hard), float(soft), int(VALID.sum())


@pytest.mark.long
@pytest.mark.parametrize("kind", list(KINDS))
def test_both_terms_are_the_sums_over_what_counts(kind):
    model = build(KINDS[kind].new_model, CONFIG[kind])
    graphdef, params = nnx.split(model)
    batch = make_batch(kind)
    objective = TaskObjective(graphdef, KINDS[kind], LOSS)
    arrays = {name: jnp.asarray(array) for name, array in batch.items()}
    shares = {"task": jnp.float32(2), "soft": jnp.float32(3)}
    loss = jax.jit(lambda p, b: objective.loss(LossInputs(p, {}, b, nnx.Rngs(), {}, shares)))
    value, sums = loss(params, arrays)
    inputs = [arrays[name] for name in KINDS[kind].inputs]
    if kind in ("choices", "hierarchy"):
        inputs = [array.swapaxes(1, 2) for array in inputs]
    if kind == "embeddings":
        inputs = [array.swapaxes(1, 2).reshape(-1, LENGTH) for array in inputs]
        inputs[1] = inputs[1].at[:, 0].set(True)
    output = model(*inputs[: 2 if CONFIG[kind].architecture == "distilbert" else 3])
    hard, soft, count = expected(kind, batch, output)
    np.testing.assert_allclose(sums["task"], hard, rtol=1e-5)
    np.testing.assert_allclose(sums["soft"], soft, rtol=1e-5)
    np.testing.assert_allclose(value, 2 * hard + 3 * soft, rtol=1e-5)
    counts = {name: where.sum() for name, where in objective.where(arrays).items()}
    assert counts == {"task": count, "soft": count}
    assert objective.numbers(jnp.float32(0)) == {"task": {"weight": 0.3}, "soft": {"weight": 0.7}}


def random_classes(shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array, jax.Array]:
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(*shape, 3)), random.integers(0, 3, shape)
    return jnp.float32(logits), jnp.int32(labels), jnp.float32([0.5, 2, 3])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_weights_and_smoothing_by_hand(smoothing):
    """The mean of -w log p over the label, and over what smoothing gives to all three classes."""
    logits, labels, weights = random_classes((5,))
    found = weighted_cross_entropy(logits, labels, weights, smoothing)
    for row, label in enumerate(labels.tolist()):
        targets = np.full(3, smoothing / 3) + (1 - smoothing) * (np.arange(3) == label)
        by_hand = -(targets * np.asarray(weights) * log_softmax(np.asarray(logits[row]))).sum()
        np.testing.assert_allclose(found[row], by_hand, rtol=1e-5)


@pytest.mark.oracle
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_weights_and_smoothing_are_those_of_torch(smoothing):
    import torch

    logits, labels, weights = random_classes((4, 5))
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(np.array(logits)).movedim(-1, 1),
        torch.tensor(np.array(labels), dtype=torch.long),
        weight=torch.tensor(np.array(weights)),
        label_smoothing=smoothing,
        reduction="none",
    )
    found = weighted_cross_entropy(logits, labels, weights, smoothing)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["classification", "tags"])
def test_the_loss_on_the_labels_with_weights_and_smoothing(kind):
    """The other term stays as it is."""
    graphdef, params = nnx.split(build(KINDS[kind].new_model, CONFIG[kind]))
    arrays = {name: jnp.asarray(array) for name, array in make_batch(kind).items()}
    weights = (0.5, 2.0, 3.0)
    one = jnp.float32(1)

    @jax.jit
    def sums(params):
        inputs = LossInputs(params, {}, arrays, nnx.Rngs(), {}, {"task": one, "soft": one})
        output = KINDS[kind].forward(nnx.merge(graphdef, params), arrays)
        plain = TaskObjective(graphdef, KINDS[kind], LOSS)
        other = TaskObjective(graphdef, KINDS[kind], LOSS, class_weights=weights, smoothing=0.1)
        return plain.loss(inputs)[1], other.loss(inputs)[1], output["logits"]

    plain, other, logits = sums(params)
    labels, valid = arrays["tags" if kind == "tags" else "label"], np.asarray(arrays["valid"])
    losses = weighted_cross_entropy(logits, jnp.maximum(labels, 0), jnp.array(weights), 0.1)
    counts = (np.asarray(labels) >= 0) & valid.reshape(-1, *[1] * (labels.ndim - 1))
    np.testing.assert_allclose(other["task"], np.asarray(losses)[counts].sum(), rtol=1e-5)
    assert other["soft"] == plain["soft"]
    assert abs(other["task"] - plain["task"]) > 0.1


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.array([0, 2, 2, 2, 0, 2, 2], np.int32)
    theirs = compute_class_weight("balanced", classes=np.array([0, 2]), y=labels)
    windows = Windows([labels], np.arange(7), 0, values={"label": labels})
    assert balanced_weights(KINDS["classification"], windows, 3) == pytest.approx(
        [theirs[0], 0, theirs[1]]
    )
    tags = [np.array([-1, *labels[:4]], np.int32), np.array([*labels[4:], -1], np.int32)]
    windows = Windows(tags, np.arange(2), 0, tokens={"tags": (tags, -1)})
    assert balanced_weights(KINDS["tags"], windows, 3) == pytest.approx([theirs[0], 0, theirs[1]])
    np.testing.assert_allclose(
        np.array(balanced_weights(KINDS["tags"], windows, 3))[labels].mean(), 1
    )


def several_labels() -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    random = np.random.default_rng(0)
    logits, teacher = random.normal(size=(2, 5, 3)) * 3
    labels = random.integers(0, 2, (5, 3))
    batch = {"label": jnp.int32(labels), "teacher_logits": jnp.float32(teacher)}
    return {"logits": jnp.float32(logits)}, batch


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_weights_and_smoothing_of_labels_by_hand(smoothing):
    """Each label has a weight where it is not given, and one where it is."""
    output, batch = several_labels()
    weights = np.array([[0.5, 2.0], [1.0, 3.0], [0.7, 0.1]])
    found = KINDS["multilabel"].class_loss(output, batch, jnp.float32(weights), smoothing)
    z, given = (np.asarray(a, np.float64) for a in (output["logits"], batch["label"]))
    target = (1 - smoothing) * given + smoothing / 2
    no, yes = (1 - target) * np.log1p(np.exp(z)), target * np.log1p(np.exp(-z))
    by_hand = (weights[:, 0] * no + weights[:, 1] * yes).mean(axis=1)
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)


def test_balanced_weights_of_labels_are_those_of_scikit_learn():
    """For each label the two classes are those without and with it; nobody has the last one."""
    labels = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 1, 0]], np.int32)
    windows = Windows([labels[0]] * 5, np.arange(5), 0, values={"label": labels})
    found = balanced_weights(KINDS["multilabel"], windows, 3)
    for column, weights in zip(labels.T[:2], found, strict=False):
        theirs = compute_class_weight("balanced", classes=np.array([0, 1]), y=column)
        assert weights == pytest.approx(list(theirs))
    assert found[2] == [1, 0]


@pytest.mark.oracle
def test_the_losses_of_labels_are_those_of_torch():
    import torch

    output, batch = several_labels()
    z, given, teacher = (
        torch.tensor(np.array(array)) for array in (output["logits"], *batch.values())
    )
    binary = torch.nn.functional.binary_cross_entropy_with_logits(
        z, given.float(), reduction="none"
    )
    found = KINDS["multilabel"].loss(output, batch)
    np.testing.assert_allclose(found, binary.mean(-1), rtol=1e-5)
    p, q = (torch.distributions.Bernoulli(logits=x / 3) for x in (teacher, z))
    kl = 9 * torch.distributions.kl_divergence(p, q).mean(-1)
    found = KINDS["multilabel"].soft_loss(output, batch, 3.0)
    np.testing.assert_allclose(found, kl, rtol=1e-4, atol=1e-6)


def test_losses_of_several_values_are_means_over_them():
    output, batch = several_labels()
    several = KINDS["regression"].of_labels(("a", "b", "c"))
    assert several.targets(7, 3)["label"].shape == (3,)
    z = np.asarray(output["logits"])
    batch = {name: jnp.float32(array) for name, array in batch.items()}
    for name, loss in (
        ("label", several.loss(output, batch)),
        ("teacher_logits", several.soft_loss(output, batch, 3.0)),
    ):
        np.testing.assert_allclose(loss, np.mean((z - batch[name]) ** 2, axis=1), rtol=1e-5)


@pytest.mark.parametrize("kind", list(KINDS))
def test_without_a_teacher_only_the_labels_count(kind):
    graphdef = nnx.graphdef(build(KINDS[kind].new_model, CONFIG[kind]))
    numbers = TaskObjective(graphdef, KINDS[kind]).numbers(jnp.float32(0))
    assert numbers == {"task": {"weight": 1.0}}


@pytest.mark.parametrize("kind", list(KINDS))
def test_dropout_is_drawn_where_a_model_learns(kind):
    graphdef, params = nnx.split(
        build(KINDS[kind].new_model, CONFIG[kind].replace(hidden_dropout=0.1))
    )
    objective = TaskObjective(graphdef, KINDS[kind], LOSS)
    batch = jax.tree.map(jnp.asarray, make_batch(kind))
    shares = {name: jnp.ones(()) for name in objective.weights}

    def loss(key):
        rngs = nnx.Rngs(dropout=key)
        return objective.loss(LossInputs(params, {}, batch, rngs, {}, shares))[0]

    assert "random_bits" in str(jax.make_jaxpr(loss)(jax.random.key(0)))


@pytest.mark.long
@pytest.mark.parametrize("kind", list(KINDS))
def test_the_gradient_is_finite_where_nothing_is_allowed(kind):
    """A row without context, an untagged row, and a batch in which no row counts."""
    graphdef, params = nnx.split(build(KINDS[kind].new_model, CONFIG[kind]))
    batch = make_batch(kind) | {"valid": np.zeros(ROWS, bool)}
    for name in ("context", "tags"):
        if name in batch:
            batch[name] = np.full_like(batch[name], False if name == "context" else -1)
    objective = TaskObjective(graphdef, KINDS[kind], LOSS)

    def loss(params):
        arrays = jax.tree.map(jnp.asarray, batch)
        shares = {name: jnp.ones(()) for name in objective.weights}
        return objective.loss(LossInputs(params, {}, arrays, nnx.Rngs(), {}, shares))[0]

    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    assert value == 0
    assert all(not np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(gradient))
