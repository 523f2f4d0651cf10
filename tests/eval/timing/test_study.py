"""The students of a study, timed together and alone."""

import shlex
from typing import Any

import pytest

from eval.speed import StudySpeed, speed
from eval.timing.settings import SIZES
from eval.timing.study import flags_of
from model.errors import InputError
from tests import tiny
from train.command.cli import choose
from train.recipes import DISTILL
from train.studies.catalogue import paper_table_4
from train.studies.settings import with_settings


@pytest.mark.slow
def test_an_update_of_all_is_timed_beside_one_of_one(monkeypatch, capsys):
    monkeypatch.setitem(SIZES, "tiny", (tiny.TEACHER, tiny.STUDENT))
    result = speed(StudySpeed(batch_size=2, sequence_length=8, repeats=2))
    assert result["students"] == len(paper_table_4().variants)
    assert {name: len(times) for name, times in result["seconds"].items()} == {
        "together": 2,
        "alone": 2,
    }
    assert min(map(min, result["seconds"].values())) > 0
    assert "Together it takes" in capsys.readouterr().out


def test_the_command_of_a_student_has_its_settings():
    for variant in paper_table_4().variants:
        words = ["tiny", *shlex.split(flags_of(variant))]
        expected = with_settings(DISTILL["tiny"](), variant.settings, variant.name)
        assert choose(DISTILL, "train.distill", words) == expected


@pytest.mark.parametrize("name", ["batch_size", "sequence_length", "repeats", "steps"])
def test_numbers_below_one_are_reported(name):
    changes: dict[str, Any] = {name: 0}
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is 0"):
        speed(StudySpeed(**changes))
