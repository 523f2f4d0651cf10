"""Beam search on a trained model writes the tokens that transformers writes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.decoder.beams import WrittenTexts, beam_search
from model.pretrained import save
from tests.model.decoder.trained import END, GENERATION, pairs, trained

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.oracle

SOURCE, TARGET = pairs(48, seed=7)
THEIR_SOURCE = torch.from_numpy(SOURCE.astype(np.int64))
THEIR_BEAMS = {"num_beams": 4, "early_stopping": True}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("trained")
    save(trained(), folder)
    return transformers.EncoderDecoderModel.from_pretrained(folder).eval()


def ours(**changes: Any) -> WrittenTexts:
    graphdef, state = nnx.split(trained())

    @jax.jit
    def run(state: Any, source: Any) -> WrittenTexts:
        model = nnx.merge(graphdef, state)
        read = model.read(source, source > 0)
        return beam_search(model.decoder, read, replace(GENERATION, **changes), rows=len(SOURCE))

    return jax.tree.map(np.asarray, run(state, jnp.asarray(SOURCE)))


def until_end(tokens: Any) -> list[int]:
    """Behind the end the two fill up with different tokens."""
    ids = [int(token) for token in tokens]
    return ids[: ids.index(END) + 1] if END in ids else ids


@pytest.mark.parametrize(("beams", "penalty"), [(1, 1.0), (4, 0.5), (4, 1.0), (4, 2.0)])
def test_tokens_are_theirs(theirs: Any, beams: int, penalty: float) -> None:
    found = ours(beams=beams, length_penalty=penalty)
    search = THEIR_BEAMS | {"length_penalty": penalty} if beams > 1 else {}
    mask = (THEIR_SOURCE > 0).long()
    expected = theirs.generate(THEIR_SOURCE, attention_mask=mask, **search)
    texts = [until_end(row[0]) for row in found.tokens]
    assert texts == [until_end(row[1:]) for row in expected]
    # The model is right often, and not always.
    right = np.mean([text == until_end(row) for text, row in zip(texts, TARGET, strict=True)])
    assert 0.2 < right < 0.95
    assert len({len(text) for text in texts}) > 3


def test_an_exported_folder_generates_the_same_by_its_own_settings(tmp_path: Path) -> None:
    exported = nnx.merge(*nnx.split(trained()))
    exported.generation = replace(GENERATION, beams=4, length_penalty=2.0)
    save(exported, tmp_path)
    theirs = transformers.EncoderDecoderModel.from_pretrained(tmp_path).eval()
    expected = theirs.generate(
        THEIR_SOURCE,
        attention_mask=(THEIR_SOURCE > 0).long(),
        return_dict_in_generate=True,
        output_scores=True,
    )
    found = ours(beams=4, length_penalty=2.0)
    texts = [until_end(row[0]) for row in found.tokens]
    assert texts == [until_end(row[1:]) for row in expected.sequences]
    np.testing.assert_allclose(found.scores[:, 0], expected.sequences_scores, rtol=0, atol=1e-5)
