"""`python -m eval.export`: the folder that it leaves, what 8 bits change, what it refuses."""

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from data.storage.atomic import write_text
from data.tokenizer import load_vocabulary
from eval.export.__main__ import ExportConfig, export_onnx
from model.errors import InputError
from model.pretrained import load, save
from model.tasks import Embedder
from tests import runs
from tests.checkpoints import fails
from tests.disk import full_disk
from tests.model.decoder.test_decoder import seq2seq
from tests.small import DISTILBERT, build

FILES = {"config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "onnx/model.onnx"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    return runs.write_teacher(tmp_path_factory.mktemp("teacher") / "model")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def scores(file: Path, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(file)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": 0 * ids}
    return np.asarray(session.run(["logits"], feed)[0])


def test_a_folder_holds_programs_tokenizer_and_settings(teacher, tmp_path, capsys):
    output = tmp_path / "exported"
    export_onnx(ExportConfig(model=str(teacher), onnx=True, int8=True, output=output))
    assert files(output) == {*FILES, "onnx/model_quantized.onnx"}
    for name in ("config.json", "tokenizer.json"):
        assert (output / name).read_text() == (teacher / name).read_text()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{output}/onnx/model.onnx: 0.0 MB, differs from the model by at ")

    whole, rounded = (output / "onnx" / f"model{end}.onnx" for end in ("", "_quantized"))
    for file in (whole, rounded):
        onnx.checker.check_model(file, full_check=True)
    ids = np.random.default_rng(0).integers(5, 30, (4, 16))
    ours, theirs = scores(whole, ids), scores(rounded, ids)
    assert 0 < np.abs(ours - theirs).max() < 0.1 * np.abs(ours).max()


def test_eight_bits_hold_dense_layers_and_the_only_table(teacher, tmp_path):
    output = tmp_path / "exported"
    export_onnx(ExportConfig(model=str(teacher), onnx=True, int8=True, output=output))
    graph = onnx.load(output / "onnx/model_quantized.onnx").graph
    kinds = {array.name: array.data_type for array in graph.initializer}
    rounded = {name.removesuffix("_quantized") for name in kinds if name.endswith("_quantized")}
    parts = ("attention.query", "attention.key", "attention.value", "attention.out")
    dense = (*parts, "feed_forward.up", "feed_forward.down")
    assert rounded == {
        *(f"backbone.encoder.layers.{n}.{part}.kernel" for n in range(2) for part in dense),
        *(f"backbone.embeddings.{table}.embedding" for table in ("word", "token_type")),
        "head.dense.kernel",
    }
    assert not rounded & {*kinds}  # none is stored in float32 beside that


def test_a_later_export_leaves_no_program_of_an_earlier_one(teacher, tmp_path):
    output = tmp_path / "exported"
    for int8 in (True, False):
        export_onnx(ExportConfig(model=str(teacher), onnx=True, int8=int8, output=output))
    assert files(output) == FILES


def test_an_embedder_keeps_its_settings_and_its_length(teacher, tmp_path):
    folder, output = tmp_path / "embedder", tmp_path / "exported"
    shutil.copytree(teacher, folder)
    model = load(teacher, Embedder)
    model.pooling, model.max_length = "cls", 12
    save(model, folder)
    export_onnx(ExportConfig(model=str(folder), onnx=True, output=output))
    assert files(output) >= {*FILES, "modules.json", "1_Pooling/config.json"}
    assert json.loads((output / "tokenizer_config.json").read_text())["model_max_length"] == 12
    assert load_vocabulary(output).pieces == load_vocabulary(folder).pieces


def test_a_model_that_writes_is_two_files(teacher, tmp_path):
    folder = tmp_path / "writer"
    vocabulary = load_vocabulary(teacher)
    save(build(seq2seq, DISTILBERT.replace(vocab_size=vocabulary.size)), folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        write_text(folder / name, (teacher / name).read_text())
    made = export_onnx(ExportConfig(model=str(folder), onnx=True, output=tmp_path / "exported"))
    assert made == {
        name: [tmp_path / "exported/onnx" / f"{name}.onnx"]
        for name in ("encoder_model", "decoder_model")
    }


def test_what_cannot_be_exported(teacher, tmp_path, monkeypatch):
    config = ExportConfig(model=str(teacher), onnx=True, output=tmp_path / "exported")
    with fails("give --onnx, the format to write"):
        export_onnx(ExportConfig(model=str(teacher)))
    with fails("--output is the folder of the model itself: name another"):
        export_onnx(ExportConfig(model=str(teacher), onnx=True, output=teacher))
    bare = tmp_path / "bare"
    shutil.copytree(teacher, bare)
    for name in ("tokenizer.json", "vocab.txt"):
        (bare / name).unlink()
    with fails("there is neither a tokenizer.json nor a vocab.txt in it"):
        export_onnx(ExportConfig(model=str(bare), onnx=True, output=tmp_path / "exported"))
    for name in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setattr(importlib, "import_module", _without(name))
            with fails(f"--onnx needs {name}, which is not installed", "-e '.[onnx]'"):
                export_onnx(config)
    assert not (tmp_path / "exported").exists()


def _without(missing: str):
    found = importlib.import_module

    def import_module(name, *arguments):
        if name == missing:
            raise ImportError(name)
        return found(name, *arguments)

    return import_module


def test_a_full_disk_leaves_nothing(teacher, tmp_path):
    output = tmp_path / "exported"
    with full_disk(5000), pytest.raises(InputError, match="cannot write"):
        export_onnx(ExportConfig(model=str(teacher), onnx=True, output=output))
    assert files(output) == set()
