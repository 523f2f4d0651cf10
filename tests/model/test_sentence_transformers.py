"""Folders of sentence-transformers: written and read, in both spellings, and refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bert import Bert
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.hf.weight_map import ENCODERS
from model.pretrained import load, save
from model.tasks import Embedder, MaskedLM
from tests.hub_server import hub
from tests.small import ARCHITECTURES, BERT, DISTILBERT, build, parameters

OLD, NEW = "sentence_transformers.models.", "sentence_transformers.sentence_transformer.modules."
SETTINGS = ("pooling", "normalised", "max_length", "prompts", "default_prompt")


def settings(model: Embedder) -> tuple[Any, ...]:
    return tuple(getattr(model, name) for name in SETTINGS)


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(json.dumps(content))


def modules(*types: str) -> list[dict[str, Any]]:
    names = [each.rpartition(".")[2] for each in types]
    paths = ["" if name == "Transformer" else f"{n}_{name}" for n, name in enumerate(names)]
    return [
        {"idx": n, "name": str(n), "path": path, "type": each}
        for n, (path, each) in enumerate(zip(paths, types, strict=True))
    ]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A bare encoder without a word on its pooling."""
    save(build(ENCODERS["distilbert"], DISTILBERT), tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize(
    "expected",
    [
        ("mean", True, 7, (), None),
        ("cls", False, 20, (("query", "q: "), ("passage", "p: ")), "passage"),
    ],
)
def test_what_is_written_is_read(name, expected, tmp_path, caplog):
    config = ARCHITECTURES[name]
    backbone = build(ENCODERS[config.architecture], config)
    model = Embedder(backbone, **dict(zip(SETTINGS, expected, strict=True)))
    save(model, tmp_path)
    again = load(tmp_path)  # without being told what it is
    assert isinstance(again, Embedder) and settings(again) == expected
    ours, theirs = parameters(model), parameters(again)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[place], theirs[place]) for place in ours)
    assert isinstance(load(tmp_path, ENCODERS[config.architecture]), type(backbone))
    assert not caplog.messages


def test_the_files_are_spelled_as_every_version_reads_them(tmp_path):
    save(Embedder(build(Bert, BERT), max_length=9), tmp_path)
    files = {str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file()}
    assert files == {
        "README.md",
        "config.json",
        "model.safetensors",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
    }
    listed = json.loads((tmp_path / "modules.json").read_text())
    assert [each["type"] for each in listed] == [
        f"{OLD}{name}" for name in ("Transformer", "Pooling", "Normalize")
    ]
    pooling = json.loads((tmp_path / "1_Pooling/config.json").read_text())
    assert pooling["word_embedding_dimension"] == 16
    assert [key for key in pooling if key.startswith("pooling_") and pooling[key]] == [
        "pooling_mode_mean_tokens"
    ]
    reading = json.loads((tmp_path / "sentence_bert_config.json").read_text())
    assert reading == {"max_seq_length": 9, "do_lower_case": False}


@pytest.mark.parametrize("with_pooler", [True, False])
def test_a_missing_pooler_is_not_asked_for(tmp_path, with_pooler):
    masked = build(MaskedLM, BERT).backbone
    save(Embedder(build(Bert, BERT) if with_pooler else masked), tmp_path)
    reading = json.loads((tmp_path / "sentence_bert_config.json").read_text())
    assert ("model_args" in reading) == (not with_pooler)


@pytest.mark.parametrize(
    ("types", "pooling", "expected"),
    [
        (
            (f"{OLD}Transformer", f"{OLD}Pooling", f"{OLD}Normalize"),
            {"word_embedding_dimension": 16, "pooling_mode_cls_token": True},
            ("cls", True),
        ),
        (
            (f"{OLD}Transformer", f"{OLD}Pooling"),
            {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
            ("mean", False),
        ),
        (
            (
                "sentence_transformers.base.modules.transformer.Transformer",
                f"{NEW}pooling.Pooling",
                "sentence_transformers.base.modules.normalize.Normalize",
            ),
            {"embedding_dimension": 16, "pooling_mode": "cls", "include_prompt": True},
            ("cls", True),
        ),
        ((f"{OLD}Transformer", f"{NEW}pooling.Pooling"), {"pooling_mode": ["mean"]}, None),
        ((f"{OLD}Transformer", f"{OLD}Pooling"), {"word_embedding_dimension": 16}, None),
    ],
)
def test_both_spellings_are_read(folder, types, pooling, expected, caplog):
    write(folder, "modules.json", modules(*types))
    write(folder, "1_Pooling/config.json", pooling)
    model = load(folder, Embedder)
    assert (model.pooling, model.normalised) == (expected or ("mean", False))
    assert not caplog.messages


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"sentence_bert_config.json": {"max_seq_length": 11}}, 11),
        ({"sentence_distilbert_config.json": {"max_seq_length": 11}}, 11),
        ({"sentence_bert_config.json": {"max_seq_length": None}}, None),
        # As version 6 writes it; the encoder has 20 positions.
        ({"tokenizer_config.json": {"model_max_length": 12}}, 12),
        ({"tokenizer_config.json": {"model_max_length": 512}}, 20),
        ({"tokenizer_config.json": {"model_max_length": int(1e30)}}, 20),
        (
            {
                "sentence_bert_config.json": {"max_seq_length": 7},
                "tokenizer_config.json": {"model_max_length": 12},
            },
            7,
        ),
    ],
)
def test_the_length_behind_which_texts_are_cut(folder, files, expected):
    for name, content in files.items():
        write(folder, name, content)
    assert load(folder, Embedder).max_length == expected


def test_without_a_word_on_pooling_the_mean_is_assumed_and_said(folder, caplog):
    assert settings(load(folder, Embedder)) == ("mean", True, None, (), None)
    assert caplog.messages[0] == (
        f"{folder} says nothing of how the vector of a text is made (it has no modules.json): it "
        "is the mean over the tokens and has the length 1"
    )
    write(folder, "modules.json", modules(f"{OLD}Transformer", f"{OLD}Pooling"))
    assert settings(load(folder, Embedder))[:2] == ("mean", False)
    assert "1_Pooling/config.json is missing): it is the mean" in caplog.messages[1]
    write(folder, "modules.json", modules(f"{OLD}Transformer"))
    assert settings(load(folder, Embedder))[:2] == ("mean", False)
    assert "(modules.json lists none): it is the mean" in caplog.messages[2]


def test_an_encoder_in_a_folder_of_its_own(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("old")
    shutil.copytree(folder, root / "0_Transformer")
    write(root, "0_Transformer/sentence_bert_config.json", {"max_seq_length": 6})
    listed = modules(f"{OLD}Transformer", f"{OLD}Pooling")
    listed[0]["path"] = "0_Transformer"
    write(root, "modules.json", listed)
    write(root, "1_Pooling/config.json", {"pooling_mode_cls_token": True})
    model = load(root)
    assert isinstance(model, Embedder)
    assert settings(model) == ("cls", False, 6, (), None)
    assert open_checkpoint(root).place == str(root / "0_Transformer")


def test_a_name_on_the_hub(folder, tmp_path_factory, monkeypatch):
    save(Embedder(load(folder, ENCODERS["distilbert"]), "cls", max_length=8), folder)
    files = {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    listed = modules(f"{OLD}Transformer", f"{OLD}Pooling")
    listed[0]["path"] = "0_Transformer"
    repositories = {
        ("owner/new", "main"): files,
        ("owner/old", "main"): {"modules.json": json.dumps(listed).encode()},
    }
    with hub(repositories, tmp_path_factory.mktemp("cache"), monkeypatch):
        assert settings(load("owner/new", Embedder))[:3] == ("cls", True, 8)
        with pytest.raises(InputError, match=r"model in 0_Transformer, and is on the hub: .* hf d"):
            load("owner/old")


def test_a_model_with_a_head_is_what_its_config_says(tmp_path):
    save(build(MaskedLM, BERT), tmp_path)
    write(tmp_path, "modules.json", modules(f"{OLD}Transformer", f"{OLD}Pooling"))
    assert isinstance(load(tmp_path), MaskedLM)


def test_prompts_that_are_empty_are_none(folder):
    write(folder, "modules.json", modules(f"{OLD}Transformer", f"{OLD}Pooling"))
    write(folder, "1_Pooling/config.json", {"include_prompt": False})
    prompts = {"query": "", "document": ""}
    name = "config_sentence_transformers.json"
    write(folder, name, {"prompts": prompts, "default_prompt_name": "query"})
    assert settings(load(folder, Embedder))[3:] == ((), None)


PROMPTS = {"prompts": {"query": "q: "}}
REFUSED = [
    ("modules.json", {}, "must be a list"),
    ("modules.json", [{"path": ""}], "type"),
    (
        "modules.json",
        modules(f"{OLD}Transformer", f"{OLD}Pooling", f"{OLD}Dense"),
        "lists Transformer, Pooling, Dense, and an embedder can have Transformer, Pooling, "
        "Normalize here",
    ),
    ("modules.json", modules(f"{OLD}WordEmbeddings", f"{OLD}Pooling"), "lists WordEmbeddings, P"),
    ("modules.json", modules("custom.Transformer"), "lists custom.Transformer, and"),
    ("modules.json", [{"type": f"{OLD}Transformer", "path": "../x"}], "must name a folder inside"),
    ("modules.json", [{"type": f"{OLD}Transformer", "path": ".."}], "must name a folder inside"),
    ("1_Pooling/config.json", {"pooling_mode": "max"}, "pools by max, and"),
    ("1_Pooling/config.json", {"pooling_mode": ["mean", "cls"]}, "pools by mean and cls, and"),
    ("1_Pooling/config.json", {"pooling_mode": 3}, "must be a list"),
    ("1_Pooling/config.json", {"pooling_mode_weightedmean_tokens": True}, "by weightedmean, and"),
    ("1_Pooling/config.json", {"pooling_mode_lasttoken": True}, "pools by lasttoken, and"),
    ("sentence_bert_config.json", {"max_seq_length": "many"}, "max_seq_length"),
    ("sentence_bert_config.json", {"max_seq_length": 2}, "is 2, which leaves no room for text"),
    ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "that is no embedder"),
    ("config_sentence_transformers.json", {"prompts": ["q"]}, "prompts"),
    (
        "config_sentence_transformers.json",
        {**PROMPTS, "default_prompt_name": "passage"},
        "there is no prompt 'passage', the default_prompt_name",
    ),
    ("config_sentence_transformers.json", {"model_type": "CrossEncoder"}, "of a 'CrossEncoder'"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), REFUSED)
def test_what_cannot_be_run_is_refused_with_the_file(folder, name, content, sentence):
    write(folder, "modules.json", modules(f"{OLD}Transformer", f"{OLD}Pooling"))
    write(folder, name, content)
    with pytest.raises(InputError) as error:
        load(folder, Embedder)
    assert str(folder / name) in str(error.value) and sentence in str(error.value)


def test_prompts_outside_the_pooling_are_refused(folder):
    write(folder, "modules.json", modules(f"{OLD}Transformer", f"{OLD}Pooling"))
    write(folder, "1_Pooling/config.json", {"include_prompt": False})
    write(folder, "config_sentence_transformers.json", PROMPTS)
    with pytest.raises(InputError, match="leaves the tokens of prompts out of the pooling"):
        load(folder, Embedder)


def test_two_files_that_disagree_about_lowercase(folder):
    write(folder, "sentence_bert_config.json", {"do_lower_case": True})
    write(folder, "tokenizer_config.json", {"do_lower_case": False})
    with pytest.raises(InputError, match=r"asks for lowercase .* make both say the same"):
        load(folder, Embedder)
    write(folder, "tokenizer_config.json", {"do_lower_case": True})
    load(folder, Embedder)
