"""The choice of a learning rate, with runs that only say how good they are."""

from dataclasses import replace

import pytest

from model.errors import InputError
from tasks.open import TaskDataConfig
from train.loop.fit import DivergedError
from train.recipes import FINETUNE
from train.tuning import tune

RATES = (1e-5, 3e-5, 1.0)


def config(tmp_path):
    data = TaskDataConfig(train=tmp_path / "train.csv", test=tmp_path / "test.csv")
    recipe = FINETUNE["classification"]()
    return replace(recipe, output=tmp_path / "run", data=data, seed=7, seeds=3, tune=RATES)


def test_the_best_rate_is_taken_and_one_that_diverges_is_not(tmp_path, capsys):
    whole, tried = config(tmp_path), []

    def run(trial):
        tried.append(trial)
        rate = trial.optimizer.learning_rate
        if rate == 1.0:
            raise DivergedError("the loss is nan")
        return [{"score": 0.5 + rate}]

    chosen, scores = tune(whole, run)
    assert scores == {1e-5: 0.50001, 3e-5: 0.50003, 1.0: None}
    optimizer = replace(whole.optimizer, learning_rate=3e-5)
    assert chosen == replace(whole, tune=(), optimizer=optimizer)
    assert [trial.optimizer.learning_rate for trial in tried] == [*RATES]
    assert {(trial.seed, trial.seeds, trial.tune, trial.data.test) for trial in tried} == {
        (6, 1, (), None)
    }
    assert [trial.output for trial in tried] == [tmp_path / f"run-tuning/{r!r}" for r in RATES]
    assert "learning rate 1: the loss is nan" in capsys.readouterr().out


def test_a_tie_goes_to_the_first(tmp_path):
    chosen, _ = tune(config(tmp_path), lambda trial: [{"score": 0.5}])
    assert chosen.optimizer.learning_rate == RATES[0]


def test_rates_of_which_none_is_good(tmp_path):
    def run(trial):
        raise DivergedError("the loss is nan")

    with pytest.raises(InputError, match="diverges with all rates of --tune: give some below 1e-0"):
        tune(config(tmp_path), run)
