"""Settings by their dotted names."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from data.config import DataConfig
from model.errors import InputError
from tests import tiny
from train.config import DistillConfig
from train.studies.settings import setting_types, with_settings

BASE = DistillConfig(
    output=Path("run"), teacher="teacher", data=DataConfig(), masking=tiny.MASKING, batch_size=8
)


def test_what_is_set_is_there_and_all_else_is_as_before():
    config = with_settings(
        BASE,
        {
            "loss.ce.temperature": 8,
            "loss.cos.weight": [0, 3],
            "student.num_layers": 2,
            "data.corpus": ["books", "texts"],
            "output": "elsewhere",
            "dtype": "float32",
            "masking.mask": 0.5,
            "masking.keep": 0.4,
        },
        "here",
    )
    assert config.loss.ce.temperature == 8.0 and type(config.loss.ce.temperature) is float
    assert config.loss.cos.weight == (0.0, 3.0) and config.student.num_layers == 2
    assert config.data.corpus == ("books", "texts") and config.output == Path("elsewhere")
    assert (config.dtype, config.masking.mask, config.masking.keep) == ("float32", 0.5, 0.4)
    before = {
        "loss.ce.temperature": BASE.loss.ce.temperature,
        "loss.cos.weight": BASE.loss.cos.weight,
        "student.num_layers": None,
        "data.corpus": BASE.data.corpus,
        "output": BASE.output,
        "dtype": BASE.dtype,
        "masking.mask": BASE.masking.mask,
        "masking.keep": BASE.masking.keep,
    }
    assert with_settings(config, before, "here") == BASE


def test_epochs_stand_in_place_of_the_updates_of_the_base():
    steps = replace(BASE, steps=500)
    assert with_settings(steps, {"epochs": 50}, "here") == replace(BASE, steps=None, epochs=50.0)
    assert with_settings(steps, {"batch_size": 4}, "here").steps == 500
    assert with_settings(BASE, {"steps": 5}, "here") == replace(BASE, steps=5)


def test_settings_are_the_innermost_fields():
    names = setting_types(BASE)
    assert {"teacher", "loss.mean", "loss.hidden.normalised", "run.devices"} <= names.keys()
    assert not {"loss", "loss.ce", "run"} & names.keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss.ce.temprature": 8}, "no setting 'loss.ce.temprature'; did you mean loss.ce.temp"),
        ({"loss": 8}, "there is no setting 'loss'; did you mean loss"),
        ({"batch-size": 8}, "there is no setting 'batch-size'; did you mean batch_size?"),
        ({"batch_size": True}, "batch_size is True, and must be an integer"),
        ({"student.copy_head": 1}, "student.copy_head is 1, and must be true or false"),
        ({"loss.ce.weight": [1, 2, 3]}, "[1, 2, 3], and must be a number or a list [a number, a "),
        ({"dtype": "half"}, "'half', and must be 'auto' or 'float32' or 'bfloat16'"),
        ({"data.corpus": "books"}, "is 'books', and must be a list [text in quotes, ...]"),
        ({"loss.ce.temperature": float("nan")}, "--loss.ce.temperature is nan: give a number from"),
        ({"data.corpus": []}, "--data.corpus names nothing: give at least one value"),
        ({"data.tokenizer": "a\0b"}, r"--data.tokenizer is 'a\x00b': leave out the character NUL"),
        ({"epochs": 2, "steps": 5}, "epochs and steps are both given, and each is the length"),
        ({"masking.mask": 0.9}, "random are 0.9, 0.1 and 0.1: these shares"),
    ],
)
def test_mistakes_name_the_place_and_the_setting(settings, message):
    with pytest.raises(InputError, match=re.escape("variant 'a': ")) as raised:
        with_settings(BASE, settings, "variant 'a'")
    assert message in str(raised.value)
