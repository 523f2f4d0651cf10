"""Studies as a whole: their students are those of train.distill, and what they leave and refuse."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from filelock import FileLock
from safetensors.numpy import load_file

from data.storage.holding import LOCK
from model.errors import InputError
from model.hf.temporaries import PREFIX
from model.pretrained import load
from model.tasks import MaskedLM
from report.gradients import gradient_names, gradients_of, weighted_norm_name
from report.study.folder import read_declaration, read_study
from tasks.open import TaskDataConfig
from tests import runs, tiny
from train import ablate as command
from train.ablate import ablate
from train.command.signals import Stopped
from train.config import RunConfig
from train.distill import distill
from train.loop.metric_log import MetricLog
from train.studies import cohort as cohort_module
from train.studies import controls, downstream
from train.studies import normalised as normalised_module
from train.studies.catalogue import STUDIES
from train.studies.cohort import Cohort, open_cohorts
from train.studies.config import Control, folder_name, variants_of
from train.studies.downstream import downstream_scores
from train.studies.results import DONE
from train.studies.settings import with_settings
from train.update.optimizer import OptimizerConfig

# Adam divides by the gradient's size: a large epsilon keeps rounding of near-zero gradients from
# becoming differences as large as the learning rate.
OPTIMIZER = OptimizerConfig(learning_rate=1e-2, epsilon=1e-2)
SETTINGS: dict[str, dict[str, Any]] = {
    "triple loss": {},
    "no KL, random": {"loss.ce.weight": 0, "student.layers": "random"},
    "ramps": {
        "loss.ce.temperature": (8, 2),
        "loss.cos.weight": (0, 3),
        "optimizer.learning_rate": 3e-2,
        "optimizer.clip_norm": 0.3,
    },
    "masked, narrow": {
        "loss.ce.positions": "masked",
        "masking.smoothing": 0.5,
        "student.layers": "random",
        "student.hidden_size": 8,
    },
}
QUICK = {"a": {}, "b": {"loss.ce.weight": 0}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return runs.make_home(tmp_path_factory.mktemp("home"))


def study_of(home, output, **changes):
    """Two stacks: numbers and starts, and other masks with another width."""
    changes = {"steps": 50, "evaluate_every": 25, "optimizer": OPTIMIZER} | changes
    return runs.study_config(home, SETTINGS, output=home / output, **changes)


def quick(home, output, **changes):
    changes = {"steps": 2, "evaluate_every": 2} | changes
    return runs.study_config(home, QUICK, output=home / output, **changes)


@pytest.fixture(scope="module")
def undisturbed(home):
    study = study_of(home, "undisturbed", seeds=2)
    report = ablate(study)
    return study, report


def weights_of(study, name, seed=56) -> dict[str, np.ndarray]:
    folder = study.base.output / f"seed-{seed}" / "model" / folder_name(name)
    return load_file(folder / "model.safetensors")


def lines_of(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def stop_at(monkeypatch, step, seed):
    """A signal arrives while the metrics of `step` are written, in the block of `seed`."""
    write = MetricLog.step

    def interrupted(self, now, metrics, tokens, **more):
        write(self, now, metrics, tokens, **more)
        if now == step and self.path.parent.name == f"seed-{seed}":
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(MetricLog, "step", interrupted)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "KL" in n else ()) for n in SETTINGS]
)
def test_a_student_of_a_study_is_the_one_that_is_trained_alone(home, undisturbed, name):
    """With dropout, after 50 updates."""
    study, _ = undisturbed
    alone = replace(variants_of(study)[name], output=home / f"alone-{folder_name(name)}")
    results = distill(alone)
    ours, theirs = weights_of(study, name), load_file(alone.output / "model/model.safetensors")
    assert tiny.difference(ours, theirs) < 1e-5
    [record] = [
        record
        for record in lines_of(study.base.output / "seed-56" / DONE)
        if record["variant"] == name
    ]
    for metric in ("masked_lm_loss", "kl_to_teacher"):
        np.testing.assert_allclose(record["metrics"][metric], results[metric], rtol=1e-5)
    own = runs.metrics(study.base.output / "seed-56")
    for row, expected in zip(own, runs.metrics(alone.output), strict=True):
        for metric in ("loss", "ce", "mlm", "cos", "grad_norm", "learning_rate"):
            if expected.get(metric):
                ours = row[f"{name}/{metric}"]
                np.testing.assert_allclose(ours, expected[metric], rtol=1e-4, err_msg=metric)


@pytest.mark.long
def test_a_study_leaves_all_that_it_should(undisturbed, home):
    study, report = undisturbed
    folder = study.base.output
    for name in ("report.md", "table.csv", "results.json", "differences.png", "curves.png"):
        assert (folder / name).is_file(), name
    found = read_study(folder)
    assert (
        [*found.variants] == [*SETTINGS] and found.seeds == (56, 57) and found.reference in SETTINGS
    )
    assert len(found.runs) == 2 * len(SETTINGS)
    for run in found.runs:
        assert [step for step, _ in run.curve] == [0, 25, 50]
        wanted = {"masked_lm_accuracy", "kl_to_teacher", "clipped_share", "loss_mlm", "loss_ce"}
        assert wanted <= set(run.metrics), run.variant
        own = (run.metrics["training_masks_loss"], run.metrics["masked_lm_loss"])
        assert (own[0] == own[1]) is (run.variant != "masked, narrow")  # the others' are uniform
    text = report.read_text()
    assert text.startswith("# A study\n\nWith 2 seeds, too few")
    accuracies = {run.metrics["masked_lm_loss"] for run in found.runs}
    assert len(accuracies) == 2 * len(SETTINGS)  # no two are the same student
    parameters = {name: variant.parameters for name, variant in found.variants.items()}
    assert parameters["masked, narrow"] < parameters["ramps"] == parameters["triple loss"]
    narrow = load(folder / "seed-56/model" / folder_name("masked, narrow"), MaskedLM)
    assert narrow.config.hidden_size == 8


@pytest.mark.long
def test_a_study_that_was_stopped_resumes_and_every_student_is_the_same(
    home, undisturbed, monkeypatch
):
    """In the middle of the second block, far from a checkpoint: bit by bit."""
    whole, _ = undisturbed
    study = study_of(home, "stopped", seeds=2, run=RunConfig(checkpoint_every=20, devices=1))
    with monkeypatch.context() as patch:
        stop_at(patch, 31, seed=57)
        with pytest.raises(Stopped, match="same command resumes"):
            ablate(study)
    assert (study.base.output / "seed-56" / DONE).is_file()
    assert not (study.base.output / "seed-57" / DONE).exists()
    monkeypatch.setattr(Cohort, "initial", spy := Spy(Cohort.initial))
    ablate(study)
    assert [call[1] for call in spy.calls] == [56, 57]  # to compile, and the block that is left
    for name in SETTINGS:
        for seed in (56, 57):
            ours, theirs = (weights_of(each, name, seed) for each in (study, whole))
            for tensor, values in theirs.items():
                np.testing.assert_array_equal(ours[tensor], values, err_msg=f"{name} {tensor}")
    results = [lines_of(each.base.output / "results.jsonl") for each in (study, whole)]
    assert results[0] == results[1]
    assert runs.metrics(study.base.output / "seed-57") == runs.metrics(
        whole.base.output / "seed-57"
    )


@pytest.mark.slow
def test_controls_are_variants_and_a_stop_in_their_own_program_changes_nothing(home, monkeypatch):
    def controlled(output):
        study = quick(home, output, steps=4, evaluate_every=4)
        study = replace(study, variants=study.variants[:1], controls=get_args(Control))
        return replace(study, base=with_settings(study.base, {"run.checkpoint_every": 1}, "here"))

    monkeypatch.setattr(controls, "compute_ratio", lambda config: 1.5)
    whole, study = controlled("controlled"), controlled("controlled-stopped")
    report = ablate(whole)
    with monkeypatch.context() as patch:
        stop_at(patch, 5, seed="56-updates-6")
        with pytest.raises(Stopped, match="same command resumes"):
            ablate(study)
    ablate(study)
    results = [(each.base.output / "results.jsonl").read_text() for each in (whole, study)]
    assert results[0] == results[1]
    folders = ("seed-56", "seed-56-updates-6")
    files = sorted((whole.base.output / folders[1]).glob("model/*/model.safetensors"))
    assert len(files) == 1
    assert [*load_file(files[0])] == [
        *load_file(study.base.output / files[0].relative_to(whole.base.output))
    ]
    rows = runs.metrics(whole.base.output / folders[1])
    assert rows == runs.metrics(study.base.output / folders[1])
    found = {run.variant: run for run in read_study(whole.base.output).runs}
    assert len(found) == 5
    assert len({run.metrics["masked_lm_loss"] for run in found.values()}) == 5
    start = found["a, start"].curve
    assert start[0][1] == start[-1][1]  # it never moves
    assert found["a"].curve[0][1]["kl_to_teacher"] == start[0][1]["kl_to_teacher"]
    declared = read_study(whole.base.output).variants
    assert [v.steps for v in declared.values()] == [None, None, None, 6, None]
    assert "| a, no teacher, equal compute | masked LM alone, 1.50 times" in report.read_text()


class Spy:
    """Stands for a method, and remembers how it was called."""

    def __init__(self, method):
        self.method, self.calls = method, []

    def __get__(self, instance, owner):
        def call(*arguments):
            self.calls.append((instance, *arguments))
            return self.method(instance, *arguments)

        return call


# Gradients


@pytest.mark.slow
def test_weights_in_units_of_gradients_are_measured_once_and_kept(home, monkeypatch):
    def normalised(output):
        study = quick(home, output, steps=4, evaluate_every=4, term_gradients=True, normalised=True)
        return replace(study, base=with_settings(study.base, {"run.checkpoint_every": 1}, "here"))

    whole, study = normalised("units"), normalised("units-stopped")
    report = ablate(whole).read_text()
    with monkeypatch.context() as patch:
        stop_at(patch, 3, seed=56)
        with pytest.raises(Stopped, match="same command resumes"):
            ablate(study)
    with monkeypatch.context() as patch:
        patch.setattr(normalised_module, "first_norms", lambda study: {})  # not called again
        ablate(study)
    results = [(each.base.output / "results.jsonl").read_text() for each in (whole, study)]
    assert results[0] == results[1]
    for name in QUICK:
        for tensor, values in weights_of(whole, name).items():
            np.testing.assert_array_equal(weights_of(study, name)[tensor], values, err_msg=tensor)
    found = read_study(whole.base.output)
    given = {"a": {"ce": 5, "mlm": 2, "cos": 1}, "b": {"mlm": 2, "cos": 1}}
    for run in found.runs:
        variant = found.variants[run.variant]
        assert [step for step, _ in run.gradients] == [1, 2, 4]
        _, first = run.gradients[0]
        for term, weight in given[run.variant].items():
            used = variant.settings[f"loss.{term}.weight"]
            np.testing.assert_allclose(used * variant.gradient_norms[term], weight, rtol=1e-12)
            np.testing.assert_allclose(first[weighted_norm_name(term)], weight, rtol=1e-5)
    assert found.runs[1].gradients[0][1].keys() == gradient_names(["mlm", "cos"]).keys()
    assert "## Weights in units of gradients" in report and "## Gradients of the terms" in report
    with pytest.raises(InputError, match=r"declared another variants\.a\.gradient_norms"):
        ablate(replace(whole, normalised=False))


@pytest.mark.slow
def test_a_student_alone_has_the_gradients_that_it_has_in_a_study(home):
    study = quick(home, "gradients", term_gradients=True)
    ablate(study)
    alone = replace(variants_of(study)["b"], output=home / "gradients-alone")
    distill(alone)
    ours, theirs = (
        {row["step"]: row for row in runs.metrics(folder) if row["kind"] == "train"}
        for folder in (study.base.output / "seed-56", alone.output)
    )
    for step, row in theirs.items():
        for name, value in gradients_of(row).items():
            np.testing.assert_allclose(ours[step][f"b/{name}"], value, rtol=1e-4, atol=1e-6)
    assert gradients_of(theirs[2])
    with pytest.raises(InputError, match="'a' has no gradient norms of these terms"):
        ablate(replace(study, normalised=True))


# Devices


@pytest.fixture(scope="module")
def one_device(home):
    return trained(home, "one-device", students=4, devices=1)


def trained(home, output, *, students, devices):
    """A cohort of students of one stack after three updates, and what they were measured by."""
    base = runs.distill_config(
        home, steps=3, optimizer=OPTIMIZER, run=RunConfig(devices=devices, checkpoint_every=2)
    )
    configs = {
        f"T {t}": with_settings(base, {"loss.ce.temperature": t}, "here")
        for t in range(1, students + 1)
    }
    [cohort] = open_cohorts(base, configs, "masked_lm_loss")
    cohort.train(7, home / output)
    return cohort, home / output


@pytest.mark.long
@pytest.mark.parametrize(
    ("students", "by_students"), [(4, True), pytest.param(3, False, marks=pytest.mark.slow)]
)
def test_devices_that_share_students_or_rows_change_nothing(
    home, one_device, students, by_students
):
    cohort, folder = trained(home, f"devices-{students}", students=students, devices=4)
    assert cohort.parallel.by_students is by_students
    kernel = cohort.state(cohort.models).params["0"]["head"]["dense"]["kernel"]
    assert kernel.shape[0] == students
    shares = {shard.data.shape[0] for shard in kernel.addressable_shards}
    assert shares == {1 if by_students else students}
    for row, expected in zip(runs.metrics(folder), runs.metrics(one_device[1]), strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                np.testing.assert_allclose(value, expected[name], rtol=1e-4, err_msg=name)
    for name in cohort.students:
        ours, theirs = (
            load_file(each / "model" / folder_name(name) / "model.safetensors")
            for each in (folder, one_device[1])
        )
        assert tiny.difference(ours, theirs) < 1e-5


# What is declared, and what resumes


@pytest.fixture(scope="module")
def quick_cohort(home):
    study = quick(home, "never")
    [cohort] = open_cohorts(study.base, variants_of(study), study.primary)
    return cohort


@pytest.fixture
def compiled(monkeypatch, quick_cohort):
    """Studies of `quick` find their program compiled."""
    monkeypatch.setattr(command, "open_cohorts", lambda *_: [quick_cohort])
    return quick_cohort


@pytest.mark.long
def test_the_primary_metric_is_declared_before_the_first_update(home, compiled, monkeypatch):
    study = quick(home, "declared", primary="kl_to_teacher", better="lower")

    class Reached(Exception):  # noqa: N818 (not an error)
        pass

    def train(self, seed, folder):
        record = json.loads((study.base.output / "study.json").read_text())
        assert (record["primary"], record["better"]) == ("kl_to_teacher", "lower")
        raise Reached

    monkeypatch.setattr(Cohort, "train", train)
    with pytest.raises(Reached):
        ablate(study)
    changes = {
        "primary": replace(study, primary="masked_lm_accuracy"),
        "better": replace(study, better="higher"),
        r"base\.optimizer\.clip_norm": replace(
            study, base=with_settings(study.base, {"optimizer.clip_norm": 1}, "here")
        ),
        r"variants\.b\.about": replace(
            study,
            variants=(
                study.variants[0],
                replace(study.variants[1], settings={"loss.ce.weight": 1}),
            ),
        ),
    }
    for name, other in changes.items():
        with pytest.raises(InputError, match=f"holds another study, which declared another {name}"):
            ablate(other)
    with pytest.raises(InputError, match="declared another base"):  # and no seed is added then
        ablate(replace(changes[r"base\.optimizer\.clip_norm"], seeds=2))
    assert read_declaration(study.base.output).seeds == (56,)
    with pytest.raises(Reached):  # how it is carried out may change
        ablate(replace(study, base=replace(study.base, run=RunConfig(print_every=1, devices=1))))


@pytest.mark.long
def test_a_folder_with_something_else_is_not_taken(home, compiled):
    (home / "other").mkdir()
    (home / "other" / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="other is not empty and holds no study"):
        ablate(quick(home, "other"))
    with pytest.raises(InputError, match=r"cannot write .*thesis\.tex/study: Not a directory"):
        ablate(quick(home, "other/thesis.tex/study"))


@pytest.mark.long
def test_a_study_in_use_and_a_block_in_use_are_refused(home, compiled, monkeypatch):
    study = quick(home, "held")
    folder, train = study.base.output, Cohort.train
    (folder / f"{PREFIX}of-a-killed-one").mkdir(parents=True)
    with FileLock(folder / LOCK), pytest.raises(InputError, match="held is in use by another"):
        ablate(study)
    assert not (folder / "study.json").exists()

    def train_beside_another(self, seed, block):
        block.mkdir()
        with FileLock(block / LOCK):
            train(self, seed, block)

    monkeypatch.setattr(Cohort, "train", train_beside_another)
    with pytest.raises(InputError, match=r"seed-\d+ is in use by another process"):
        ablate(study)
    left = {path.name for path in folder.iterdir()}
    assert left == {"study.json", f"seed-{study.base.seed}"}


@pytest.mark.long
def test_a_log_of_fine_tuning_that_cannot_be_written_is_reported(home, tmp_path, colours):
    (tmp_path / "downstream" / "a" / "classification.log").mkdir(parents=True)
    study = quick(home, "never", downstream=("classification",), task_data=colours)
    with pytest.raises(InputError, match=r"cannot write .*classification\.log: Is a directory"):
        downstream_scores(study, tmp_path / "model" / "a", seed=1)


@pytest.mark.long
def test_a_study_stopped_between_blocks_resumes_with_those_that_are_left(
    home, compiled, monkeypatch, capsys
):
    """By a signal in the last update of a block."""
    whole, study = (quick(home, name, seeds=3) for name in ("at-once", "between"))
    ablate(whole)
    with monkeypatch.context() as patch:
        stop_at(patch, 2, seed=57)
        with pytest.raises(Stopped, match="stopped at step 2 of 2; everything is saved"):
            ablate(study)
    assert not (study.base.output / "seed-58").exists()
    capsys.readouterr()
    ablate(study)
    assert "3 seeds of 2 updates, 1 of them done" in capsys.readouterr().out
    results = (study.base.output / "results.jsonl").read_text()
    assert results == (whole.base.output / "results.jsonl").read_text()
    ablate(study)  # it is complete: nothing is trained again
    assert (study.base.output / "results.jsonl").read_text() == results
    for seed, lost in ((56, "line 1: it is 5"), (58, f"{DONE} lacks students")):
        done = study.base.output / f"seed-{seed}" / DONE
        text = done.read_text()
        done.write_text("5\n" if seed == 56 else text[: len(text) // 2])
        capsys.readouterr()
        ablate(study)
        printed = capsys.readouterr().out
        assert lost in printed and f"the students of seed {seed} are measured again" in printed
        assert done.read_text() == text
    assert (study.base.output / "results.jsonl").read_text() == results


@pytest.mark.long
def test_seeds_may_be_added_and_the_report_says_so(home, compiled, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('[[variants]]\nname = "a"\n')
    study = replace(quick(home, "more-seeds"), file=file)
    ablate(study)
    assert (study.base.output / "study.toml").read_text() == file.read_text()
    before = (study.base.output / "results.jsonl").read_text()
    report = ablate(replace(study, seeds=2)).read_text()
    declared = read_study(study.base.output)
    assert declared.seeds == (56, 57) and declared.file == "own.toml"
    assert [(added.seeds, added.after) for added in declared.seeds_added] == [((57,), 1)]
    assert (study.base.output / "results.jsonl").read_text().startswith(before)
    assert "after the results of one seed had been seen" in report
    ablate(replace(study, seeds=2))
    with pytest.raises(InputError, match="declared another seeds"):
        ablate(study)


# Fine-tuning


@pytest.fixture(scope="module")
def colours(home):
    """A file of texts that contain one of two colours."""
    random = np.random.default_rng(0)
    lines = ["text,label"]
    for number in range(40):
        words = random.choice(runs.WORDS[4:], size=5).tolist()
        colour = ("red", "green")[number % 2]
        lines.append(f"{' '.join([*words, colour])},{colour}")
    path = home / "colours.csv"
    path.write_text("\n".join(lines))
    return TaskDataConfig(train=path, dev_share=0.25)


@pytest.mark.long
def test_scores_on_tasks_are_metrics_like_the_others(home, compiled, colours):
    study = quick(
        home,
        "downstream",
        primary="downstream_classification",
        downstream=("classification",),
        task_data=colours,
        task_seeds=2,
        task_epochs=1.0,
        task_learning_rate=1e-3,
    )
    report = ablate(study)
    for run in read_study(study.base.output).runs:
        own = run.fine_tunings["downstream_classification"]
        assert len(own) == 2 and all(0 <= score <= 1 for score in own)
        assert run.metrics["downstream_classification"] == sum(own) / 2
    assert "Seeds of the students and of their fine-tunings" in report.read_text()
    assert "classification" in report.read_text().split("\n\n")[1]
    logs = sorted(study.base.output.glob("seed-56/downstream/*/classification.log"))
    assert [log.parent.name for log in logs] == ["a", "b"]
    for seed in (112, 113):  # twice 56, so that no other block has them
        once = logs[0].parent / "classification" / f"seed-{seed}"
        config = json.loads((once / "config.json").read_text())
        assert config["optimizer"]["learning_rate"] == 1e-3 and config["seed"] == seed


def test_every_fine_tuning_has_a_mean_over_the_tasks(home, tmp_path, monkeypatch):
    student = tmp_path / "seed-56/model/a"
    (tmp_path / "seed-56/downstream/a").mkdir(parents=True)
    asked = []

    def finetune(config):
        asked.append(config)
        best = {"rte": 0.5, "sst2": 0.8}[config.task]
        return [{"score": best - number / 10} for number in range(config.seeds)]

    monkeypatch.setattr(downstream, "finetune", finetune)
    study = quick(home, "never", downstream=("rte", "sst2"), task_seeds=3, task_tune=(1e-4, 3e-4))
    scores = downstream_scores(study, student, seed=56)
    assert scores["downstream_sst2"] == pytest.approx([0.8, 0.7, 0.6])
    assert scores["downstream_mean"] == pytest.approx([0.65, 0.55, 0.45])
    assert [(c.task, c.seed, c.seeds, c.tune) for c in asked] == [
        (task, 168, 3, (1e-4, 3e-4)) for task in ("rte", "sst2")
    ]
    one = replace(study, downstream=("rte",), task_seeds=1, task_tune=())
    assert downstream_scores(one, student, seed=56) == {"downstream_rte": [0.5]}


@pytest.mark.long
def test_a_student_that_diverged_is_not_fine_tuned(home, compiled, colours, monkeypatch, capsys):
    study = quick(home, "diverged", downstream=("classification",), task_data=colours)
    results = command.block_results

    def broken(folder, students):
        records = results(folder, students)
        records[1]["metrics"]["masked_lm_loss"] = float("nan")
        return records

    monkeypatch.setattr(command, "block_results", broken)
    monkeypatch.setattr(
        command, "downstream_scores", lambda *_: {"downstream_classification": [0.75]}
    )
    ablate(study)
    scores = [
        run.metrics["downstream_classification"] for run in read_study(study.base.output).runs
    ]
    assert scores[0] == 0.75 and np.isnan(scores[1])
    assert "b has diverged" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize(("better", "best"), [("higher", 1e-3), ("lower", 1e-4)])
def test_every_variant_gets_the_rate_that_is_best_for_it(home, monkeypatch, better, best):
    study = quick(
        home,
        f"tuned-{better}",
        tune=(3e-3, 1e-3, 1e-4),
        tune_steps=1,
        better=better,
        task_tune=(2e-4, 1e-4),
        task_seeds=3,
    )
    values = {3e-3: float("nan"), 1e-3: 0.3, 1e-4: 0.2}
    trials = []

    def ablate_trial(trial):
        trials.append(trial)
        measured = {
            name: {trial.base.seed: values[config.optimizer.learning_rate]}
            for name, config in variants_of(trial).items()
        }
        monkeypatch.setattr(command, "read_study", lambda folder: found(folder, trial, measured))

    def found(folder, trial, measured):
        assert folder == trial.base.output
        return SimpleNamespace(values={trial.primary: measured}.__getitem__)

    monkeypatch.setattr(command, "ablate", ablate_trial)
    after = command.tuned(study)
    assert not after.tune and after.base.steps == 2
    assert (after.task_tune, after.task_seeds) == ((2e-4, 1e-4), 3)
    assert [c.optimizer.learning_rate for c in variants_of(after).values()] == [best, best]
    [trial] = trials
    assert len(trial.variants) == 6 and trial.seeds == 1
    assert trial.base.steps == 1 and not trial.tune and not trial.tune_steps
    assert (trial.task_learning_rate, trial.task_tune, trial.task_seeds) == (2e-4, (), 1)
    assert trial.base.seed not in range(study.base.seed, study.base.seed + study.seeds)


@pytest.mark.slow
def test_a_study_is_tuned_and_then_run_with_the_rates_that_were_found(home):
    study = quick(home, "tuned", primary="masked_lm_loss", better="lower", tune=(1e-9, 1e-2))
    study = replace(study, variants=study.variants[:1])
    ablate(study)
    tuning = read_study(study.base.output / "tuning")
    assert [*tuning.variants] == ["a at 1e-09", "a at 0.01"] and tuning.seeds == (55,)
    found = read_study(study.base.output)
    assert found.seeds == (56,)
    assert found.record["variants"]["a"]["settings"] == {"optimizer.learning_rate": 0.01}


@pytest.mark.slow
def test_a_search_that_was_stopped_in_a_rung_ends_with_the_same_students(home, monkeypatch, capsys):
    def searched(output):
        study = quick(home, output, steps=4, evaluate_every=4, seeds=5, halving=True)
        own = [replace(study.variants[0], name=f"T {t}", settings={"loss.ce.temperature": t})
               for t in (2, 8, 4)]  # fmt: skip
        study = replace(study, variants=tuple(own), primary="masked_lm_loss", better="lower")
        return replace(study, base=with_settings(study.base, {"run.checkpoint_every": 1}, "here"))

    whole, study = searched("searched"), searched("searched-stopped")
    report = ablate(whole)
    printed = capsys.readouterr().out
    assert printed.index("--halving searches in 2 rungs (5 students x 2 updates, 4 st") < (
        printed.index("seed 55, 1 of 1")
    )
    with monkeypatch.context() as patch:
        stop_at(patch, 3, seed=54)  # in the second rung
        with pytest.raises(Stopped, match="same command resumes"):
            ablate(study)
    assert not (study.base.output / "study.json").exists()
    with pytest.raises(InputError, match="is not empty and holds no study"):
        ablate(replace(study, halving=False))
    with pytest.raises(InputError, match=r"rung-1 holds another study, .* base\.optimizer\.clip"):
        base = with_settings(study.base, {"optimizer.clip_norm": 1}, "here")
        ablate(replace(study, base=base))
    ablate(study)
    results = [(each.base.output / "results.jsonl").read_text() for each in (whole, study)]
    assert results[0] == results[1]
    found = read_study(whole.base.output)
    assert found.search == read_study(study.base.output).search is not None
    assert found.seeds == (56, 57, 58, 59, 60) and len(found.variants) in (2, 3)
    facts = [
        read_declaration(whole.base.output / folder).record["facts"]
        for folder in (".", "halving/rung-1", "halving/rung-2")
    ]
    heldout = [each["heldout_sequences"] for each in facts]
    assert found.search is not None
    assert heldout[0] != heldout[1] == heldout[2] == found.search.text
    text = report.read_text()
    assert "## How they were chosen" in text and heldout[0][:12] in text
    ablate(replace(whole, seeds=6))  # more seeds of the comparison, and no other search
    assert read_study(whole.base.output).search == found.search


# The studies that ship


@pytest.fixture(scope="module")
def deep(home):
    """A teacher with the layers that two of them name."""
    return runs.write_teacher(home / "deep", runs.MODEL.replace(num_layers=12))


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "worth-of-teacher" else pytest.mark.slow) for n in STUDIES],
)
def test_every_study_runs_in_a_tiny_form(home, deep, colours, name):
    study = STUDIES[name]()
    base = replace(
        study.base,
        output=home / name,
        teacher=str(deep if name in ("layers", "objectives", "scaling") else home / "teacher"),
        data=replace(
            runs.data_config(home),
            tokenizer=None,
            mode=study.base.data.mode,
            pack_lines=study.base.data.pack_lines,
        ),
        batch_size=8,
        steps=2,
        evaluate_every=2,
        run=RunConfig(devices=1),
    )
    study = replace(study, base=base, seeds=1)
    if study.downstream:
        study = replace(
            study,
            downstream=("classification",),
            primary="downstream_classification",
            task_data=colours,
            task_epochs=1.0,
            tune=(),
        )
    report = ablate(study)
    assert study.title in report.read_text()
    found = read_study(study.base.output)
    assert {run.variant for run in found.runs} == {variant.name for variant in study.variants}
    assert all(study.primary in run.metrics for run in found.runs)


# What cannot be done is refused in a sentence


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"a": {}, "A": {}, "a b": {}, "a-b": {}}, "cannot be called 'a-b'"),
        ({"..": {}}, r"cannot be called '\.\.'"),
        ({"a/b": {}}, "cannot be called 'a/b'"),
        ({"a" * 300: {}}, "cannot be called 'a.* at most 255 bytes"),
        ({"ä" * 128: {}}, "cannot be called 'ä.* at most 255 bytes"),
        ({"a\0b": {}}, r"cannot be called 'a\\x00b'.* no control character"),
        ({}, "has no variants"),
        ({"a": {"loss.cosine.weight": 2}},
         r"variant 'a': there is no setting 'loss\.cosine\.weight'; did you mean "
         r"loss\.cos\.weight\?"),
        ({"a": {"loss.ce.weight": "many"}},
         r"variant 'a': loss\.ce\.weight is 'many', and must be a number or a list \[a number, "),
        ({"a": {}, "b": {"batch_size": 4}}, "variant 'b' changes batch_size: .* the whole study"),
        ({"a": {}, "b": {"teacher": "bert"}}, "variant 'b' changes teacher"),
        ({"a": {}, "b": {"seed": 3}}, "variant 'b' changes seed"),
    ],
    ids=str,
)  # fmt: skip
def test_variants_that_make_no_study(home, settings, message):
    with pytest.raises(InputError, match=message):
        variants_of(runs.study_config(home, settings))


@pytest.mark.parametrize(
    ("against", "message"),
    [
        ([None, "c"], "'b' is compared with 'c', which must be a variant"),
        ([None, "b"], "'b' is compared with 'b', which must be a variant that is compared with no"),
        (["b", None], "'b' is compared with 'a', which must be a variant that is compared with no"),
    ],
)
def test_variants_that_cannot_be_compared(home, against, message):
    study = quick(home, "refused")
    named = [replace(v, against=other) for v, other in zip(study.variants, against, strict=True)]
    with pytest.raises(InputError, match=message):
        ablate(replace(study, variants=tuple(named)))


def test_two_variants_of_one_name(home):
    study = quick(home, "refused")
    with pytest.raises(InputError, match="two variants of the study are called 'a': rename one"):
        ablate(replace(study, variants=study.variants[:1] * 2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss.ce.weight": 0, "loss.mlm.weight": 0, "loss.cos.weight": 0},
         "all weights of --loss are"),
        ({"optimizer.clip_norm": 0}, "--optimizer.clip-norm is 0"),
        ({"loss.ce.temperature": 0}, "--loss.ce.temperature is 0"),
        ({"loss.hidden.weight": 1, "loss.hidden.layers": "0:2"},
         "teacher has no layer 2, only 0 to 1"),
        ({"loss.cos.layers": "1:1"}, "student has no layer 1, only 0 to 0"),
        ({"loss.relations.weight": 1, "loss.relations.heads": 3},
         "heads 3 does not divide the student's width of 16"),
        ({"student.layers": "random", "student.num_heads": 1, "loss.attention.weight": 1},
         "the student has 1 attention heads and the teacher 2"),
    ],
    ids=str,
)  # fmt: skip
def test_terms_that_do_not_fit_the_models_name_the_variant(home, settings, message):
    study = runs.study_config(home, {"a": {}, "b": settings}, output=home / "refused")
    with pytest.raises(InputError, match=f"variant 'b': .*{message}"):
        ablate(study)
    assert not study.base.output.exists()


@pytest.mark.long
def test_a_study_that_does_not_fit_into_memory_says_how_many_students_would(
    home, quick_cohort, monkeypatch
):
    limit = quick_cohort.memory * 6 // 10
    monkeypatch.setattr(cohort_module, "memory_limit", lambda: limit)
    with pytest.raises(InputError, match=r"2 students need .* of memory .* about 1 would fit"):
        ablate(quick(home, "refused"))
    assert not (home / "refused").exists()


def test_what_is_wrong_with_a_study_is_refused_before_it_is_compiled(home, colours):
    study = quick(home, "refused")
    base = replace(study.base, run=RunConfig(parallel="pmap", devices=1))
    missing = replace(colours, train=home / "nowhere.csv")
    for wrong, message in (
        (replace(study, seeds=0), "--seeds is 0"),
        (replace(study, task_epochs=0.0), "--task-epochs is 0"),
        (replace(study, task_seeds=2), "--task-seeds 2: no student is fine-tuned"),
        (
            replace(
                study,
                base=replace(study.base, seed=10**9),
                downstream=("sst2",),
                task_seeds=2,
            ),
            "--seed 1000000000 is too large",
        ),
        (replace(study, base=replace(study.base, steps=0)), "--steps is 0"),
        (replace(study, base=base), r"--run\.parallel must be jit"),
        (replace(study, primary="downstream_sst2"), "must be fine-tuned on it: add --downstream"),
        (replace(study, primary="downstream_mean"), "the mean over several tasks: name them with"),
        (replace(study, tune_steps=3), "--tune-steps 3 is for the trials of learning rates"),
        (replace(study, task_seeds=0), "--task-seeds is 0"),
        (replace(study, downstream=("sst3",)), "no task 'sst3': did you mean sst2"),
        (replace(study, downstream=("classification",), task_data=missing), "nowhere.csv"),
    ):
        with pytest.raises(InputError, match=message):
            ablate(wrong)


@pytest.mark.long
def test_a_primary_metric_that_not_all_students_have(home, compiled):
    with pytest.raises(InputError, match=r"no metric 'f1' in common: .*masked_lm_accuracy, .*loss"):
        ablate(quick(home, "refused", primary="f1"))
    assert not (home / "refused").exists()
