"""Checkpoints written and read: every layout there is, and every way in which one can be broken."""

import builtins
import errno
import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from model import (
    Bert,
    DistilBert,
    EncoderConfig,
    MaskedLM,
    MultipleChoice,
    NextSentence,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
    bert_base,
    distilbert_base,
)
from model.config import ProblemType
from model.hf.checkpoint import open_checkpoint
from model.hf.config import write_config
from model.hf.weight_map import MODEL_CLASSES
from model.pretrained import load, save
from tests.checkpoints import edit_tensors, fails
from tests.disk import full_disk
from tests.hub_server import hub
from tests.small import ARCHITECTURES, BERT, DISTILBERT, build, call, parameters, tokens

KINDS = [(name, task) for name, tasks in MODEL_CLASSES.items() for task, _ in tasks.values()]


@pytest.fixture(scope="module")
def pretraining() -> Any:
    return build(PreTraining, BERT)


@pytest.fixture
def folder(pretraining: Any, tmp_path: Path) -> Path:
    """A BERT with both heads of its pretraining."""
    save(pretraining, tmp_path / "bert")
    return tmp_path / "bert"


@pytest.fixture
def student(tmp_path: Path) -> Path:
    save(build(MaskedLM, DISTILBERT), tmp_path / "distilbert")
    return tmp_path / "distilbert"


def edit_config(folder: Path, **changes: Any) -> None:
    """Changes keys of config.json; the value ... takes a key away."""
    config = json.loads((folder / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))


def assert_equal(ours: nnx.Module, theirs: nnx.Module) -> None:
    one, other = parameters(ours), parameters(theirs)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


# There and back


@pytest.mark.parametrize(("architecture", "task"), KINDS)
def test_what_is_saved_is_loaded(architecture: str, task: type[Any], tmp_path: Path) -> None:
    model = build(task, ARCHITECTURES[architecture])
    save(model, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert type(loaded) is task
    assert loaded.config == model.config
    assert_equal(loaded, model)
    assert {file.name for file in (tmp_path / "model").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
    }


def test_files_are_those_of_transformers(folder: Path) -> None:
    with safe_open(folder / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}
        names = set(file.keys())
    # The decoder is tied to the embeddings and to the bias of its head: it is not stored.
    assert {"cls.predictions.bias", "bert.embeddings.word_embeddings.weight"} <= names
    assert not {name for name in names if "decoder" in name}
    assert json.loads((folder / "config.json").read_text()) == {
        "architectures": ["BertForPreTraining"],
        "model_type": "bert",
        "vocab_size": 50,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 20,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "classifier_dropout": 0.1,
        "initializer_range": 0.3,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def test_float16_halves_the_file_and_loads_as_float32(folder: Path, tmp_path: Path) -> None:
    model = load(folder)
    save(model, tmp_path / "half", dtype="float16")
    loaded = load(tmp_path / "half")
    for name, value in parameters(loaded).items():
        assert value.dtype == jnp.float32
        assert np.array_equal(value, np.float32(np.float16(parameters(model)[name])))
    sizes = [(f / "model.safetensors").stat().st_size for f in (tmp_path / "half", folder)]
    assert sizes[0] < 0.7 * sizes[1]
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "float16"


def test_bfloat16_checkpoints_load_as_float32(folder: Path) -> None:
    edit_tensors(folder, lambda all: {name: t.astype(jnp.bfloat16) for name, t in all.items()})
    assert {value.dtype for value in parameters(load(folder)).values()} == {jnp.dtype("float32")}


def test_the_configuration_can_be_changed(folder: Path) -> None:
    assert load(folder, dtype="bfloat16", hidden_dropout=0.0).config == BERT.replace(
        dtype="bfloat16", hidden_dropout=0.0
    )


# Layouts


def test_old_names_of_layer_norm(folder: Path, pretraining: Any) -> None:
    def rename(name: str) -> str:
        return re.sub("LayerNorm.weight$", "LayerNorm.gamma", name).replace(
            "LayerNorm.bias", "LayerNorm.beta"
        )

    edit_tensors(folder, lambda tensors: {rename(name): t for name, t in tensors.items()})
    assert any("gamma" in name for name in load_file(folder / "model.safetensors"))
    assert_equal(load(folder), pretraining)


def test_tied_tensors_may_be_there_or_be_all_there_is(folder: Path, pretraining: Any) -> None:
    word = "bert.embeddings.word_embeddings.weight"

    def add(tensors: dict[str, np.ndarray]) -> None:
        tensors["cls.predictions.decoder.weight"] = tensors[word]
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]

    edit_tensors(folder, add)
    assert_equal(load(folder), pretraining)
    edit_tensors(folder, lambda tensors: tensors.pop(word) is None or None)
    assert_equal(load(folder), pretraining)


def test_an_untied_decoder_is_an_error(student: Path) -> None:
    def untie(tensors: dict[str, np.ndarray]) -> None:
        tensors["vocab_projector.weight"] = tensors["distilbert.embeddings.word_embeddings.weight"]
        tensors["vocab_projector.weight"] = tensors["vocab_projector.weight"] + 1

    edit_tensors(student, untie)
    with fails("vocab_projector.weight differs from distilbert.embeddings.word_embeddings.weight"):
        load(student)


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_an_encoder_with_and_without_prefix_and_with_stray_buffers(
    prefix: str, tmp_path: Path
) -> None:
    model = build(Bert, BERT)
    save(model, tmp_path)

    def edit(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert not any(name.startswith("bert.") for name in tensors)
        tensors["embeddings.position_ids"] = np.arange(20)[None]
        tensors["embeddings.token_type_ids"] = np.zeros((1, 20), np.int64)
        return {prefix + name: tensor for name, tensor in tensors.items()}

    edit_tensors(tmp_path, edit)
    assert_equal(load(tmp_path), model)


def test_a_pooler_is_made_if_the_checkpoint_has_one(folder: Path) -> None:
    assert load(folder, Bert).pooler is not None
    edit_tensors(folder, lambda all: {n: t for n, t in all.items() if "pooler" not in n})
    assert load(folder, Bert).pooler is None


def test_heads_that_the_task_does_not_have_are_left_out(folder: Path, pretraining: Any) -> None:
    assert_equal(load(folder, Bert), pretraining.backbone)
    masked, sentence = load(folder, MaskedLM), load(folder, NextSentence)
    assert_equal(masked.head, pretraining.head)
    assert_equal(sentence.next_sentence, pretraining.next_sentence)
    ids = tokens()
    assert np.array_equal(call(masked, ids).logits, call(pretraining, ids).logits)


def test_shards(folder: Path, pretraining: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {
        name: f"model-0000{1 + index % 2}-of-00002.safetensors"
        for index, name in enumerate(tensors)
    }
    for shard in set(where.values()):
        save_file({name: t for name, t in tensors.items() if where[name] == shard}, folder / shard)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    assert_equal(load(folder), pretraining)

    (folder / "model-00002-of-00002.safetensors").unlink()
    with fails("model-00002-of-00002.safetensors, which model.safetensors.index.json lists, is"):
        load(folder)
    for content in ("{}", '{"weight_map": []}', '{"weight_map": {}}'):
        index.write_text(content)
        with fails("model.safetensors.index.json is not an index"):
            load(folder)
    index.write_text("[" * 200_000)
    with fails("index.json cannot be read as JSON: it is nested too deeply"):
        load(folder)


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "sub/model", "..", ".", "", "a\0b", "a\nb", 5, None, ["x"]],
)
def test_an_index_lists_only_files_beside_it(folder: Path, name: Any) -> None:
    weights = folder / "model.safetensors"
    weights.rename(folder.parent / "secret")
    weights.with_name("model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": name}})
    )
    with fails("weight_map puts a into", "and must name a file of the same folder"):
        load(folder)


def test_weights_of_torch_need_torch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    imports = builtins.__import__

    def without_torch(name: str, *args: Any) -> Any:
        if name == "torch":
            raise ImportError(name)
        return imports(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with fails("pytorch_model.bin needs torch", "pip install -e '.[oracle]'", "convert"):
        load(folder)


# Heads that are missing


def test_a_missing_head_is_drawn_only_when_asked_for(
    folder: Path, pretraining: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with fails(
        f"{folder} (BertForPreTraining) has no head of a SequenceClassification: it lacks ",
        "classifier.weight",
        "classifier.bias",
        "; name a model with that head",
    ):
        load(folder, SequenceClassification)
    with caplog.at_level(logging.WARNING):
        model = load(
            folder, SequenceClassification, labels=("a", "b", "c"), init_missing=nnx.Rngs(5)
        )
    assert "lacks classifier.bias, classifier.weight: drawn at random" in caplog.text
    assert_equal(model.backbone, pretraining.backbone)
    fresh = SequenceClassification(model.config, rngs=nnx.Rngs(5))
    assert_equal(model.classifier, fresh.classifier)
    assert model.config.labels == ("a", "b", "c")


def test_a_head_for_other_labels_is_drawn_only_when_asked_for(tmp_path: Path) -> None:
    save(build(SequenceClassification, DISTILBERT.replace(labels=("a", "b", "c"))), tmp_path)
    with fails("classifier.weight has shape (3, 16) and not (2, 16)"):
        load(tmp_path, labels=("no", "yes"))
    model = load(tmp_path, labels=("no", "yes"), init_missing=nnx.Rngs(0))
    assert model.config.num_labels == model.classifier.dense.bias.shape[0] == 2


def test_asked_for_or_not_nothing_is_drawn_if_nothing_is_missing(
    folder: Path, pretraining: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert_equal(load(folder, init_missing=nnx.Rngs(0)), pretraining)
    assert not caplog.records


def test_the_encoder_is_never_drawn(folder: Path) -> None:
    edit_tensors(folder, lambda all: all.pop("bert.embeddings.LayerNorm.bias") is None or None)
    with fails("bert.embeddings.LayerNorm.bias is missing"):
        load(folder, init_missing=nnx.Rngs(0))


# Broken checkpoints


def test_all_that_is_wrong_is_in_one_message(folder: Path) -> None:
    def edit(tensors: dict[str, np.ndarray]) -> None:
        del tensors["bert.encoder.layer.1.output.dense.bias"]
        tensors["bert.encoder.layer.2.output.dense.bias"] = np.zeros(16, np.float32)
        tensors["bert.rotary.frequencies"] = np.zeros(3, np.float32)
        tensors["bert.encoder.layer.0.intermediate.dense.weight"] = np.zeros((16, 24), np.float32)
        tensors["embeddings.LayerNorm.bias"] = np.zeros(16, np.float32)
        tensors["bert.pooler.dense.bias"] = np.zeros(16, np.int8)

    edit_tensors(folder, edit)
    with fails(
        "bert.encoder.layer.1.output.dense.bias is missing",
        "bert.encoder.layer.2.output.dense.bias is unknown",
        "bert.rotary.frequencies is unknown",
        "bert.encoder.layer.0.intermediate.dense.weight has shape (16, 24) and not (24, 16)",
        "bert.embeddings.LayerNorm.bias is there twice, once as",
        "bert.pooler.dense.bias holds int8 and not floating-point numbers",
    ):
        load(folder)


@pytest.mark.parametrize("keep", [0, 5, 1000, -1])
def test_a_truncated_file(folder: Path, keep: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with fails(f"{weights} is cut short or damaged"):
        load(folder)


def test_a_folder_without_a_model(folder: Path) -> None:
    with fails(f"{folder.parent} holds no model: that takes config.json and model.safetensors"):
        load(folder.parent)
    (folder / "config.json").unlink()
    with fails(f"{folder} holds no model"):
        load(str(folder))
    with fails("model.safetensors is a file: name the folder"):
        load(folder / "model.safetensors")
    with fails(f"{folder}/x: there is no such folder here"):
        load(folder / "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "config.json cannot be read as JSON"),
        (b"\xff\xfe", "config.json cannot be read as JSON"),
        (b"[]", "config.json holds no JSON object"),
        (b"[" * 200_000, "config.json cannot be read as JSON: it is nested too deeply"),
        (b"{}", "lacks vocab_size, hidden_size, num_hidden_layers, num_attention_heads, inter"),
    ],
)
def test_a_broken_configuration(folder: Path, content: bytes, message: str) -> None:
    (folder / "config.json").write_bytes(content)
    with fails(message):
        load(folder)


def test_the_folder_of_a_run_in_place_of_its_model(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder, run / "model")
    (run / "config.json").write_text('{"kind": "distill", "model": {"hidden_size": 16}}')
    with fails(f"{run} is the folder of a run: name {run / 'model'}"):
        load(run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "is of a roberta model, and only bert and distilbert can be"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', and the models here know 'gelu' only"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"add_cross_attention": True}, "add_cross_attention is True"),
        ({"hidden_size": "16"}, "config.json: hidden_size is '16', and must be an integer"),
        ({"hidden_size": 16.0}, "config.json: hidden_size is 16.0, and must be an integer"),
        ({"hidden_size": True}, "config.json: hidden_size is True, and must be an integer"),
        ({"hidden_size": [16]}, "config.json: hidden_size is [16], and must be an integer"),
        ({"hidden_size": 0}, "config.json: hidden_size is 0, and must be from 1 to"),
        ({"hidden_size": -16}, "config.json: hidden_size is -16, and must be from 1 to"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers is 1000000, and must be from 1 to"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, and must be from 1 to"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0, and must be from 1 to"),
        ({"vocab_size": 10**4000}, "vocab_size is 1000"),
        ({"vocab_size": {}}, "vocab_size is {}, and must be an integer"),
        ({"intermediate_size": 1 << 62}, "intermediate_size is 4611"),
        ({"max_position_embeddings": -1}, "max_position_embeddings is -1, and must be from 1 to"),
        ({"type_vocab_size": -1}, "type_vocab_size is -1, and must be from 0 to"),
        ({"pad_token_id": "x"}, "pad_token_id is 'x', and must be an integer"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob is 1.5, and must be from 0 to"),
        ({"hidden_dropout_prob": "0.1"}, "hidden_dropout_prob is '0.1', and must be a number"),
        ({"attention_probs_dropout_prob": float("nan")}, "attention_probs_dropout_prob is nan"),
        ({"layer_norm_eps": 0}, "layer_norm_eps is 0.0, and must be"),
        ({"layer_norm_eps": float("inf")}, "layer_norm_eps is inf, and must be"),
        ({"layer_norm_eps": 10**400}, "layer_norm_eps is 1000"),
        ({"initializer_range": -0.02}, "initializer_range is -0.02, and must be"),
        ({"model_type": ["bert"]}, "model_type is ['bert'], and must be text in quotes"),
        ({"model_type": 5}, "model_type is 5, and must be text in quotes"),
        ({"architectures": "BertModel"}, "architectures is 'BertModel', and must be a list"),
        ({"architectures": [5]}, "architectures.0 is 5, and must be text in quotes"),
        ({"problem_type": {}}, "problem_type is {}, and must be 'single_label_classification' or "),
        (
            {"problem_type": "ranking"},
            "config.json: problem_type is 'ranking', and must be 'single_",
        ),
        (
            {"problem_type": "single_label_classification", "num_labels": 1},
            "config.json: problem_type is 'single_label_classification', and there is one class",
        ),
        ({"num_labels": 10**9}, "num_labels is 1000000000, and must be from 1 to"),
        ({"num_labels": "2"}, "num_labels is '2', and must be an integer"),
        ({"id2label": ["a"]}, "id2label is ['a'], and must be a table of values by name"),
        ({"id2label": {"0": []}}, "id2label.0 is [], and must be text in quotes or an integer"),
        ({"num_attention_heads": 3}, "num_heads 3 does not divide hidden_size 16"),
        ({"num_hidden_layers": 1}, "bert.encoder.layer.1.attention.self.key.bias is unknown"),
        ({"id2label": {"0": "a", "1": "a"}}, "config.json: two classes are called 'a'"),
        ({"id2label": {"1": "a"}}, 'id2label should name the classes "0", "1", "2" and so on'),
        ({"architectures": ["BertGenerationDecoder"]}, "names BertGenerationDecoder under arch"),
        ({"architectures": None}, "names no class under architectures"),
    ],
)
def test_a_configuration_of_something_else(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit_config(folder, **changes)
    with fails(message, str(folder)):
        load(folder)


def test_a_checkpoint_of_the_other_architecture(folder: Path, student: Path) -> None:
    with fails(f"{folder} is a bert, which has no DistilBert model"):
        load(folder, DistilBert)
    with fails(f"{student} is a distilbert, which has no NextSentence model"):
        load(student, NextSentence)
    (student / "config.json").write_bytes((folder / "config.json").read_bytes())
    with fails(
        "bert.encoder.layer.0.attention.self.key.bias is missing",
        "distilbert.transformer.layer.0.attention.k_lin.bias is unknown",
    ):
        load(student)


# Configurations


def test_configurations_on_the_hub(tmp_path: Path) -> None:
    path = tmp_path / "config.json"

    def opened() -> tuple[EncoderConfig, tuple[str, ...]]:
        checkpoint = open_checkpoint(tmp_path)
        return checkpoint.config, checkpoint.classes

    path.write_text("""{
        "architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": false, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "hidden_size": 768, "initializer_range": 0.02, "intermediate_size": 3072,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert",
        "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 0,
        "position_embedding_type": "absolute", "transformers_version": "4.6.0.dev0",
        "type_vocab_size": 2, "use_cache": true, "vocab_size": 30522}""")
    assert opened() == (bert_base(), ("BertForMaskedLM",))
    path.write_text("""{
        "activation": "gelu", "architectures": ["DistilBertForMaskedLM"], "attention_dropout": 0.1,
        "dim": 768, "dropout": 0.1, "hidden_dim": 3072, "initializer_range": 0.02,
        "max_position_embeddings": 512, "model_type": "distilbert", "n_heads": 12, "n_layers": 6,
        "pad_token_id": 0, "qa_dropout": 0.1, "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": true, "tie_weights_": true, "vocab_size": 30522}""")
    assert opened() == (distilbert_base(), ("DistilBertForMaskedLM",))
    # Google's small BERTs say neither what they are nor what they have a head for.
    path.write_text("""{
        "hidden_size": 128, "hidden_act": "gelu", "initializer_range": 0.02, "vocab_size": 30522,
        "hidden_dropout_prob": 0.1, "num_attention_heads": 2, "type_vocab_size": 2,
        "max_position_embeddings": 512, "num_hidden_layers": 2, "intermediate_size": 512,
        "attention_probs_dropout_prob": 0.1}""")
    small = bert_base().replace(hidden_size=128, num_heads=2, num_layers=2, intermediate_size=512)
    assert opened() == (small, ())


def test_an_absent_classifier_dropout_is_that_of_the_encoder(folder: Path) -> None:
    for absent in (None, ...):
        edit_config(folder, hidden_dropout_prob=0.3, classifier_dropout=absent)
        assert open_checkpoint(folder).config.classifier_dropout == 0.3


@pytest.mark.parametrize("shape", [BERT, DISTILBERT])
@pytest.mark.parametrize("problem_type", [None, *get_args(ProblemType)])
def test_what_a_head_on_texts_learns_is_written_and_read(
    tmp_path: Path, shape: EncoderConfig, problem_type: Any
) -> None:
    config = shape.replace(labels=("a", "b"), problem_type=problem_type)
    save(build(SequenceClassification, config), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()).get("problem_type") == problem_type
    assert load(tmp_path).config == config
    assert config.problem == (problem_type or "single_label_classification")


def test_null_is_an_absent_key(folder: Path) -> None:
    before = open_checkpoint(folder).config
    keys = ("hidden_act", "is_decoder", "position_embedding_type", "model_type", "id2label")
    keys += ("num_labels", "problem_type", "layer_norm_eps", "type_vocab_size")
    for key in keys:
        edit_config(folder, **{key: None})
    assert open_checkpoint(folder).config == before
    assert type(load(folder)) is PreTraining


def test_labels(folder: Path) -> None:
    def labels(**changes: Any) -> tuple[str, ...]:
        edit_config(folder, **changes)
        return open_checkpoint(folder).config.labels

    assert labels() == ("LABEL_0", "LABEL_1")
    assert labels(num_labels=1) == ("LABEL_0",)
    # In the order of the numbers, not of the strings or of the file.
    names = {str(index): f"name {index}" for index in reversed(range(11))}
    assert labels(id2label=names) == tuple(f"name {index}" for index in range(11))


def test_what_a_task_writes_about_labels() -> None:
    config = DISTILBERT.replace(labels=("neutral", "positive"))
    raw = write_config(config, SequenceClassification, "float32")
    assert raw["id2label"] == {"0": "neutral", "1": "positive"}
    assert raw["label2id"] == {"neutral": 0, "positive": 1}
    assert "problem_type" not in raw
    one = write_config(DISTILBERT.replace(labels=("score",)), SequenceClassification, "float32")
    assert one["problem_type"] == "regression"
    several = config.replace(problem_type="multi_label_classification")
    for task in (MaskedLM, QuestionAnswering, MultipleChoice, TokenClassification):
        assert "problem_type" not in write_config(several, task, "float32")
    for task in (MaskedLM, QuestionAnswering, MultipleChoice):
        assert "id2label" not in write_config(config, task, "float32")
    assert "id2label" in write_config(config, TokenClassification, "float32")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DISTILBERT.replace(layer_norm_eps=1e-5), "LayerNorm epsilon of 1e-12, always"),
        (DISTILBERT.replace(type_vocab_size=2), "distilbert models have no embeddings.token_type"),
        (BERT.replace(labels=("a", "b\ud800")), "the label 'b\\ud800' holds half of a surrogate"),
        (BERT.replace(type_vocab_size=0), "transformers' BERT has token types; this one has none"),
    ],
)
def test_a_model_that_transformers_does_not_have(
    config: EncoderConfig, message: str, tmp_path: Path
) -> None:
    with fails(message):
        save(build(MaskedLM, config), tmp_path / "model")
    assert not list(tmp_path.iterdir())


# Writing


@pytest.mark.parametrize("limit", [100, 5000])
def test_a_full_disk_leaves_nothing(pretraining: Any, tmp_path: Path, limit: int) -> None:
    target = tmp_path / "new"
    with fails(f"the model could not be written to {target}: "), full_disk(limit):
        save(pretraining, target)
    assert not target.exists()


def test_a_full_disk_leaves_the_old_model(
    folder: Path, pretraining: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "vocab.txt").write_text("[PAD]\n")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    other = build(PreTraining, BERT, seed=1)
    with fails(f"{folder}: "), full_disk(5000):
        save(other, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, fails("No space left on device"):
        patch.setattr(os, "fsync", no_space)
        save(other, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before

    # With space the model is replaced, and nothing else.
    save(other, folder)
    assert_equal(load(folder), other)
    assert {file.name for file in folder.iterdir()} == before.keys()


def test_an_interrupted_save_leaves_nothing(
    pretraining: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(pretraining, tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_is_an_error(pretraining: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for target in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with fails(f"the model could not be written to {target}: "):
            save(pretraining, target)
    assert (tmp_path / "taken").read_text() == "mine"


def test_parameters_on_the_host_are_saved_too(folder: Path, pretraining: Any) -> None:
    # A training loop hands over what it fetched from the devices.
    graphdef, state = nnx.split(pretraining)
    save(nnx.merge(graphdef, jax.device_get(state)), folder)
    assert_equal(load(folder), pretraining)


# The hub


def test_no_network(tmp_path: Path) -> None:
    with fails("owner/name: there is no such folder here, and the hub cannot be reached"):
        load("owner/name")
    with fails("runs/my/model: there is no such folder here, and no such model (owner/name) on"):
        load("runs/my/model")


def test_a_name_on_the_hub(
    folder: Path, pretraining: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    no_weights = {"config.json": files["config.json"], "tf_model.h5": b""}
    bin_too = files | {"pytorch_model.bin": b"not read", "model.fp16.safetensors": b"not read"}
    repositories = {
        ("owner/name", "main"): bin_too,
        ("owner/name", "v1"): files | {"config.json": b"{"},
        ("owner/other", "main"): no_weights,
    }
    with hub(repositories, tmp_path / "cache", monkeypatch):
        assert_equal(load("owner/name"), pretraining)
        fetched = {file.name for file in (tmp_path / "cache").glob("**/snapshots/*/*")}
        assert fetched == {"config.json", "model.safetensors"}
        with fails("config.json cannot be read as JSON"):
            load("owner/name@v1")
        with fails("owner/other holds no model"):
            load("owner/other")
        with fails("owner/absent: there is no such folder here, and no such model (owner/name)"):
            load("owner/absent")
        with fails("owner/name@v9: there is no such folder here, and no such model"):
            load("owner/name@v9")
    # Now it is in the cache, and the network may go.
    assert_equal(load("owner/name"), pretraining)
