"""Flags of other programs: the sentence names a flag that is there."""

import re
from dataclasses import fields, is_dataclass

import pytest

from model.errors import InputError
from train.command.cli import choose
from train.command.elsewhere import _HERE
from train.recipes import DISTILL, FINETUNE, PRETRAIN


def flags_of(config, prefix="--"):
    for field in fields(config):
        value, name = getattr(config, field.name), prefix + field.name.replace("_", "-")
        yield from flags_of(value, f"{name}.") if is_dataclass(value) else [name]


def test_every_flag_that_is_named_is_there():
    configs = (recipes[name]() for recipes in (DISTILL, FINETUNE, PRETRAIN) for name in recipes)
    known = {flag for config in configs for flag in flags_of(config)}
    named = {flag for text in _HERE.values() for flag in re.findall(r"--[a-z.-]+", text)}
    assert named <= known
    assert not {f"--{name}" for name in _HERE} & known


@pytest.mark.parametrize("flag", ["--lr", "--learning_rate=3e-5", "--per_device_train_batch_size"])
def test_a_flag_of_another_program_gets_its_name_here(flag):
    with pytest.raises(InputError, match=r"here it is --(optimizer|batch-size)"):
        choose(FINETUNE, "train.finetune", ["sst2", flag, "3"])
