"""Controls of a study: which there are for what, and the compute that they are given."""

import math
from dataclasses import replace
from typing import get_args

import pytest

from data.masking import MaskingConfig
from model.config import EncoderConfig
from tests import runs
from train.studies import controls
from train.studies.config import Control, variants_of
from train.studies.controls import compute_ratio, with_controls
from train.studies.operations import update_operations

ALL: tuple[Control, ...] = get_args(Control)
ALONE = {"loss.ce.weight": 0, "loss.cos.weight": 0}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return runs.make_home(tmp_path_factory.mktemp("home"))


def controlled(home, settings, **changes):
    study = runs.study_config(home, settings, **{"steps": 10, **changes})
    return with_controls(replace(study, controls=ALL))


def test_they_are_of_the_first_variant_with_a_teacher(home, monkeypatch):
    monkeypatch.setattr(controls, "compute_ratio", lambda config: 1.55)
    study = controlled(home, {"alone": ALONE, "narrow": {"loss.ce.temperature": 4}})
    added = study.variants[2:]
    assert [variant.name for variant in added] == [
        "narrow, untrained teacher",
        "narrow, shuffled teacher",
        "narrow, no teacher, equal compute",
        "narrow, start",
    ]
    assert {variant.against for variant in added} == {"narrow"}
    untrained, shuffled, alone, start = (variants_of(study)[variant.name] for variant in added)
    assert {config.loss.ce.temperature for config in variants_of(study).values()} == {2.0, 4.0}
    assert (untrained.answers, shuffled.answers) == ("untrained", "shuffled")
    assert untrained.loss == shuffled.loss == start.loss == variants_of(study)["narrow"].loss
    assert [*alone.loss.terms()] == ["mlm"] and alone.steps == 16
    assert start.optimizer.learning_rate == 0 and start.steps == 10


def test_masked_lm_joins_where_the_variant_has_none(home, monkeypatch):
    monkeypatch.setattr(controls, "compute_ratio", lambda config: 2.0)
    study = controlled(home, {"a": {"loss.mlm.weight": 0}}, epochs=1.5, steps=None)
    alone = variants_of(study)["a, no teacher, equal compute"]
    assert (alone.loss.mlm.weight, alone.epochs, alone.steps) == (1, 3.0, None)


def test_one_that_makes_no_sense_is_told_and_left_out(home, capsys, monkeypatch):
    monkeypatch.setattr(controls, "compute_ratio", lambda config: 2.0)
    assert len(controlled(home, {"alone": ALONE}).variants) == 1
    assert "no variant of the study listens to a teacher" in capsys.readouterr().out
    study = controlled(home, {"a": {}}, masking=MaskingConfig(group_rows=1))
    assert len(study.variants) == 4
    printed = capsys.readouterr().out
    assert "the control shuffled-teacher of 'a' is left out" in printed
    assert "--masking.group-rows is 1" in printed


@pytest.mark.long
def test_equal_compute_counts_the_teacher(home):
    """The cosine has no matrix products: all that it costs is the teacher's forward pass.

    In the traced step the teacher's head reads the masked tokens, too; XLA leaves that out.
    """
    config = replace(runs.distill_config(home), steps=10)
    config = replace(config, loss=config.loss.with_weights(mlm=2.0, cos=1.0))
    ratio = compute_ratio(config)
    alone = replace(config, loss=config.loss.with_weights(mlm=1.0))
    operations = update_operations(alone)
    shape: EncoderConfig = runs.MODEL
    rows, length, width = config.batch_size, config.data.sequence_length, shape.hidden_size
    products = 4 * width**2 + 2 * width * shape.intermediate_size + 2 * length * width
    teacher = 2 * rows * length * shape.num_layers * products
    head = 2 * math.ceil(0.15 * rows * length) * width**2
    assert (ratio - 1) * operations == pytest.approx(teacher + head)
