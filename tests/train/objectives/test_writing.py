"""The losses of a model that writes, by hand from all its logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.tasks import backbone
from tasks.writing.translation import Translation
from tests import runs
from train.objectives.finetuning import TaskLoss
from train.objectives.objective import LossInputs
from train.objectives.writing import WritingObjective

KIND = Translation()
SHAPE = runs.MODEL.replace(vocab_size=40)


def model(seed: int, layers: int = 1) -> Seq2Seq:
    rngs = nnx.Rngs(seed)
    encoder = backbone(SHAPE.distilled(1), rngs=rngs)
    decoder = CausalLM(SHAPE.replace(num_layers=layers), crosses=True, rngs=rngs)
    return Seq2Seq(encoder, decoder, rngs=rngs)


@pytest.fixture(scope="module")
def batch():
    random = np.random.default_rng(0)
    source, target = random.integers(5, 40, (3, 9)), random.integers(5, 40, (3, 7))
    target[0, 4:] = -1
    return {
        "input_ids": jnp.asarray(source, jnp.int32),
        "attention_mask": jnp.arange(9)[None] < jnp.array([[9], [5], [7]]),
        "token_type_ids": jnp.zeros((3, 9), jnp.int32),
        "target_ids": jnp.asarray(target, jnp.int32),
        "valid": jnp.array([True, True, False]),
    }


def logits(model: Seq2Seq, batch) -> np.ndarray:
    before = jnp.maximum(batch["target_ids"][:, :-1], 0)
    output = model(batch["input_ids"], batch["attention_mask"], decoder_input_ids=before)
    assert output.logits is not None
    return np.asarray(output.logits, np.float64)


@pytest.mark.long
@pytest.mark.parametrize(("smoothing", "temperature"), [(0.0, 1.0), (0.1, 2.0)])
def test_the_losses_of_labels_and_teacher(batch, smoothing, temperature):
    student, teacher = model(0), model(1, layers=2)
    weights = TaskLoss(task=0.25, soft=0.75, temperature=temperature)
    structure, params = nnx.split(student)
    theirs, constants = nnx.split(teacher)
    objective = WritingObjective(structure, KIND, theirs, weights, smoothing=smoothing)
    where = objective.where(batch)
    numbers = objective.numbers(jnp.zeros(()))
    shares = {name: numbers[name]["weight"] for name in where}

    def loss(params):
        return objective.loss(
            LossInputs(params, {"teacher": constants}, batch, None, numbers, shares)
        )

    (value, sums), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    log_q = log_softmax(logits(student, batch), -1)
    hard = soft = 0.0
    log_q_t = log_softmax(logits(student, batch) / temperature, -1)
    log_p = log_softmax(logits(teacher, batch) / temperature, -1)
    count = 0
    for row in range(2):  # the third is a filler
        for place in range(6):
            label = int(batch["target_ids"][row, place + 1])
            if label < 0:
                continue
            count += 1
            of_label = -log_q[row, place, label]
            hard += (1 - smoothing) * of_label - smoothing * log_q[row, place].mean()
            difference = log_p[row, place] - log_q_t[row, place]
            soft += temperature**2 * float(np.exp(log_p[row, place]) @ difference)
    assert int(where["task"].sum()) == count
    np.testing.assert_allclose(sums["task"], hard, rtol=1e-5)
    np.testing.assert_allclose(sums["soft"], soft, rtol=1e-5)
    np.testing.assert_allclose(value, 0.25 * hard + 0.75 * soft, rtol=1e-5)
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    # And the loss that evaluation shows is that of the labels, without smoothing.
    plain = KIND.loss(KIND.forward(student, batch), batch)
    there = np.asarray(KIND.where(batch))
    expected = -np.take_along_axis(
        log_q, np.maximum(np.asarray(batch["target_ids"])[:, 1:, None], 0), -1
    )[..., 0]
    np.testing.assert_allclose(np.asarray(plain)[there], expected[there], rtol=1e-5, atol=1e-5)


def test_without_a_teacher_only_the_labels_count(batch):
    objective = WritingObjective(nnx.graphdef(model(0)), KIND, None, TaskLoss())
    assert objective.numbers(jnp.zeros(())) == {"task": {"weight": 1.0}}
