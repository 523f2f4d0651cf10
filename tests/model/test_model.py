"""The models against stored outputs of transformers, and properties of every encoder."""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from model import (
    Bert,
    DistilBert,
    EncoderConfig,
    InputError,
    MaskedLM,
    MultipleChoice,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
    bert_base,
    distilbert_base,
    tiny_bert,
    tiny_distilbert,
)
from model.blocks.encoder import Layer
from model.config import HUB_CONFIGS, Architecture
from model.hf.weight_map import MODEL_CLASSES
from model.pretrained import load
from tests import parity
from tests.small import ARCHITECTURES, BERT, DISTILBERT, build, call, parameters, tokens

GOLDEN_CLASSES = [(family, name) for family, classes in MODEL_CLASSES.items() for name in classes]


@pytest.fixture(params=ARCHITECTURES, scope="module")
def config(request: pytest.FixtureRequest) -> EncoderConfig:
    return ARCHITECTURES[request.param]


@pytest.fixture(scope="module")
def model(config: EncoderConfig) -> Any:
    return build(MaskedLM, config)


# Stored answers


def golden(name: str) -> dict[str, np.ndarray]:
    """The stored arrays of one class, with all its tensors under `tensor/`."""
    architecture = "distilbert" if name.startswith("Distil") else "bert"
    with np.load(Path(__file__).parent / "goldens" / f"{architecture}.npz") as arrays:
        own = {
            key.removeprefix(f"{name}/"): arrays[key]
            for key in arrays
            if key.startswith(f"{name}/")
        }
        for tensor in own.pop("names"):
            own[f"tensor/{tensor}"] = (
                own.pop(tensor) if tensor in own else arrays[f"encoder/{tensor}"]
            )
    return own


def part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)
    }


def write_checkpoint(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    (folder / "config.json").write_text(str(arrays["config"]))
    save_file(part(arrays, "tensor/"), folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(("architecture", "name"), GOLDEN_CLASSES)
def test_answers_of_transformers(architecture: Architecture, name: str, tmp_path: Path) -> None:
    arrays = golden(name)
    task = MODEL_CLASSES[architecture][name][0]
    model = load(write_checkpoint(tmp_path, arrays), task)
    output = parity.answer(model, part(arrays, "batch/"))
    parity.assert_same(model, output, part(arrays, "output/"))


@pytest.mark.parametrize("name", ["BertForMaskedLM", "DistilBertForMaskedLM"])
def test_masked_lm_gradients_of_transformers(name: str, tmp_path: Path) -> None:
    arrays = golden(name)
    model = load(write_checkpoint(tmp_path, arrays), MaskedLM)
    loss, gradients = parity.masked_lm_gradients(model, part(arrays, "batch/"), arrays["labels"])
    assert loss == pytest.approx(float(arrays["loss"]), rel=1e-6)
    parity.assert_same_gradients(gradients, part(arrays, "gradient/"))


# Sizes


@pytest.mark.parametrize(
    ("task", "config", "parameters"),
    [
        (Bert, bert_base(), 109_482_240),
        (MaskedLM, bert_base(), 109_514_298),
        (PreTraining, bert_base(), 110_106_428),
        (DistilBert, distilbert_base(), 66_362_880),
        (MaskedLM, distilbert_base(), 66_985_530),
        (SequenceClassification, distilbert_base(), 66_955_010),
        (QuestionAnswering, distilbert_base(), 66_364_418),
    ],
)
def test_published_parameter_counts(task, config: EncoderConfig, parameters: int) -> None:
    model = nnx.eval_shape(lambda: task(config, rngs=nnx.Rngs(0)))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model))) == parameters


@pytest.mark.parametrize(
    ("name", "vocab_size", "hidden_size", "num_layers", "num_heads"),
    [  # the intermediate size is four times the hidden size in all
        ("google-bert/bert-base-uncased", 30522, 768, 12, 12),
        ("google-bert/bert-base-cased", 28996, 768, 12, 12),
        ("google-bert/bert-base-multilingual-cased", 119547, 768, 12, 12),
        ("google-bert/bert-large-uncased", 30522, 1024, 24, 16),
        ("google-bert/bert-large-cased", 28996, 1024, 24, 16),
        ("distilbert/distilbert-base-uncased", 30522, 768, 6, 12),
        ("distilbert/distilbert-base-cased", 28996, 768, 6, 12),
        ("distilbert/distilbert-base-multilingual-cased", 119547, 768, 6, 12),
    ],
)
def test_published_configurations(
    name: str, vocab_size: int, hidden_size: int, num_layers: int, num_heads: int
) -> None:
    distilled = name.startswith("distil")
    assert HUB_CONFIGS[name] == EncoderConfig(
        architecture="distilbert" if distilled else "bert",
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        num_heads=num_heads,
        intermediate_size=4 * hidden_size,
        max_positions=512,
        type_vocab_size=0 if distilled else 2,
        classifier_dropout=0.2 if distilled else 0.1,
    )


def test_the_tiny_pair_are_teacher_and_student() -> None:
    assert tiny_distilbert() == tiny_bert().distilled()


def test_only_parameters_are_stored(model: Any) -> None:
    _, stored, rest = nnx.split(model, nnx.Param, ...)
    assert not jax.tree.leaves(rest)
    assert {leaf.dtype for leaf in jax.tree.leaves(stored)} == {jnp.dtype("float32")}


def test_initialisation(config: EncoderConfig) -> None:
    # Normal with the configured deviation, a zero padding row, zero biases, LayerNorm 1 and 0.
    config = config.replace(hidden_size=64, intermediate_size=256)
    model = MaskedLM(config, rngs=nnx.Rngs(0))
    for name, values in parameters(model).items():
        if name.endswith(("kernel", "embedding")):
            values = values[1:] if "word" in name else values
            assert abs(values.mean()) < 5 * 0.3 / values.size**0.5
            assert abs(values.std() / 0.3 - 1) < 5 / (2 * values.size) ** 0.5
        else:
            assert np.all(values == (1.0 if name.endswith("scale") else 0.0))
    assert not np.any(model.backbone.embeddings.word.embedding[0])


# Properties

MASK = np.arange(12)[None] < np.array([[12], [7], [1]])


def test_more_padding_changes_nothing_on_real_tokens(model: Any) -> None:
    padding = ((0, 0), (0, 6))
    mask = np.pad(MASK, padding)
    # The ids in the padding do not matter either.
    ids = np.where(mask, np.pad(tokens(), padding), tokens(length=18, seed=1))
    short, long = call(model, tokens(), MASK).logits, call(model, ids, mask).logits
    np.testing.assert_allclose(short[MASK], long[mask], rtol=0, atol=1e-5)


def test_padding_is_not_attended_to(model: Any) -> None:
    for attentions in call(model, tokens(), MASK, outputs=("attentions",)).attentions:
        ignored = np.broadcast_to(~MASK[:, None, None], attentions.shape)
        assert np.all(np.asarray(attentions)[ignored] == 0.0)
        np.testing.assert_allclose(attentions.sum(-1), 1.0, rtol=1e-6)


def test_a_row_of_padding_alone_is_finite(model: Any) -> None:
    mask = MASK & np.array([[True], [False], [True]])
    assert np.all(np.isfinite(call(model, tokens(), mask).logits))


def test_permuting_the_batch_permutes_the_output(model: Any) -> None:
    order = np.array([2, 0, 1])
    output = call(model, tokens(), MASK).logits
    permuted = call(model, tokens()[order], MASK[order]).logits
    np.testing.assert_allclose(output[order], permuted, rtol=0, atol=1e-5)


def test_positions_matter(model: Any) -> None:
    hidden = call(model.backbone, np.full((1, 4), 7)).last_hidden
    assert not np.allclose(hidden[0, 0], hidden[0, 1], atol=1e-2)


def test_token_types_matter_in_bert_only() -> None:
    ids, types = tokens(), np.ones((3, 12), np.int32)
    bert = build(Bert, BERT)
    by_default, zeros, ones = (
        call(bert, ids, *rest).last_hidden for rest in ((), (MASK, 0 * types), (MASK, types))
    )
    np.testing.assert_allclose(by_default[0], zeros[0], rtol=0, atol=1e-5)
    assert not np.allclose(by_default[0], ones[0], atol=1e-2)
    with pytest.raises(InputError, match="no token types"):
        call(build(DistilBert, DISTILBERT), ids, MASK, types)


def test_a_sequence_longer_than_the_position_table_is_one_clear_error(model: Any) -> None:
    assert call(model, tokens(length=20)).logits.shape == (3, 20, 50)
    with pytest.raises(InputError, match="sequence of 21 tokens is longer than the 20 positions"):
        call(model, tokens(length=21))


def test_an_impossible_configuration_is_an_error() -> None:
    with pytest.raises(ValueError, match="Bert got a distilbert configuration"):
        Bert(DISTILBERT, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="num_heads 3 does not divide hidden_size 16"):
        BERT.replace(num_heads=3)


# Outputs


def test_outputs_that_are_not_named_are_not_computed(model: Any) -> None:
    layers = model.config.num_layers
    lengths = {"hidden_states": layers + 1, "attentions": layers, "scores": layers, "qkv": layers}
    graphdef, state = nnx.split(model)
    ids = jnp.asarray(tokens())
    for named in [(), *((name,) for name in lengths), tuple(lengths)]:
        made = jax.eval_shape(
            lambda state, names=named: vars(nnx.merge(graphdef, state)(ids, outputs=names)), state
        )
        for name, length in lengths.items():
            assert made[name] is None if name not in named else len(made[name]) == length


def test_scores_attentions_and_qkv_belong_together(model: Any) -> None:
    names = ("hidden_states", "scores", "attentions", "qkv")
    output = call(model, tokens(), MASK, outputs=names)
    attention = model.backbone.encoder.layers[1].attention
    hidden = np.asarray(output.hidden_states[1])
    query, key, value = map(np.asarray, output.qkv[1])
    for array, dense in (
        (query, attention.query),
        (key, attention.key),
        (value, attention.value),
    ):
        kernel, bias = np.asarray(dense.kernel[...]), np.asarray(dense.bias[...])
        expected = hidden @ kernel + bias
        np.testing.assert_allclose(array.reshape(3, 12, 16), expected, rtol=0, atol=1e-5)
    scores = np.einsum("bqnd,bknd->bnqk", query, key) / math.sqrt(8)
    np.testing.assert_allclose(output.scores[1], scores, rtol=0, atol=1e-5)
    weights = np.exp(scores) * MASK[:, None, None]
    weights /= weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(output.attentions[1], weights, rtol=0, atol=1e-5)


def test_tokens_are_predicted_from_any_hidden_states(model: Any) -> None:
    output = call(model, tokens())
    some = model.predict_tokens(output.last_hidden[1, 3:5])
    np.testing.assert_allclose(some, output.logits[1, 3:5], rtol=0, atol=1e-5)


def test_bfloat16_keeps_normalisation_scores_and_logits_in_float32(
    config: EncoderConfig, model: Any
) -> None:
    half = build(MaskedLM, config.replace(dtype="bfloat16"))
    output = call(half, tokens(), outputs=("attentions", "scores"))
    assert output.last_hidden.dtype == jnp.bfloat16
    wide = (output.logits, *output.scores, *output.attentions, *parameters(half).values())
    assert {array.dtype for array in wide} == {jnp.dtype("float32")}
    # Eight bits of mantissa: about half a percent a layer.
    exact = call(model, tokens()).logits
    assert np.linalg.norm(output.logits - exact) / np.linalg.norm(exact) < 0.03


# Dropout


def test_no_rngs_no_dropout_and_the_same_key_the_same_dropout(model: Any) -> None:
    still, one, again, two = (
        call(model, tokens(), dropout=seed).logits for seed in (None, 1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.allclose(one, two, atol=1e-2)
    assert not np.allclose(one, still, atol=1e-2)


def test_embeddings_drop_at_the_configured_rate(config: EncoderConfig) -> None:
    embeddings = build(MaskedLM, config.replace(hidden_dropout=0.25)).backbone.embeddings
    ids = tokens(rows=64, length=20)
    dropped, whole = np.asarray(call(embeddings, ids, dropout=0)), np.asarray(call(embeddings, ids))
    gone = dropped == 0.0
    assert abs(gone.mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / gone.size)
    np.testing.assert_allclose(dropped[~gone], whole[~gone] / 0.75, rtol=1e-5)


@pytest.mark.parametrize(
    ("hidden", "attention", "silent", "bert", "distilbert"),
    [
        # The two rates, the sublayer multiplied by 0, and whether dropout still has an effect.
        (0.5, 0.0, "feed_forward", True, False),
        (0.5, 0.0, "attention", True, True),
        (0.0, 0.5, "feed_forward", True, True),
        (0.0, 0.5, "attention", False, False),
    ],
)
def test_the_places_of_dropout_in_a_layer(
    config: EncoderConfig,
    hidden: float,
    attention: float,
    silent: str,
    bert: bool,
    distilbert: bool,
) -> None:
    layer = build(Layer, config.replace(hidden_dropout=hidden, attention_dropout=attention))
    last = layer.feed_forward.down if silent == "feed_forward" else layer.attention.out
    for param in (last.kernel, last.bias):
        param[...] = jnp.zeros_like(param[...])
    inputs = jax.random.normal(jax.random.key(0), (2, 12, 16)), np.ones((2, 1, 12), bool)
    first, second = (call(layer, *inputs, dropout=seed)[0] for seed in (1, 2))
    dropped = not np.array_equal(first, second)
    assert dropped is (bert if config.architecture == "bert" else distilbert)


@pytest.mark.parametrize(
    ("task", "bert", "distilbert"),
    [
        (SequenceClassification, True, True),
        (MultipleChoice, True, True),
        (TokenClassification, True, False),
        (QuestionAnswering, False, True),
    ],
)
def test_the_heads_that_have_dropout(
    config: EncoderConfig, task: type, bert: bool, distilbert: bool
) -> None:
    # Dropout before the classifier, and none in the encoder.
    model = build(
        task, config.replace(hidden_dropout=0.0, attention_dropout=0.0, classifier_dropout=0.5)
    )
    ids = np.stack([tokens(), tokens(seed=1)], axis=1) if task is MultipleChoice else tokens()
    first, second = (jax.tree.leaves(call(model, ids, dropout=seed)) for seed in (1, 2))
    dropped = not all(map(np.array_equal, first, second))
    assert dropped is (bert if config.architecture == "bert" else distilbert)
