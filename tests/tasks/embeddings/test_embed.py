"""Vectors of many texts against each text alone."""

from typing import Any

import numpy as np
import pytest

from model.errors import InputError
from model.hf.weight_map import ENCODERS
from model.tasks import Embedder
from tasks.embeddings import embed as module
from tasks.embeddings.embed import embed
from tests.small import ARCHITECTURES, build, call
from tests.spelling import speller

VOCABULARY = speller()
_, _, CLS, SEP, _ = VOCABULARY.special
SHAPES = {
    name: config.replace(vocab_size=VOCABULARY.size) for name, config in ARCHITECTURES.items()
}


def embedder(name="distilbert", **settings) -> Embedder:
    config = SHAPES[name]
    return Embedder(build(ENCODERS[config.architecture], config), **settings)


def alone(model: Embedder, text: str, length: int) -> np.ndarray:
    pieces = VOCABULARY.tokenizer.encode(text, add_special_tokens=False).ids
    row = np.array([CLS, *pieces[: length - 2], SEP])
    mask = np.arange(20) < len(row)  # always the same shape, for few programs
    return np.asarray(call(model, np.resize(row, (1, 20)), mask[None]).embedding)[0]


@pytest.mark.parametrize("name", SHAPES)
def test_texts_are_read_as_each_alone_is_in_their_order(name, monkeypatch):
    monkeypatch.setattr(module, "SORTED_TOGETHER", 12)  # several rounds
    monkeypatch.setattr(module, "BATCH_LENGTHS", (4, 8))
    monkeypatch.setattr(module, "EVALUATION_ROWS", 3)
    model = embedder(name, max_length=12)
    texts = ["abcdefghij"[:n] for n in (3, 1, 10, 0, 7, 2, 9, 2, 5)] + ["x" * 40, "", "b", "c"] * 2
    vectors = embed(model, VOCABULARY, texts)
    assert vectors.dtype == np.float32 and vectors.shape == (17, 16)
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, alone(model, text, 12), atol=1e-6)


def test_one_text_and_none():
    model = embedder()
    [vector] = embed(model, VOCABULARY, ["one"])
    np.testing.assert_allclose(vector, alone(model, "one", 20), atol=1e-6)
    assert embed(model, VOCABULARY, []).shape == (0, 16)


def test_texts_that_are_cut_are_counted(caplog):
    model = embedder(max_length=6)
    [long, _] = embed(model, VOCABULARY, ["abcdefgh", "ab"])
    np.testing.assert_allclose(long, alone(model, "abcd", 6), atol=1e-6)
    assert caplog.messages == ["texts: 1 of 2 are longer than 6 tokens: their beginning is read"]
    np.testing.assert_allclose(
        embed(model, VOCABULARY, ["abcdefgh"], max_length=20)[0],
        alone(model, "abcdefgh", 20),
        atol=1e-6,
    )


def test_a_prompt_is_put_before_each_text():
    model = embedder()
    [vector] = embed(model, VOCABULARY, ["de"], prompt="abc ")
    np.testing.assert_allclose(vector, alone(model, "abc de", 20), atol=1e-6)


def test_a_model_with_prompts_must_be_told_which():
    model = embedder(prompts=(("query", "ab: "), ("document", "")))
    with pytest.raises(InputError, match=r"before its texts: 'ab: ' \(query\); say with --prompt"):
        embed(model, VOCABULARY, ["a"])
    np.testing.assert_allclose(
        embed(model, VOCABULARY, ["a"], prompt="")[0], alone(model, "a", 20), atol=1e-6
    )


@pytest.mark.parametrize(("value", "what"), [(np.nan, "has values"), (0.0, "is 0, and cannot")])
def test_vectors_without_direction_are_refused(value, what):
    model = embedder()
    norm: Any = model.backbone.encoder.layers[-1].output_norm
    for parameter in (norm.scale, norm.bias):
        parameter[...] = parameter[...] * value
    with pytest.raises(InputError, match=f"text 1, which begins with 'a': its vector {what}"):
        embed(model, VOCABULARY, ["a", "b"])


def test_a_length_that_the_model_has_not():
    with pytest.raises(InputError, match="21 is above the 20 positions"):
        embed(embedder(), VOCABULARY, ["a"], max_length=21)
    with pytest.raises(InputError, match="windows of 2 tokens leave no room"):
        embed(embedder(), VOCABULARY, ["a"], max_length=2)
