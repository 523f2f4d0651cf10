"""Decoders: what they see, their files, and what is refused."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model import Bert, CausalLM, MaskedLM, Seq2Seq
from model.decoder.settings import GenerationConfig
from model.pretrained import load, save
from model.tasks import backbone
from tests.checkpoints import edit_tensors, fails
from tests.small import ARCHITECTURES, BERT, DISTILBERT, build, call, parameters, tokens

GENERATION = GenerationConfig(start=2, end=3, suppressed=(1, 4), max_new_tokens=9)


def causal(config: Any, rngs: nnx.Rngs) -> CausalLM:
    return CausalLM(config, generation=GENERATION, rngs=rngs)


def seq2seq(config: Any, rngs: nnx.Rngs) -> Seq2Seq:
    decoder = BERT.replace(num_layers=1, hidden_size=12, num_heads=3)
    return Seq2Seq(
        backbone(config, pooler=True, rngs=rngs),
        CausalLM(decoder, crosses=True, rngs=rngs),
        generation=GENERATION,
        rngs=rngs,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(build(seq2seq, DISTILBERT), tmp_path / "seq2seq")
    return tmp_path / "seq2seq"


def edit_json(file: Path, edit: Any) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_a_token_changes_nothing_before_it() -> None:
    model, ids = build(causal, BERT), tokens()
    changed = ids.copy()
    changed[:, 7] = 1 + changed[:, 7] % 40
    one, other = (call(model, each).logits for each in (ids, changed))
    assert np.array_equal(one[:, :7], other[:, :7])
    assert not np.any(np.all(one[:, 7:] == other[:, 7:], axis=-1))


def test_a_decoder_sees_the_source_without_its_padding() -> None:
    model, ids, target = build(seq2seq, DISTILBERT), tokens(), tokens(3, 5, seed=1)
    graphdef, state = nnx.split(model)
    mask = jnp.arange(12)[None] < jnp.array([[12], [7], [1]])

    @jax.jit
    def logits(state: Any, ids: Any) -> Any:
        return nnx.merge(graphdef, state)(ids, mask, decoder_input_ids=jnp.asarray(target)).logits

    padded, filled = (logits(state, jnp.where(mask, ids, fill)) for fill in (0, 5))
    np.testing.assert_allclose(padded, filled, rtol=0, atol=1e-6)
    changed = logits(state, jnp.where(mask, ids, 0).at[:, 0].set(7))
    assert not np.any(np.all(changed == padded, axis=-1))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_encoder_decoder_is_loaded_as_it_was_saved(architecture: str, tmp_path: Path) -> None:
    model = build(seq2seq, ARCHITECTURES[architecture])
    save(model, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
    }
    loaded = load(tmp_path)
    assert type(loaded) is Seq2Seq and loaded.generation == GENERATION
    assert loaded.config == model.config and loaded.decoder.config == model.decoder.config
    one, other = parameters(model), parameters(loaded)
    assert one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)


# What is refused


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("decoder"), "config.json lacks decoder"),
        (lambda c: c.update(encoder=3), "encoder is 3, and must be a table"),
        (lambda c: c["decoder"].update(model_type="distilbert"), "the decoder is a distilbert"),
        (lambda c: c["decoder"].update(is_decoder=False), "is_decoder is False"),
        (lambda c: c["decoder"].pop("add_cross_attention"), "add_cross_attention is False"),
        (lambda c: c["encoder"].update(is_decoder=True), "is_decoder is True"),
        (lambda c: c["decoder"].update(num_hidden_layers=2), "the decoder of"),
        (lambda c: c["decoder"].update(hidden_size=16, num_attention_heads=2), "decoder of"),
    ],
)
def test_settings_of_sides_that_do_not_fit(folder: Path, edit: Any, message: str) -> None:
    edit_json(folder / "config.json", edit)
    with fails(message, str(folder)):
        load(folder)


def test_tensors_that_do_not_fit(folder: Path) -> None:
    edit_tensors(folder, lambda all: all.pop("enc_to_dec_proj.bias") is None or None)
    with fails(f"{folder} does not fit Seq2Seq: enc_to_dec_proj should be there if"):
        load(folder)
    edit_tensors(
        folder, lambda all: all.update({"projector.weight": all["enc_to_dec_proj.weight"]})
    )
    with fails(f"{folder} does not fit Seq2Seq: projector.weight is unknown"):
        load(folder)


def test_what_a_checkpoint_cannot_be_loaded_as(folder: Path, tmp_path: Path) -> None:
    save(build(causal, BERT), tmp_path / "causal")
    save(build(MaskedLM, BERT), tmp_path / "bert")
    save(build(MaskedLM, DISTILBERT), tmp_path / "distilbert")
    with fails("seq2seq is an encoder with a decoder, which writes texts, and no "):
        load(folder, Bert)
    with fails("bert has no decoder, which a Seq2Seq needs"):
        load(tmp_path / "bert", Seq2Seq)
    with fails("causal reads from left to right, and a MaskedLM would read both sides"):
        load(tmp_path / "causal", MaskedLM)
    with fails("bert reads both sides of a token, and a CausalLM from left to right"):
        load(tmp_path / "bert", CausalLM)
    with fails("distilbert is a distilbert, and a decoder is a BERT"):
        load(tmp_path / "distilbert", CausalLM)
    with fails("a decoder is a BERT, of any depth, and this configuration is of a distilbert"):
        CausalLM(DISTILBERT, rngs=nnx.Rngs(0))
    edit_json(tmp_path / "causal" / "config.json", lambda c: c.update(is_decoder=False))
    with fails("is_decoder is False, and the models here know True only for a BertLMHeadModel"):
        load(tmp_path / "causal")


def test_a_source_is_passed_where_one_is_read() -> None:
    decoder = CausalLM(BERT, crosses=True, rngs=nnx.Rngs(0))
    with fails("this decoder also reads another text: pass its hidden states as source"):
        decoder(jnp.asarray(tokens()))
    source = build(seq2seq, DISTILBERT).read(jnp.asarray(tokens()))
    with fails("this model reads one text only: leave source out"):
        CausalLM(BERT, rngs=nnx.Rngs(0))(jnp.asarray(tokens()), source=source)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(eos_token_id=[3, 4]), "eos_token_id names 2 tokens, and may name one"),
        (lambda c: c.update(num_beams="four"), "num_beams is 'four', and must be an integer"),
        (lambda c: c.update(num_beams=0), "beams is 0: give a number from 1 to 1000"),
        (lambda c: c.update(length_penalty=1e9), "length_penalty is 1000000000"),
        (lambda c: c.update(suppress_tokens=[1.5]), "suppress_tokens.0 is 1.5"),
    ],
)
def test_settings_of_generation_that_make_no_sense(folder: Path, edit: Any, message: str) -> None:
    edit_json(folder / "generation_config.json", edit)
    with fails(message, "generation_config.json"):
        load(folder)


def test_settings_of_generation_in_other_forms(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = folder / "generation_config.json"
    edit_json(file, lambda c: c.update(eos_token_id=[3], max_length=30, suppress_tokens=None))
    edit_json(file, lambda c: c.pop("max_new_tokens"))
    assert load(folder).generation == GenerationConfig(start=2, end=3, max_new_tokens=29)
    assert not caplog.records
    edit_json(file, lambda c: c.update(num_beams=2, no_repeat_ngram_size=3))
    assert load(folder).generation.beams == 2
    assert "no_repeat_ngram_size, early_stopping cannot be followed here" in caplog.text
    # Older folders have it in config.json, and some nowhere.
    file.unlink()
    assert load(folder).generation is None
    edit_json(folder / "config.json", lambda c: c.update(eos_token_id=3, num_beams=1))
    assert load(folder).generation == GenerationConfig(start=2, end=3)
