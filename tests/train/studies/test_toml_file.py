"""Studies of one's own, in files, and the command line of train.ablate."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.errors import InputError
from train.ablate import chosen_study
from train.studies.catalogue import STUDIES
from train.studies.config import variants_of

OWN = """
title = "Does the temperature matter?"
base = "tiny"
settings = {steps = 500}
primary = "kl_to_teacher"
better = "lower"
normalised = true
[[variants]]
name = "T 2"
[[variants]]
name = "T 8"
about = "softer targets"
settings = {loss.ce.temperature = 8, "loss.cos.weight" = [0, 3]}
"""


def test_a_study_in_a_file_with_flags_over_it(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    study = chosen_study(
        [str(path), "--seeds", "3", "--batch-size", "8", "--downstream", "sst2", "rte"]
    )
    assert (study.title, study.primary, study.better) == (
        "Does the temperature matter?", "kl_to_teacher", "lower",
    )  # fmt: skip
    assert study.normalised and study.base.output == Path("runs/own")
    assert study.downstream == ("sst2", "rte")
    assert (study.seeds, study.base.steps, study.base.batch_size) == (3, 500, 8)
    students = variants_of(study)
    assert [*students] == ["T 2", "T 8"]
    assert [config.loss.ce.temperature for config in students.values()] == [2.0, 8.0]
    assert [config.loss.cos.weight for config in students.values()] == [1.0, (0.0, 3.0)]
    assert study.variants[1].about == "softer targets"


def test_a_file_names_the_tasks_of_its_primary_metric(tmp_path):
    path = tmp_path / "own.toml"
    mean = '"downstream_mean"\ndownstream = ["rte", "cola"]'
    path.write_text(OWN.replace('"kl_to_teacher"', mean))
    study = chosen_study([str(path)])
    assert (study.primary, study.downstream) == ("downstream_mean", ("rte", "cola"))
    assert chosen_study([str(path), "--downstream", "sst2", "cola"]).downstream == ("sst2", "cola")


def test_factors_in_a_file_cross_its_variants(tmp_path):
    path = tmp_path / "own.toml"
    factors = """
[factors.masks]
"" = {}
smoothed = {masking.smoothing = 0.7}
[factors.clip]
"" = {}
"no clip" = {"optimizer.clip_norm" = 1e9}
"""
    path.write_text(OWN.replace("[[variants]]", factors + "[[variants]]", 1))
    study = chosen_study([str(path)])
    assert [(v.name, v.against) for v in study.variants[-2:]] == [
        ("T 2, smoothed, no clip", None),
        ("T 8, smoothed, no clip", "T 2, smoothed, no clip"),
    ]
    last = variants_of(study)["T 8, smoothed, no clip"]
    assert (last.loss.ce.temperature, last.masking.smoothing) == (8, 0.7)
    assert last.optimizer.clip_norm == 1e9
    path.write_text(path.read_text() + 'against = "T 2"\n')
    with pytest.raises(InputError, match="with factors every variant is compared with the first"):
        chosen_study([str(path)])


SEARCH = """
settings = {loss.ce.temperature = 4, loss.cos.weight = 0}
[search]
loss.ce.temperature = [2, 4]
student.layers = ["original", "first"]
loss.mlm.weight = [[2, 5]]
"""


def test_a_search_in_a_file_is_the_default_and_every_combination(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(SEARCH)
    study = chosen_study([str(path), "--halving"])
    assert study.halving and [variant.name for variant in study.variants] == [
        "default",
        "ce.temperature 2, mlm.weight 2 to 5, layers original",
        "ce.temperature 2, mlm.weight 2 to 5, layers first",
        "ce.temperature 4, mlm.weight 2 to 5, layers original",
        "ce.temperature 4, mlm.weight 2 to 5, layers first",
    ]
    configs = [*variants_of(study).values()]
    assert configs[0] == study.base and configs[2].student.layers == "first"
    assert (configs[2].loss.mlm.weight, configs[2].loss.cos.weight) == ((2.0, 5.0), 0.0)
    path.write_text(SEARCH.replace("[[2, 5]]", "[2]"))  # the recipe's own weight
    names = [variant.name for variant in chosen_study([str(path)]).variants]
    assert len(names) == 4 and "ce.temperature 4, mlm.weight 2, layers original" not in names


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[2, 4]", "2", "search: loss.ce.temperature is 2, and must be a list of the values"),
        ("[2, 4]", "[]", r"search: loss.ce.temperature is \[\], and must be a list of the values"),
        ("temperature = [", "temprature = [", "of the search: there is no setting"),
        ('"first"', "1", "of the search: student.layers is 1, and must be text in quotes"),
        ("[search]", '[[variants]]\nname = "a"\n[search]', "write .* or .search., not both"),
    ],
)
def test_mistakes_in_a_search_are_reported(tmp_path, old, new, message):
    path = tmp_path / "own.toml"
    path.write_text(SEARCH.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        chosen_study([str(path)])


def test_a_variant_in_a_file_names_what_it_is_compared_with(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(f"{OWN}[[variants]]\nname = \"b\"\n[[variants]]\nname='c'\nagainst = 'b'\n")
    assert [variant.against for variant in chosen_study([str(path)]).variants][2:] == [None, "b"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("base = ", "base ", "own.toml is not TOML"),
        ("matter", "m\udcfftter", "own.toml is not TOML"),
        ("= 8", "= " + "[" * 200_000, "own.toml is not TOML"),
        ("title", "titel", "there is no key 'titel'; did you mean title"),
        ("about", "description", "variant 2: there is no key 'description'; there are name, about"),
        ("variants]]", "variant]]", "there is no key 'variant'; did you mean variants"),
        ('"softer targets"', "8", "variant 2: about is 8, and must be text in quotes"),
        ('"tiny"', '"tini"', "base 'tini' is no recipe of train.distill; did you mean tiny"),
        ("{steps = 500}", "500", "settings is 500, and must be a table of values by name"),
        ("steps =", "stepps =", "settings: there is no setting 'stepps'; did you mean steps"),
        ("= 500", "= 500.5", "settings: steps is 500.5, and must be an integer"),
        ("settings = {loss", 'flags = "" # {loss',
         "variant 2: there is no key 'flags'; there are name, about, settings"),
        ('"lower"', '"smaller"', "better is 'smaller', and must be 'higher' or 'lower'"),
        ('name = "T 2"', "", "variant 1 has no name"),
        ("[[variants]]", "[variants]", "own.toml is not TOML|write .*variants"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file_are_reported_with_their_place(tmp_path, old, new, message):
    path = tmp_path / "own.toml"
    path.write_bytes(OWN.replace(old, new).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        chosen_study([str(path)])


def test_a_single_variant_that_is_no_list_and_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('[variants]\nname = "a"\n')
    with pytest.raises(InputError, match=r"write \[\[variants\]\] in front of every variant"):
        chosen_study([str(path)])
    with pytest.raises(InputError, match=r"other.toml cannot be read: No such file"):
        chosen_study([str(tmp_path / "other.toml")])


@pytest.mark.long
def test_help_lists_the_studies():
    done = subprocess.run(
        [sys.executable, "-m", "train.ablate", "--help"],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in STUDIES:
        assert name in done.stdout


def test_help_of_a_study_lists_flags_of_the_study_and_of_its_students(capsys):
    with pytest.raises(SystemExit):
        chosen_study(["temperature", "--help"])
    printed = capsys.readouterr().out
    for flag in ("--seeds", "--primary", "--downstream", "--tune", "--teacher", "--batch-size"):
        assert flag in printed
