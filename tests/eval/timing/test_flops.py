"""The counts against those of every matrix product that JAX traces."""

import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from eval.timing import flops
from model.config import EncoderConfig, bert_base
from model.tasks import MaskedLM, SequenceClassification
from train.planning.flops import matmul_flops

BERT = EncoderConfig(
    vocab_size=90,
    hidden_size=24,
    num_layers=3,
    num_heads=3,
    intermediate_size=40,
    max_positions=32,
)
DISTILBERT = BERT.distilled(2)
ROWS, LENGTH = 8, 20


def abstract(task, config):
    return nnx.split(nnx.eval_shape(lambda: task(config, rngs=nnx.Rngs(0))))


def ids(rows=ROWS, length=LENGTH):
    return jax.ShapeDtypeStruct((rows, length), jnp.int32)


def scores(graphdef, positions):
    """The sum of all scores at the first positions of the batch."""

    def total(params, tokens):
        model = nnx.merge(graphdef, params)
        hidden = model.backbone(tokens).last_hidden
        return model.predict_tokens(hidden.reshape(-1, hidden.shape[-1])[:positions]).sum()

    return total


@pytest.mark.parametrize("config", [BERT, DISTILBERT], ids=["bert", "distilbert"])
def test_pretraining_is_every_product_of_forward_and_backward(config):
    graphdef, params = abstract(MaskedLM, config)
    step = jax.grad(scores(graphdef, math.ceil(0.15 * ROWS * LENGTH)))
    assert flops.pretraining(config, ROWS, LENGTH) == matmul_flops(step, params, ids())


def test_distillation_is_every_product_of_both_models():
    (teacher, teacher_params), (student, params) = (
        abstract(MaskedLM, config) for config in (BERT, DISTILBERT)
    )
    everywhere = ROWS * LENGTH
    read = matmul_flops(scores(teacher, everywhere), teacher_params, ids())
    learned = matmul_flops(jax.grad(scores(student, everywhere)), params, ids())
    assert flops.distillation(BERT, DISTILBERT, ROWS, LENGTH) == read + learned


@pytest.mark.parametrize("config", [BERT, DISTILBERT], ids=["bert", "distilbert"])
def test_classification_is_every_product_on_texts_without_padding(config):
    graphdef, params = abstract(SequenceClassification, config)

    def loss(params, tokens):
        logits = nnx.merge(graphdef, params)(tokens).logits
        assert logits is not None
        return logits.sum()

    lengths = [5, 9, 20]
    counted = sum(matmul_flops(jax.grad(loss), params, ids(2, length)) for length in lengths)
    assert flops.classification(config, lengths * 2) == counted


def test_six_times_parameters_times_tokens_is_near():
    """The usual rule of thumb, for the layers' 85 M parameters."""
    matrices = 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert flops.encoder(bert_base(), 1, 128) * 3 == pytest.approx(6 * matrices * 128, rel=0.03)
