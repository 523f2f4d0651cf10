"""transformers.js reads an exported folder in Node.js, and gives the same labels and vectors."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.tokenizer import load_vocabulary, save_vocabulary
from data.wordpiece import train_wordpiece
from eval.export.__main__ import ExportConfig, export_onnx
from eval.predict import open_model, predict
from model.pretrained import load, save
from model.tasks import Embedder, SequenceClassification, backbone
from tasks.embeddings.embed import embed
from tests import runs
from tests.small import build

LIBRARY = Path(__file__).parents[3] / ".node"
TEXTS = ["the red cat sees a tree", "Dogs, birds", "old"]
INSTALLED = (LIBRARY / "node_modules/@huggingface/transformers").is_dir()
pytestmark = pytest.mark.skipif(
    not INSTALLED or shutil.which("node") is None,
    reason=f"transformers.js is not installed in {LIBRARY} (make test-all does that), or no node",
)


@pytest.fixture
def model(tmp_path) -> Path:
    """A tokenizer, for a model that a test puts there."""
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
    save_vocabulary(vocabulary, tmp_path / "model", runs.MODEL.max_positions)
    return tmp_path / "model"


def write(folder: Path, head: Any, **changes: Any) -> None:
    size = load_vocabulary(folder).size
    config = runs.MODEL.replace(vocab_size=size, initializer_range=0.6, **changes)
    save(build(head, config), folder)


def ask(model: Path, task: str, dtype: str, **options: Any) -> list[Any]:
    """The answers of transformers.js to all texts, one at a time."""
    exported = model.parent / "exported"
    if not exported.exists():
        export_onnx(ExportConfig(model=str(model), onnx=True, int8=True, output=exported))
    request = {"library": str(LIBRARY), "model": str(exported), "task": task, "dtype": dtype}
    file = model.parent / "request.json"
    file.write_text(json.dumps({**request, "texts": TEXTS, "options": options}))
    script = Path(__file__).with_name("ask.mjs")
    done = subprocess.run(["node", script, file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.long
@pytest.mark.parametrize("architecture", ["bert", "distilbert"])
def test_labels_and_their_probabilities(architecture, model):
    config = runs.MODEL if architecture == "bert" else runs.MODEL.distilled(2)
    changes = {"architecture": architecture, "type_vocab_size": config.type_vocab_size}
    write(model, SequenceClassification, labels=("no", "yes", "perhaps"), **changes)
    expected = predict(*open_model(str(model)), TEXTS)
    found = ask(model, "text-classification", "fp32", top_k=3)
    for answer, ours in zip(found, expected, strict=True):
        shares = {each["label"]: each["score"] for each in answer}
        assert shares == pytest.approx(ours["probabilities"], abs=1e-4)
    for answer in ask(model, "text-classification", "q8", top_k=3):
        assert sum(each["score"] for each in answer) == pytest.approx(1, abs=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors(pooling, model):
    write(model, lambda config, rngs: Embedder(backbone(config, rngs=rngs), pooling))
    expected = embed(load(model, Embedder), load_vocabulary(model), TEXTS)
    found = ask(model, "feature-extraction", "fp32", pooling=pooling, normalize=True)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=1e-4)
