"""Checkpoints as other programs and people leave them: read right, or refused as what they are."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from model import Bert, DistilBert, MaskedLM
from model.pretrained import load, save
from tests.checkpoints import edit_tensors, fails
from tests.small import BERT, DISTILBERT, build, parameters

WORD = "bert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def masked() -> Any:
    return build(MaskedLM, BERT)


@pytest.fixture
def folder(masked: Any, tmp_path: Path) -> Path:
    save(masked, tmp_path / "bert")
    return tmp_path / "bert"


def same(ours: Any, theirs: Any) -> bool:
    return all(map(np.array_equal, *(parameters(model).values() for model in (ours, theirs))))


def test_tensors_beside_the_encoder_are_left_out_and_named(folder, masked, caplog):
    more: dict[str, np.ndarray] = {
        f"fit_denses.{layer}.weight": np.zeros(3, np.float32) for layer in range(9)
    }
    more["crf.transitions"] = np.zeros((2, 2), np.float32)
    edit_tensors(folder, lambda tensors: tensors | more)
    for task in (MaskedLM, Bert):
        caplog.clear()
        assert same(load(folder, task), masked if task is MaskedLM else masked.backbone)
        [note] = caplog.messages
        assert "not used: crf.transitions, fit_denses.0.weight," in note
        assert note.endswith("fit_denses.4.weight, and 4 more")


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod.model."])
def test_what_a_wrapping_module_puts_before_every_name_is_taken_off(folder, masked, prefix):
    edit_tensors(folder, lambda tensors: {prefix + name: t for name, t in tensors.items()})
    assert same(load(folder), masked)


def test_an_encoder_that_is_a_part_of_a_module_is_found(tmp_path, caplog):
    encoder = build(DistilBert, DISTILBERT)
    save(encoder, tmp_path)
    head = {"top.weight": np.zeros(3, np.float32)}
    edit_tensors(tmp_path, lambda all: {f"encoder.{name}": t for name, t in all.items()} | head)
    assert same(load(tmp_path), encoder)
    assert caplog.messages[0].endswith("which are not used: top.weight")


def test_two_encoders_are_refused(folder):
    edit_tensors(
        folder, lambda all: {f"{part}.{n}": t for part in ("query", "text") for n, t in all.items()}
    )
    with fails("two models are in one checkpoint, ", "begin with query. and text.: save one"):
        load(folder)


def test_many_problems_are_counted(folder):
    edit_tensors(folder, lambda all: {f"bert.x{n}": t for n, t in all.items()} | {WORD: all[WORD]})
    with fails("bert.embeddings.position_embeddings.weight is missing; ", "; and ", " more"):
        load(folder)


def test_an_untied_decoder_matters_only_where_it_is_used(folder, masked):
    edit_tensors(folder, lambda all: all | {"cls.predictions.decoder.weight": all[WORD] + 1})
    assert same(load(folder, Bert), masked.backbone)
    with fails(f"cls.predictions.decoder.weight differs from {WORD}"):
        load(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite_is_named(folder, value):
    def spoil(tensors):
        tensors[WORD] = tensors[WORD].copy()
        tensors[WORD][7, 0] = value
        tensors["cls.predictions.decoder.weight"] = tensors[WORD]

    edit_tensors(folder, spoil)
    with fails(f"{WORD} has values that are not finite"):
        load(folder)


def test_a_type_that_cannot_be_read_is_named(folder):
    edit_tensors(folder, lambda all: {n: t.astype(ml_dtypes.float8_e4m3fn) for n, t in all.items()})
    with fails("model.safetensors holds numbers of the type float8_e4m3fn, and float32, float16"):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "pytorch_model.bin"])
def test_a_pointer_of_git_lfs_is_called_one(folder, name, monkeypatch):
    pytest.importorskip("torch") if name.endswith("bin") else None
    (folder / "model.safetensors").unlink()
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with fails(f"{name} is a pointer of Git LFS and not the file itself: run git lfs pull"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("adapter_config.json", "holds an adapter (LoRA and the like) and no model: merge it"),
        ("tf_model.h5", "holds weights of TensorFlow (tf_model.h5): convert them"),
        ("flax_model.msgpack", "holds weights of transformers' Flax models (flax_model.msgpack): "),
        ("bert_model.ckpt.index", "holds a checkpoint of TensorFlow 1 (bert_model.ckpt.index): "),
        ("0_Transformer/config.json", "holds its model in 0_Transformer: name "),
    ],
)
@pytest.mark.parametrize("with_config", [True, False])
def test_other_forms_of_models_are_called_what_they_are(folder, name, sentence, with_config):
    (folder / "model.safetensors").unlink()
    if not with_config:
        (folder / "config.json").unlink()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    with fails(f"{folder} {sentence}"):
        load(folder)


@pytest.mark.oracle
class TestFilesOfTorch:
    """`pytorch_model.bin`, which needs torch."""

    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    @pytest.fixture
    def state(self, torch, folder):
        path = folder / "model.safetensors"
        state = {name: torch.from_numpy(t.copy()) for name, t in load_file(path).items()}
        path.unlink()
        return state

    @pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict"])
    def test_weights_are_found_beside_other_content(self, torch, folder, state, masked, key):
        content = state if key is None else {key: state, "epoch": 3}
        torch.save(content, folder / "pytorch_model.bin")
        assert same(load(folder), masked)

    def test_a_pickled_module_is_called_one(self, torch, folder, state):
        torch.save(torch.nn.Linear(2, 2), folder / "pytorch_model.bin")
        with fails("holds a pickled torch.nn.modules.linear.Linear", "torch.save(model.state_dict"):
            load(folder)

    def test_what_is_no_tensor_is_named(self, torch, folder, state):
        torch.save({"weights": state, "epoch": 3}, folder / "pytorch_model.bin")
        with fails("holds a dict under 'weights', and should hold named tensors, or these under"):
            load(folder)
