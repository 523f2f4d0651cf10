"""Lengths of runs: epochs of a command line in place of the updates of a recipe."""

from fractions import Fraction

import pytest

from model.errors import InputError
from train.ablate import chosen_study
from train.command.length import for_flags
from train.recipes import recipes_by_name

RECIPES = recipes_by_name()


@pytest.mark.parametrize("name", ["distill:tiny", "pretrain:tiny", "distill:causal"])
def test_epochs_that_are_given_stand_in_place_of_the_updates_of_a_recipe(name):
    own = RECIPES[name]()
    assert own.steps
    for flags in (["--epochs", "3"], ["--seed", "1", "--epochs=3"]):
        recipe = for_flags(RECIPES[name], flags)
        assert recipe().steps is None and recipe.__doc__ == RECIPES[name].__doc__
        assert recipe().updates(Fraction(7, 2)) == -(-own.epochs * 7 // 2)
    assert for_flags(RECIPES[name], ["--steps", "7"])() == own
    assert for_flags(RECIPES[name], ["--output", "epochs"])() == own


def test_epochs_of_the_command_line_of_a_study():
    study = chosen_study(["faithful", "--epochs", "2"]).base
    assert (study.steps, study.epochs) == (None, 2.0)


def test_a_run_has_one_length():
    with pytest.raises(InputError, match=r"^--epochs and --steps are both given, .*: leave out on"):
        for_flags(RECIPES["distill:tiny"], ["--steps", "5", "--epochs=2"])
