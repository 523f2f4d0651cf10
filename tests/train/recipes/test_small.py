"""The small reproduction: its arithmetic, and the files that each command leaves for the next."""

import json
from dataclasses import replace

import pytest

from eval.timing.device import published_peak
from tests import runs
from tests import transformer_flops as flops
from train.distill import distill
from train.pretrain import pretrain
from train.recipes.small import distill_small, pretrain_small
from train.studies.catalogue import paper_table_4_small


def seconds_of(updates, flops_of_update) -> float:
    """At 40 % of an H100, as the recipes say."""
    peak = published_peak("NVIDIA H100 80GB HBM3")
    assert peak is not None
    return updates * flops_of_update / (0.4 * peak)


def test_nine_minutes_are_so_many_updates():
    config, small = pretrain_small(), distill_small()
    teacher = config.model
    student = teacher.distilled(6)
    pretraining = flops.pretraining(teacher, config.batch_size, 128)
    assert seconds_of(config.steps, pretraining) == pytest.approx(415, abs=1)
    distillation = flops.distillation(teacher, student, small.batch_size, 128)
    assert seconds_of(small.steps, distillation) == pytest.approx(402, abs=1)

    study = paper_table_4_small()
    rows = study.base.batch_size
    read = flops.encoder(teacher, rows, 128) + flops.vocabulary_head(teacher, rows * 128)
    learned = flops.distillation(teacher, student, rows, 128) - read
    assert study.base.steps is not None
    updates = study.seeds * study.base.steps
    together = read + len(study.variants) * learned
    assert seconds_of(updates, together) == pytest.approx(414, abs=1)


def test_each_command_finds_the_files_of_the_one_before():
    left = str(pretrain_small().output / "model")
    assert distill_small().teacher == left
    assert paper_table_4_small().base.teacher == left


@pytest.mark.slow
def test_a_teacher_is_pretrained_and_distilled(tmp_path):
    home = runs.make_home(tmp_path)
    tiny = {"batch_size": 8, "steps": 2, "evaluate_every": 2, "run": runs.RunConfig(devices=1)}
    teacher = replace(
        pretrain_small(),
        model=replace(runs.MODEL, attention_dropout=0.0),
        data=runs.data_config(home),
        output=home / "teacher-run",
        **tiny,
    )
    pretrain(teacher)
    student = replace(
        distill_small(),
        teacher=str(teacher.output / "model"),
        data=replace(runs.data_config(home), tokenizer=None),
        output=home / "student-run",
        **tiny,
    )
    metrics = distill(student)
    for config, kind in ((teacher, "pretrain"), (student, "distill")):
        found = json.loads((config.output / "results.json").read_text())
        assert found["kind"] == kind
        assert found["updates"] == 2
        assert found["tokens"] == 2 * 8 * 16
        assert found["devices"]["platform"] == "cpu"
    assert found["heldout"]["masked_lm_loss"] == pytest.approx(metrics["masked_lm_loss"])
