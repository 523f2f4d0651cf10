"""Decoders and their checkpoints against transformers and torch, live and in both directions."""

import importlib
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model import CausalLM, Seq2Seq
from model.decoder.cache import empty_cache, next_hidden
from model.decoder.settings import GenerationConfig
from model.pretrained import load, save
from tests.parity import HIDDEN_TOLERANCE, LOGITS_TOLERANCE
from tests.small import ARCHITECTURES, BERT, build

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.model.goldens.generate import (  # noqa: E402
    CONFIGS,
    SHARED,
    random_batch,
    random_model,
    randomise,
)

pytestmark = pytest.mark.oracle

TARGET = 9
GENERATION = GenerationConfig(
    start=2, end=3, pad=1, suppressed=(4, 5), max_new_tokens=7, beams=4, length_penalty=2.0
)


def their_seq2seq(encoder: str, width: int = 24) -> Any:
    """An encoder of transformers with a decoder of three layers, all weights random."""
    configs = {"bert": transformers.BertConfig, "distilbert": transformers.DistilBertConfig}
    decoder = {"num_hidden_layers": 3, "hidden_size": width, "max_position_embeddings": 17}
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(
        configs[encoder](**SHARED | CONFIGS[encoder]),
        configs["bert"](**SHARED | CONFIGS["bert"] | decoder),
    )
    torch.manual_seed(3)
    return randomise(transformers.EncoderDecoderModel(config), 0.2)


def batches(encoder: str, vocab: int = 61) -> tuple[dict[str, Any], dict[str, Any]]:
    """A source, and a target with the names of a decoder's arguments."""
    source = random_batch("Bert" if encoder == "bert" else "DistilBert", vocab=vocab)
    target = random_batch("DistilBert", seed=4, length=TARGET, vocab=vocab)
    return source, {f"decoder_{name}": array for name, array in target.items()}


def their_output(model: Any, source: dict[str, Any], target: dict[str, Any]) -> Any:
    arrays = {name: torch.from_numpy(array) for name, array in {**source, **target}.items()}
    types = arrays.pop("token_type_ids", None)
    with torch.no_grad():
        read = {} if types is None else {"token_type_ids": types}
        encoded = model.encoder(arrays["input_ids"], arrays["attention_mask"], **read)
        return model(encoder_outputs=encoded, output_hidden_states=True, **arrays)


def our_output(model: Seq2Seq, source: dict[str, Any], target: dict[str, Any]) -> Any:
    graphdef, state = nnx.split(model)
    arrays = [jnp.asarray(array, jnp.int32) for array in source.values()]
    decoder = {name: jnp.asarray(array, jnp.int32) for name, array in target.items()}

    @jax.jit
    def run(state: Any) -> Any:
        return nnx.merge(graphdef, state)(*arrays, **decoder, outputs=("hidden_states",))

    return run(state)


def assert_same(ours: Any, theirs: Any) -> None:
    hidden = theirs.decoder_hidden_states
    assert len(ours.hidden_states) == len(hidden)
    for one, other in zip(ours.hidden_states, hidden, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=HIDDEN_TOLERANCE)
    np.testing.assert_allclose(ours.logits, theirs.logits, rtol=0, atol=LOGITS_TOLERANCE)


@pytest.mark.parametrize(("encoder", "width"), [("bert", 24), ("distilbert", 24), ("bert", 36)])
def test_their_encoder_decoders_answer_the_same_here(
    encoder: str, width: int, tmp_path: Path
) -> None:
    theirs = their_seq2seq(encoder, width)
    theirs.save_pretrained(tmp_path)
    ours = load(tmp_path)
    assert isinstance(ours, Seq2Seq) and (ours.projection is None) == (width == 24)
    assert_same(our_output(ours, *batches(encoder)), their_output(theirs, *batches(encoder)))

    # Every tensor of theirs is in what is written again, and nothing else.
    save(ours, tmp_path / "again")
    stored, again = (read_file(folder) for folder in (tmp_path, tmp_path / "again"))
    assert stored.keys() == again.keys()
    assert all(np.array_equal(stored[name], again[name]) for name in stored)


def read_file(folder: Path) -> Any:
    return importlib.import_module("safetensors.numpy").load_file(folder / "model.safetensors")


@pytest.mark.parametrize("encoder", ["bert", "distilbert"])
def test_our_encoder_decoders_answer_the_same_there(
    encoder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    ours = seq2seq(encoder)
    save(ours, tmp_path)
    transformers.utils.logging.enable_propagation()
    with caplog.at_level(logging.WARNING):
        theirs, report = transformers.EncoderDecoderModel.from_pretrained(
            tmp_path, output_loading_info=True
        )
    assert not any(report.values()), report
    assert not caplog.records and not recwarn.list
    defaults = theirs.generation_config
    assert (defaults.decoder_start_token_id, defaults.eos_token_id, defaults.pad_token_id) == (
        2,
        3,
        1,
    )
    assert (defaults.num_beams, defaults.length_penalty, defaults.early_stopping) == (4, 2.0, True)
    assert (defaults.max_new_tokens, defaults.suppress_tokens) == (7, [4, 5])
    batch = batches(encoder, vocab=BERT.vocab_size)
    assert_same(our_output(ours, *batch), their_output(theirs.eval(), *batch))
    assert load(tmp_path).generation == GENERATION


def seq2seq(encoder: str) -> Seq2Seq:
    """A model with random numbers everywhere; its decoder is narrower than its encoder."""

    def make(config: Any, rngs: nnx.Rngs) -> Seq2Seq:
        from model.tasks import backbone

        decoder = BERT.replace(num_layers=3, hidden_size=12, intermediate_size=20, num_heads=3)
        return Seq2Seq(
            backbone(config, pooler=True, rngs=rngs),
            CausalLM(decoder, crosses=True, rngs=rngs),
            generation=GENERATION,
            rngs=rngs,
        )

    return build(make, ARCHITECTURES[encoder])


def test_a_causal_model_is_read_there_without_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def make(config: Any, rngs: nnx.Rngs) -> CausalLM:
        return CausalLM(config, generation=GENERATION, rngs=rngs)

    save(build(make, BERT), tmp_path)
    transformers.utils.logging.enable_propagation()
    with caplog.at_level(logging.WARNING):
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert not caplog.records
    assert theirs.generation_config.bos_token_id == 2
    assert load(tmp_path, CausalLM).generation == GENERATION


@pytest.mark.parametrize("crosses", [False, True])
def test_step_by_step_a_cache_gives_the_same(crosses: bool, tmp_path: Path) -> None:
    theirs = their_seq2seq("distilbert") if crosses else random_model("BertLMHeadModel")
    theirs.save_pretrained(tmp_path)
    source, target = batches("distilbert")
    target["decoder_attention_mask"][:] = 1
    if crosses:
        expected = their_output(theirs, source, target).logits
    else:
        with torch.no_grad():
            expected = theirs(torch.from_numpy(target["decoder_input_ids"])).logits
    graphdef, state = nnx.split(load(tmp_path))
    tokens = jnp.asarray(target["decoder_input_ids"], jnp.int32)
    rows, length = tokens.shape

    @jax.jit
    def steps(state: Any) -> Any:
        model = nnx.merge(graphdef, state)
        decoder = model.decoder if crosses else model
        reads = [jnp.asarray(array, jnp.int32) for array in source.values()]
        read = model.read(*reads) if crosses else None
        cache = empty_cache(decoder, read, rows=rows, beams=1, length=length)
        logits = []
        for at in range(length):
            sees = jnp.broadcast_to(jnp.arange(length)[:, None] <= at, (rows, 1, length, 1))
            hidden, cache = next_hidden(decoder, cache, tokens[:, at, None], jnp.int32(at), sees)
            logits.append(decoder.predict_tokens(hidden[:, 0]))
        return jnp.stack(logits, axis=1)

    np.testing.assert_allclose(steps(state), expected, rtol=0, atol=LOGITS_TOLERANCE)
