"""Whole runs: what they leave behind, how they stop and resume, and what they refuse."""

import dataclasses
import errno
import json
import os
import shutil
import signal
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.tasks import MaskedLM
from report.gradients import gradients_of, weighted_norm_name
from tests import runs
from train.command.signals import Stopped
from train.config import RunConfig, StudentConfig
from train.distill import distill
from train.loop.checkpoint import Checkpoints
from train.loop.heldout import HeldOut
from train.loop.metric_log import MetricLog
from train.objectives.terms import DistillationLoss, ForwardKL
from train.pretrain import initial_masked_lm, pretrain
from train.update.optimizer import OptimizerConfig


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return runs.make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def undisturbed(home):
    """A distillation from start to end."""
    folder = home / "undisturbed"
    results = distill(runs.distill_config(home, output=folder))
    return folder, results


def stop_at(monkeypatch, step, number=signal.SIGTERM):
    """A signal arrives while the metrics of `step` are written."""
    write = MetricLog.step

    def interrupted(self, now, metrics, tokens, **more):
        write(self, now, metrics, tokens, **more)
        if now == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(MetricLog, "step", interrupted)


def test_a_run_leaves_all_that_it_should(undisturbed):
    folder, results = undisturbed
    for name in ("config.json", "metrics.jsonl", "report.md", "model/vocab.txt"):
        assert (folder / name).is_file(), name
    assert "## How it was made" in (folder / "model" / "README.md").read_text()
    assert any((folder / "tensorboard").iterdir())
    assert sorted(int(p.name) for p in (folder / "checkpoints").iterdir()) == [9, 12]
    rows = runs.metrics(folder)
    assert [r["step"] for r in rows if r["kind"] == "train"] == list(range(1, 13))
    assert [r["step"] for r in rows if r["kind"] == "heldout"] == [0, 5, 10, 12]
    last = {k: v for k, v in rows[-1].items() if k not in ("step", "kind")}
    assert last == results
    assert {"masked_lm_loss", "unigram_loss", "kl_to_teacher", "hidden_cosine"} <= set(results)
    config = json.loads((folder / "config.json").read_text())
    assert config["provenance"]["versions"]["jax"]
    assert config["facts"]["total_steps"] == 12
    model = load(folder / "model", MaskedLM)
    assert model.config.architecture == "distilbert"
    assert model.config.num_layers == 1
    tokenizer = json.loads((folder / "model/tokenizer_config.json").read_text())
    assert tokenizer["model_max_length"] == model.config.max_positions


def test_frozen_positions_are_those_of_the_teacher(home, undisturbed):
    student = load(undisturbed[0] / "model", MaskedLM).backbone.embeddings
    teacher = load(home / "teacher", MaskedLM).backbone.embeddings
    same = [
        np.array_equal(getattr(student, n).embedding[...], getattr(teacher, n).embedding[...])
        for n in ("position", "word")
    ]
    assert same == [True, False]


def test_masks_and_dropout_are_those_of_the_seed(home, monkeypatch):
    class Reached(Exception):  # noqa: N818 (not an error)
        pass

    def reached(seed):
        raise Reached(seed)

    monkeypatch.setattr("train.loop.fit.keys_of", reached)
    with pytest.raises(Reached, match=r"^5$"):
        pretrain(runs.pretrain_config(home, output=home / "seed", seed=5))


def stop_in_evaluation(monkeypatch, number=signal.SIGTERM):
    """A signal arrives in the first evaluation after the start's, when it has read a batch."""
    batches, calls = HeldOut.batches, iter(range(100))

    def interrupted(self):
        second = next(calls) == 1
        for place, batch in enumerate(batches(self)):
            if second and place == 1:
                os.kill(os.getpid(), number)
            assert not second or place < 2, "another batch after the signal"
            yield batch

    monkeypatch.setattr(HeldOut, "batches", interrupted)


@pytest.mark.long
@pytest.mark.parametrize(
    ("stop", "step", "number"),
    [
        (partial(stop_at, step=7), 8, signal.SIGTERM),
        pytest.param(stop_in_evaluation, 5, signal.SIGINT, marks=pytest.mark.long),
    ],
    ids=["update", "evaluation"],
)
def test_a_stopped_run_resumes_bit_by_bit(home, undisturbed, monkeypatch, stop, step, number):
    config = runs.distill_config(home, output=home / f"stopped-{number}")
    sentence = f"stopped at step {step} of 12; everything is saved .* same command resumes"
    with monkeypatch.context() as patch:
        stop(patch, number=number)
        with pytest.raises(Stopped, match=sentence) as stopped:
            distill(config)
    assert stopped.value.exit_status == 128 + number
    assert not (config.output / "model").exists()
    results = distill(config)
    assert results == undisturbed[1]
    assert runs.weights(config.output) == runs.weights(undisturbed[0])
    assert runs.metrics(config.output) == runs.metrics(undisturbed[0])


@pytest.mark.long
def test_measuring_the_gradients_of_the_terms_changes_nothing_else(home, undisturbed):
    config = runs.distill_config(home, output=home / "apart", term_gradients=True)
    distill(config)
    assert runs.weights(config.output) == runs.weights(undisturbed[0])
    rows, plain = runs.metrics(config.output), []
    measured = [row["step"] for row in rows if gradients_of(row)]
    assert measured == [1, 6, 12]
    for row in rows:
        plain.append({name: row[name] for name in row.keys() - gradients_of(row).keys()})
    assert plain == runs.metrics(undisturbed[0])
    text = (config.output / "report.md").read_text()
    assert "|  | update 1 | update 6 | update 12 |" in text
    weighted = f"{rows[1][weighted_norm_name('mlm')]:.3f}"
    assert f"| masked LM: norm times weight | {weighted} |" in text
    assert "| cosine of T² KL to teacher and masked LM | " in text


@pytest.mark.long
def test_a_complete_run_is_not_run_again(undisturbed, home, capsys):
    folder, results = undisturbed
    rows = runs.metrics(folder)
    assert distill(runs.distill_config(home, output=folder)) == results
    assert "is complete" in capsys.readouterr().out
    assert runs.metrics(folder) == rows


@pytest.mark.long
def test_a_run_does_not_resume_upon_metrics_that_changed_but_does_without_them(
    home, undisturbed, capsys
):
    folder = shutil.copytree(undisturbed[0], home / "changed")
    shutil.rmtree(folder / "checkpoints" / "12")
    config = runs.distill_config(home, output=folder)
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))
    with pytest.raises(InputError, match=r"is not what it was when checkpoint 9 was saved"):
        distill(config)
    path.unlink()
    capsys.readouterr()
    distill(config)
    assert "the metrics of the first 9 updates are not in" in capsys.readouterr().out
    assert runs.weights(folder) == runs.weights(undisturbed[0])
    assert runs.metrics(folder) == runs.metrics(undisturbed[0])[-5:]
    sentence = ": 12 updates, of which only 3 are recorded. These were on 384 tokens in "
    assert sentence in (folder / "report.md").read_text()


def test_a_field_that_shapes_the_result_must_not_change(undisturbed, home):
    loss = DistillationLoss(ce=ForwardKL(weight=5.0, temperature=3.0))
    changed = runs.distill_config(home, output=undisturbed[0], loss=loss)
    with pytest.raises(InputError, match=r"loss\.ce\.temperature is 2\.0 there and 3\.0 here"):
        distill(changed)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_fields_that_only_carry_it_out_may_change(home, monkeypatch, mode):
    """Also from one device to two: without dropout the run comes out the same."""
    config = runs.pretrain_config(
        home, model=runs.MODEL.replace(hidden_dropout=0.0, attention_dropout=0.0)
    )
    whole = home / "whole"
    pretrain(replace(config, output=whole))
    moved = replace(config, output=home / f"moved-{mode}")
    with monkeypatch.context() as patch:
        stop_at(patch, 6)
        with pytest.raises(Stopped):
            pretrain(moved)
    pretrain(replace(moved, run=RunConfig(parallel=mode, devices=2)))
    for row, expected in zip(runs.metrics(moved.output), runs.metrics(whole), strict=True):
        for name, value in expected.items():
            same = row[name] == value if isinstance(value, str) else None
            assert same or np.isclose(row[name], value, rtol=1e-4), (row["step"], name)


def test_another_folder_is_not_taken(home, undisturbed):
    with pytest.raises(InputError, match=r"another run, of train\.distill"):
        pretrain(runs.pretrain_config(home, output=undisturbed[0]))
    with pytest.raises(InputError, match="is not empty and holds no run"):
        pretrain(runs.pretrain_config(home, output=home / "corpus"))


@pytest.mark.long
def test_a_loss_that_is_not_finite_stops_the_run(home, monkeypatch):
    config = runs.pretrain_config(home, output=home / "broken")
    write = MetricLog.step

    def spoiled(self, step, metrics, tokens, **more):
        write(self, step, metrics, tokens, **more)
        if step == 8:
            metrics["loss"] = float("nan")

    monkeypatch.setattr(MetricLog, "step", spoiled)
    with pytest.raises(InputError, match="loss is nan at step 8"):
        pretrain(config)
    assert sorted(int(p.name) for p in (config.output / "checkpoints").iterdir()) == [3, 6]
    assert not (config.output / "model").exists()


@pytest.mark.long
def test_a_learning_rate_that_breaks_the_model_is_noticed(home):
    # The decay alone multiplies all matrices with -99 at the first update.
    settings = OptimizerConfig(learning_rate=10.0, warmup_share=0.0, weight_decay=10.0)
    config = runs.pretrain_config(home, output=home / "exploded", optimizer=settings, steps=30)
    with pytest.raises(InputError, match=r"at step \d+: training stopped"):
        pretrain(config)


@pytest.mark.long
def test_a_full_disk_while_saving_is_reported(home, monkeypatch):
    config = runs.pretrain_config(home, output=home / "full")

    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ocp.CheckpointManager, "save", full)
    with pytest.raises(InputError, match=r"No space left on device.*same command resumes"):
        pretrain(config)


def test_a_checkpoint_that_fails_without_a_word_is_reported(tmp_path, monkeypatch):
    """The last of a long message is the reason."""
    checkpoints = Checkpoints(tmp_path)
    for error, reason in (
        (TimeoutError(), "TimeoutError"),
        (ValueError(f"Error writing {'folder/' * 99}: File too large"), ".*: File too large"),
    ):
        monkeypatch.setattr(checkpoints._manager, "wait_until_finished", failing(error))
        with pytest.raises(InputError, match=rf"could not be saved in .* \({reason}\)"):
            checkpoints.close()


def test_a_partner_that_is_lost_while_saving_is_not_taken_for_the_disk(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    lost = jax.errors.JaxRuntimeError("UNAVAILABLE: coordination service")
    monkeypatch.setattr(checkpoints._manager, "wait_until_finished", failing(lost))
    with pytest.raises(jax.errors.JaxRuntimeError, match="UNAVAILABLE"):
        checkpoints.close()


def failing(error):
    def fail():
        raise error

    return fail


@pytest.mark.long
def test_an_unreadable_checkpoint_is_named(home):
    config = runs.pretrain_config(home, output=home / "spoiled", steps=3)
    pretrain(config)
    for path in (config.output / "checkpoints" / "3" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(InputError, match=r"no checkpoint in .* can be used \(3: it cannot be read"):
        pretrain(config)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 0}, "--batch-size is 0: give a number from 1"),
        ({"micro_batches": 0}, "--micro-batches is 0"),
        ({"steps": 0}, "--steps is 0"),
        ({"steps": -5}, "--steps is -5"),
        ({"steps": None, "epochs": 0.0}, "--epochs is 0.0: give a number above 0"),
        ({"evaluate_every": 0}, "--evaluate-every is 0"),
        ({"heldout_sequences": 0}, "--heldout-sequences is 0"),
        ({"run": RunConfig(devices=0)}, "--run.devices is 0"),
        ({"run": RunConfig(devices=-1)}, "--run.devices is -1"),
        ({"run": RunConfig(checkpoint_every=0)}, "--run.checkpoint-every is 0"),
        ({"run": RunConfig(keep_checkpoints=0)}, "--run.keep-checkpoints is 0"),
        ({"run": RunConfig(print_every=0)}, "--run.print-every is 0"),
        ({"optimizer": OptimizerConfig(clip_norm=0.0)}, "--optimizer.clip-norm is 0.0"),
        ({"batch_size": 6, "run": RunConfig(devices=2)}, "is not a multiple of 4"),
        ({"run": RunConfig(devices=64)}, "--run.devices is 64 but this machine has"),
        ({"data.sequence_length": 17}, "17 is above the model's 16 positions"),
        ({"data.corpus": ("nowhere.txt",)}, "nowhere.txt"),
        ({"model": runs.MODEL.replace(vocab_size=9)}, "set --model.vocab-size"),
        ({"data.tokenizer": "wordpiece:many"}, "wordpiece:many"),
        ({"data.tokenizer": None}, "--data.tokenizer is missing"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused_before_the_run(home, changes, sentence):
    config = runs.pretrain_config(home, output=home / "refused")
    for name, value in changes.items():
        if name.startswith("data."):
            data = dataclasses.replace(config.data, **{name.removeprefix("data."): value})
            config = replace(config, data=data)
        else:
            config = replace(config, **{name: value})
    with pytest.raises(InputError, match=sentence):
        pretrain(config)
    assert not config.output.exists()


def test_teachers_that_do_not_fit_are_refused(home, tmp_path):
    other = runs.write_teacher(tmp_path / "other", words=[*runs.WORDS, "zebra", "quartz"])
    config = runs.distill_config(home, output=home / "refused", teacher=str(other))
    with pytest.raises(InputError, match="vocabular"):
        distill(config)
    no_terms = replace(config, loss=DistillationLoss().with_weights())
    with pytest.raises(InputError, match="all weights of --loss are 0"):
        distill(no_terms)
    with pytest.raises(InputError, match="--steps is 0"):
        distill(replace(config, steps=0))
    cold = DistillationLoss(ce=ForwardKL(weight=5.0, temperature=(2.0, 0.0)))
    with pytest.raises(InputError, match=r"--loss\.ce\.temperature is 0\.0: give"):
        distill(runs.distill_config(home, output=home / "refused", loss=cold))
    layers = runs.distill_config(home, output=home / "refused", student=StudentConfig(layers="0,7"))
    with pytest.raises(InputError, match="0 to 1"):
        distill(layers)
    assert not config.output.exists()


def test_pretraining_starts_from_a_shallower_model(home):
    config = runs.pretrain_config(home)
    start = open_checkpoint(home / "teacher")
    deep = initial_masked_lm(replace(config, model=runs.MODEL.replace(num_layers=3)), start)
    shallow = load(home / "teacher", MaskedLM)
    for source, target in ((0, 0), (1, 2)):
        ours, theirs = (m.backbone.encoder.layers for m in (deep, shallow))
        np.testing.assert_array_equal(
            ours[target].feed_forward.down.kernel, theirs[source].feed_forward.down.kernel
        )


def test_positions_may_start_as_sinusoids_as_large_as_words(home):
    embeddings = initial_masked_lm(
        runs.pretrain_config(home, sinusoidal_start=True)
    ).backbone.embeddings
    table = np.asarray(embeddings.position.embedding)
    scale = 2**0.5 * runs.MODEL.initializer_range
    np.testing.assert_allclose(table[:, 1], scale * np.cos(np.arange(16)), atol=1e-6)
    size = np.sqrt(np.mean(np.square(table)))
    np.testing.assert_allclose(size, runs.MODEL.initializer_range, rtol=0.05)
