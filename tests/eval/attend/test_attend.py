"""Attention maps of a text, as arrays, as a picture and as a page."""

import base64
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax import nnx
from matplotlib.image import imread

from data.tokenizer import load_vocabulary, save_vocabulary
from data.wordpiece import train_wordpiece
from eval.attend.__main__ import AttendConfig, show_attention
from eval.attend.maps import AttentionMaps
from eval.attend.page import attention_page
from eval.attend.ramp import colours
from model import CausalLM, MaskedLM, SequenceClassification
from model.errors import InputError
from model.pretrained import load, save
from tests import runs
from tests.model.decoder.test_decoder import seq2seq
from tests.small import DISTILBERT, build

TEXT = "the old cat sees a tree"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of several kinds with one vocabulary, and one with another."""
    folder = tmp_path_factory.mktemp("home")
    runs.write_teacher(folder / "teacher")
    vocabulary = load_vocabulary(folder / "teacher")
    config = load(folder / "teacher", MaskedLM).config
    for name, model in {
        "student": SequenceClassification(config.distilled(num_layers=1), rngs=nnx.Rngs(5)),
        "decoder": CausalLM(config, rngs=nnx.Rngs(6)),
    }.items():
        save(model, folder / name)
        save_vocabulary(vocabulary, folder / name)
    runs.write_teacher(folder / "other", words=[*runs.WORDS, "zebra"])
    save(build(seq2seq, DISTILBERT), folder / "translator")
    save_vocabulary(train_wordpiece(["the cat"], 40), folder / "translator")
    return folder


def settings(home: Path, model: str = "student", **changes: Any) -> AttendConfig:
    config = AttendConfig(model=str(home / model), text=TEXT, output=home / "attention")
    return replace(config, **changes)


def test_a_student_beside_its_teacher(home: Path) -> None:
    student, teacher = show_attention(settings(home, teacher=str(home / "teacher")))
    assert student.tokens == teacher.tokens
    assert student.tokens[:3] == ("[CLS]", "the", "old") and student.tokens[-1] == "[SEP]"
    length = len(student.tokens)
    assert student.maps.shape == (1, 2, length, length)
    assert teacher.maps.shape == (2, 2, length, length)
    np.testing.assert_allclose(teacher.maps.sum(axis=-1), 1, atol=1e-5)
    assert imread(home / "attention/attention.png").ndim == 3
    written = (home / "attention/attention.html").read_text()
    assert written.count("<img") == (1 + 2) * 2
    # Nothing is fetched from anywhere.
    assert not re.findall(r"https?:|<link|@import|src=\"(?!data:)", written)


def test_the_page_gives_the_probabilities_back(home: Path) -> None:
    [model] = show_attention(settings(home, "teacher"))
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', attention_page(TEXT, [model]))
    for source, expected in zip(sources, np.concatenate(model.maps), strict=True):
        red = 255 * imread(io.BytesIO(base64.b64decode(source)))[..., 0]
        level = np.sqrt(expected)
        np.testing.assert_allclose((255 - red) / 255, level, atol=0.501 / 255)


def test_what_tokens_hold_is_text_to_the_page() -> None:
    tokens = ("[CLS]", "</span><script>alert(1)</script>", '"&', "[SEP]")
    model = AttentionMaps("<b>", tokens, np.full((1, 1, 4, 4), 0.25, np.float32))
    written = attention_page("<i> $x$", [model])
    assert "<script>alert" not in written and "<b>" not in written and "<i>" not in written
    assert "&lt;script&gt;" in written


def test_the_ends_of_the_scale() -> None:
    found = colours(np.array([[0.0, 1.0]], np.float32))
    assert found.tolist() == [[[255, 255, 255], [0, 60, 120]]]


def test_a_decoder_looks_back_only(home: Path) -> None:
    [model] = show_attention(settings(home, "decoder"))
    assert np.all(np.triu(model.maps, 1) == 0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": "  "}, "TEXT is empty"),
        ({"text": "cat " * 15}, r"TEXT has 17 tokens, and \S+teacher reads up to 16: give a short"),
        ({"teacher": "other"}, "teacher and student need the same vocabulary, but token"),
        ({"model": "bare"}, "there is neither a tokenizer.json nor a vocab.txt in it"),
        ({"model": "translator"}, "is an encoder with a decoder"),
        ({"model": "nowhere"}, "there is no such folder here"),
        ({"output": "student/config.json"}, "is a file: give the name of a folder"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(home: Path, changes, sentence) -> None:
    shutil.copytree(home / "student", home / "bare", dirs_exist_ok=True)
    for file in ("tokenizer.json", "vocab.txt"):
        (home / "bare" / file).unlink(missing_ok=True)
    named = {
        name: value if name == "text" else str(home / value) for name, value in changes.items()
    }
    if "output" in named:
        named["output"] = Path(named["output"])
    config = settings(home, "teacher", output=home / "nothing")
    with pytest.raises(InputError, match=sentence) as refused:
        show_attention(replace(config, **named))
    assert "\n" not in str(refused.value)
    assert not (home / "nothing").exists()


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["teacher", "student", "decoder"])
def test_the_maps_are_those_of_transformers(home: Path, name: str) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    [model] = show_attention(settings(home, name))
    tokenizer = AutoTokenizer.from_pretrained(home / name)
    theirs = AutoModel.from_pretrained(home / name, attn_implementation="eager").eval()
    inputs = tokenizer(TEXT, return_tensors="pt")
    assert tuple(tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])) == model.tokens
    with torch.no_grad():
        attentions = theirs(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            output_attentions=True,
        ).attentions
    expected = np.concatenate([each.numpy() for each in attentions])
    np.testing.assert_allclose(model.maps, expected, rtol=0, atol=1e-5)
