"""Successive halving: what climbs, on which text, seeds and updates, and what is refused."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from model.errors import InputError
from report.study.comparison import MIN_SEEDS
from tests import runs
from train.studies import halving
from train.studies.cohort import Cohort
from train.studies.config import StudyConfig, Variant, variants_of
from train.studies.halving import check_halving, halved, rates_of, rung_sizes

RATE = "optimizer.learning_rate"
TEMPERATURES = (2, 1, 4, 8, 3, 5)
BEST = {"loss.ce.temperature": 5, RATE: 0.02}  # each the best of its kind


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return runs.make_home(tmp_path_factory.mktemp("home"))


def study_of(home, output="search", temperatures=TEMPERATURES, **changes) -> StudyConfig:
    settings = {f"T {t}": {"loss.ce.temperature": t} for t in temperatures}
    changes = {"seeds": 5, "steps": 40, "halving": True, "output": home / output} | changes
    return runs.study_config(home, settings, **changes)


class Trials:
    """Stands for `ablate`: writes what a study leaves, with values that its settings decide."""

    def __init__(self, diverged: str = ""):
        self.studies: list[StudyConfig] = []
        self.diverged = diverged

    def __call__(self, study, announce=None):
        self.studies.append(study)
        folder = study.base.output
        folder.mkdir(parents=True)
        size = {"about": "", "parameters": 1, "bytes": 1, "sentences_per_second": 1.0}
        record = {
            "name": study.name,
            "title": study.title,
            "primary": study.primary,
            "better": study.better,
            "reference": study.variants[0].name,
            "seeds": [study.base.seed],
            "variants": {variant.name: size for variant in study.variants},
            "steps": study.base.steps,
            "teacher": "",
            "corpus": "",
            "command": None,
            "seconds": 1.0,
            "facts": {"heldout_sequences": study.base.data.heldout_part},
        }
        (folder / "study.json").write_text(json.dumps(record))
        results = [
            {
                "variant": variant.name,
                "seed": study.base.seed,
                "metrics": {study.primary: self.value(variant)},
            }
            for variant in study.variants
        ]
        (folder / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in results))
        return folder

    def value(self, variant: Variant) -> float:
        if variant.name == self.diverged:
            return math.nan
        own = {"loss.ce.temperature": 2, RATE: 0.01, **variant.settings}
        return -sum(abs(math.log(own[name] / best)) for name, best in BEST.items())


@pytest.mark.parametrize(
    ("candidates", "sizes"),
    [(0, []), (1, []), (2, [2]), (3, [3, 2]), (8, [8, 4, 2]), (9, [9, 5, 3, 2])],
)
def test_every_rung_keeps_half_until_one_is_left(candidates, sizes):
    assert rung_sizes(candidates) == sizes


@pytest.mark.parametrize("count", [2, 3, 4, 7, 8, 40])
def test_the_rates_of_the_default_are_in_equal_ratios_around_its_own(home, count):
    config = variants_of(study_of(home))["T 2"]
    rates = rates_of(Variant("T 2"), config, count)
    assert len(rates) == count and rates["T 2"].settings == {}
    values = [variant.settings.get(RATE, 0.01) for variant in rates.values()]
    ratios = [after / before for before, after in pairwise(values)]
    assert max(ratios) / min(ratios) < 1.02 and 1 < min(ratios) < 2.01
    assert 0.01 / 8.01 < min(values) <= 0.005 and max(values) < 0.0801


def test_the_best_climb_and_meet_the_default_on_other_text_and_seeds(home):
    study, trials = study_of(home, "climb", better="higher"), Trials()
    final = halved(study, trials)
    assert [trial.base.steps for trial in trials.studies] == [10, 20, 40]
    assert [len(trial.variants) for trial in trials.studies] == [11, 6, 4]
    seeds = [trial.base.seed for trial in trials.studies]
    assert seeds == [55, 54, 53] and (final.base.seed, final.seeds) == (56, 5)
    assert {trial.base.data.heldout_part for trial in trials.studies} == {"selection"}
    assert final.base.data.heldout_part == "reporting"
    for trial in trials.studies:  # no schedule is cut: the settings are the study's own
        assert trial.base.optimizer == study.base.optimizer and trial.seeds == 1
        assert not trial.halving and not trial.controls
    assert [variant.name for variant in final.variants] == ["T 5", "T 2", "T 2 at 0.02"]
    assert final.search is not None and not final.halving
    ladder = final.search.candidates
    assert ladder.winner == "T 5" and final.search.text == "selection"
    assert [rung.kept for rung in ladder.rungs] == [("T 5", "T 4", "T 8"), ("T 5", "T 4"), ("T 5",)]
    assert [len(rung.values) for rung in ladder.rungs] == [6, 3, 2]
    assert ladder.updates == final.search.rates.updates == 6 * 10 + 3 * 20 + 2 * 40
    assert variants_of(final)["T 2 at 0.02"].optimizer.learning_rate == 0.02


def test_where_less_is_better_the_least_climb(home):
    final = halved(study_of(home, "less", better="lower"), Trials())
    assert [variant.name for variant in final.variants][:2] == ["T 1", "T 2"]


def test_one_that_diverges_is_the_worst_and_a_winning_default_is_alone_or_meets_its_rate(home):
    study = study_of(home, "diverged", temperatures=(5, 2, 1, 4))
    final = halved(study, Trials(diverged="T 4"))
    assert final.search is not None
    assert "T 4" not in final.search.candidates.rungs[0].kept
    assert [variant.name for variant in final.variants] == ["T 5", "T 5 at 0.02"]
    study = study_of(home, "all", temperatures=(2, 4))
    trials = Trials()
    trials.value = lambda variant: math.nan
    with pytest.raises(
        InputError, match=r"rung-1 have diverged: give a smaller --optimizer\.learn"
    ):
        halved(study, trials)


def test_the_budget_is_told_before_the_first_update(home, capsys, monkeypatch):
    monkeypatch.setattr(halving, "stack_operations", lambda stack: 11e9)
    cohort, trials = object.__new__(Cohort), Trials()
    cohort.steps, cohort.seconds, cohort.stacks = 10, 0.5, ["stack"]  # type: ignore[list-item]

    def run(study, announce):
        if announce is not None:
            announce([cohort])
        return trials(study)

    halved(study_of(home, "budget"), run)
    printed = capsys.readouterr().out
    assert (
        "--halving searches in 3 rungs (11 students x 10 updates, 6 students x 20 updates, 4 "
        "students x 40 updates) and then compares up to 3 students with 5 seeds (40 updates): at "
        "most 36 students, 990 updates of a student, 9.9e+11 operations, about 45 s without"
    ) in printed
    assert printed.count("--halving") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": (2,)}, "chooses among the variants of a study, and this has 1"),
        ({"seeds": 4}, f"--seeds is 4, .* at least {MIN_SEEDS} seeds that chose nothing"),
        ({"seed": 2}, "--seed is 2, and the 3 rungs of --halving take the seeds before it"),
        ({"tune": (1e-3,)}, "--halving searches, and so does --tune"),
        ({"primary": "downstream_sst2"}, "--halving selects on held-out text"),
        ({"steps": 3}, "--steps is 3, and the first of the 3 rungs has a 4th of it"),
    ],
)
def test_what_cannot_be_searched_is_refused(home, changes: dict[str, Any], message):
    with pytest.raises(InputError, match=message):
        check_halving(study_of(home, "refused", **changes))


def test_text_updates_and_names_that_the_search_needs_for_itself_are_refused(home):
    study = study_of(home, "refused")
    data = replace(study.base.data, heldout_part="selection")
    with pytest.raises(InputError, match=r"leave out --data\.heldout-part"):
        check_halving(replace(study, base=replace(study.base, data=data)))
    own = Variant("long", {"steps": 80})
    with pytest.raises(InputError, match="'long' has a number of updates of its own"):
        check_halving(replace(study, variants=(*study.variants, own)))
    twin = Variant("T 2 at 0.02")
    with pytest.raises(InputError, match=r"'T 2 at 0\.02' has the name of the default at another"):
        check_halving(replace(study, variants=(*study.variants, twin)))


def test_a_folder_with_a_plain_study_is_refused_before_the_search(home):
    study = study_of(home, "plain")
    Trials()(study)
    with pytest.raises(InputError, match="plain holds a study without --halving"):
        check_halving(study)
