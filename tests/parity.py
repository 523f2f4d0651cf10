"""How a model's answers are compared with those of transformers, stored or live."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from model.hf.weight_map import tensor_name
from model.output import ModelOutput
from model.tasks import NextSentence, PreTraining
from tests.small import call

HIDDEN_TOLERANCE = 1e-5
LOGITS_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-5


def answer(model, batch: dict[str, np.ndarray], outputs=("hidden_states",)) -> ModelOutput:
    return call(model, *(value.astype(np.int32) for value in batch.values()), outputs=outputs)


def by_their_names(model, output: ModelOutput) -> dict[str, np.ndarray]:
    """The fields of an output as transformers calls them."""
    logits, next_sentence = "logits", "seq_relationship_logits"
    if isinstance(model, PreTraining):
        logits = "prediction_logits"
    elif isinstance(model, NextSentence):
        next_sentence = "logits"
    named = {
        "last_hidden_state": output.last_hidden,
        "pooler_output": output.pooled,
        logits: output.logits,
        next_sentence: output.next_sentence_logits,
        "start_logits": output.start_logits,
        "end_logits": output.end_logits,
    }
    for index, hidden in enumerate(output.hidden_states or ()):
        named[f"hidden_states.{index}"] = hidden
    return {name: np.asarray(value) for name, value in named.items() if value is not None}


def assert_same(model, output: ModelOutput, theirs: dict[str, np.ndarray]) -> None:
    ours = by_their_names(model, output)
    assert theirs
    for name, expected in theirs.items():
        tolerance = LOGITS_TOLERANCE if name.endswith("logits") else HIDDEN_TOLERANCE
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=tolerance, err_msg=name)


def masked_lm_gradients(model, batch: dict[str, np.ndarray], labels: np.ndarray):
    """The mean masked-LM loss and its gradients, by transformers' names and in its layout."""
    arrays = {key: jnp.asarray(value, jnp.int32) for key, value in batch.items()}
    where = jnp.asarray(labels != -100)
    targets = jnp.asarray(np.maximum(labels, 0), jnp.int32)
    graphdef, state = nnx.split(model)

    @jax.jit
    @jax.value_and_grad
    def loss_and_gradients(state):
        logits = nnx.merge(graphdef, state)(**arrays).logits
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)
        return -jnp.mean(chosen[..., 0], where=where)

    loss, gradients = loss_and_gradients(state)
    named = {}
    for place, gradient in nnx.to_flat_state(gradients):
        array = np.asarray(gradient[...])
        name = tensor_name(place, type(model), model.config.architecture)
        named[name] = array.T if place[-1] == "kernel" else array
    return float(loss), named


def assert_same_gradients(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        size = np.linalg.norm(expected)
        if name.endswith(("key.bias", "k_lin.bias")):
            # Zero but for rounding: a softmax does not see what all scores of a row share.
            size = np.linalg.norm(theirs[name.replace("bias", "weight")])
            assert np.linalg.norm(expected) <= GRADIENT_TOLERANCE * size
        difference = np.linalg.norm(ours[name] - expected) / size
        assert difference <= GRADIENT_TOLERANCE, f"{name}: {difference:.1e}"
