"""Decoders that learn the next token: what is predicted, whole runs, resumption, bad input."""

from dataclasses import replace

import numpy as np
import pytest

from data.tokenizer import load_vocabulary
from model.decoder.causal_lm import CausalLM
from model.errors import InputError
from model.pretrained import load
from tests import runs
from train.config import CausalStudentConfig
from train.distill import distill
from train.objectives.terms import CausalLoss, NextToken, NextTokenKL
from train.pretrain import pretrain


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    runs.write_teacher(folder / "decoder", kind=CausalLM)
    return folder


def sized(home, **changes):
    size = load_vocabulary(str(home / "teacher")).size
    config = runs.causal_config(home, model=runs.MODEL.replace(vocab_size=size))
    return replace(config, **changes)


@pytest.mark.long
def test_a_run_leaves_a_decoder_that_can_generate_and_a_report(home, tmp_path):
    results = pretrain(sized(home, output=tmp_path / "run"))
    rows = [row for row in runs.metrics(tmp_path / "run") if row["kind"] == "heldout"]
    assert [row["step"] for row in rows] == [0, 5, 10, 12]
    assert results["next_token_loss"] < rows[0]["next_token_loss"]
    np.testing.assert_allclose(results["perplexity"], np.exp(results["next_token_loss"]), rtol=1e-6)

    model = load(tmp_path / "run" / "model")
    assert isinstance(model, CausalLM) and model.generation is not None
    special = load_vocabulary(str(home / "teacher")).special
    assert (model.generation.start, model.generation.end) == (special.cls, special.sep)
    assert {special.unk, special.mask} <= {*model.generation.suppressed}
    assert model.generation.max_new_tokens == 15
    report = (tmp_path / "run" / "report.md").read_text()
    assert "| perplexity |" in report and "BertLMHeadModel" in report


@pytest.mark.long
@pytest.mark.parametrize("loop", ["pretrain", "distill"])
def test_a_run_that_is_resumed_is_the_run_that_was_never_stopped(home, tmp_path, loop):
    make, train = {
        "pretrain": (sized, pretrain),
        "distill": (runs.causal_distill_config, distill),
    }[loop]
    whole = make(home, output=tmp_path / "whole")
    train(whole)
    stopped = replace(whole, output=tmp_path / "stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.loop.fit.stop_if_asked", after(7))
        with pytest.raises(KeyError):
            train(stopped)
    train(stopped)
    assert runs.metrics(tmp_path / "stopped") == runs.metrics(tmp_path / "whole")
    assert runs.weights(tmp_path / "stopped") == runs.weights(tmp_path / "whole")


def after(updates):
    """A function that dies when it is called for the last of so many times."""
    calls = iter(range(updates, 0, -1))

    def die():
        if next(calls) == 1:
            raise KeyError

    return die


@pytest.mark.long
def test_a_student_starts_from_its_teachers_layers_and_learns_from_it(home, tmp_path):
    config = runs.causal_distill_config(
        home,
        output=tmp_path / "run",
        student=CausalStudentConfig(layers="1"),
        loss=CausalLoss(ce=NextTokenKL(weight=2.0), next_token=NextToken(weight=0.0)),
    )
    results = distill(config)
    rows = [row for row in runs.metrics(tmp_path / "run") if row["kind"] == "heldout"]
    assert results["kl_to_teacher"] < rows[0]["kl_to_teacher"]
    student, teacher = (load(f) for f in (tmp_path / "run" / "model", home / "decoder"))
    assert (student.config.num_layers, teacher.config.num_layers) == (1, 2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"sequence_length": 17},
            "--data.sequence-length 17 is above the 16 positions of",
        ),
        (
            {"tokenizer": "wordpiece:60"},
            r"the tokenizer has \d+ pieces and the model \d+: set",
        ),
        ({"corpus": ("nothing.txt",)}, "nothing.txt does not exist"),
    ],
)
def test_data_that_do_not_fit_are_refused(home, tmp_path, changes, sentence):
    config = sized(home, output=tmp_path / "run")
    with pytest.raises(InputError, match=sentence):
        pretrain(replace(config, data=replace(config.data, **changes)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"student": CausalStudentConfig(layers="0,2")},
            "2 is not among the teacher's layers 0",
        ),
        ({"teacher": "teacher"}, "reads both sides of a token, and a CausalLM from left to right"),
        (
            {"loss": CausalLoss(ce=NextTokenKL(), next_token=NextToken())},
            "--loss.ce.weight and --loss.next-token.weight are 0: give one a weight",
        ),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(home, tmp_path, monkeypatch, changes, sentence):
    monkeypatch.chdir(home)
    config = runs.causal_distill_config(home, output=tmp_path / "run", **changes)
    with pytest.raises(InputError, match=sentence):
        distill(config)
    assert not (tmp_path / "run").exists()


def test_a_decoder_is_no_distilbert(home, tmp_path):
    shape = sized(home).model.replace(architecture="distilbert", type_vocab_size=0)
    with pytest.raises(InputError, match="a decoder is a BERT, of any depth, and this configura"):
        pretrain(sized(home, output=tmp_path / "run", model=shape))
    assert not (tmp_path / "run").exists()
