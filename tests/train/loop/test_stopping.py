"""A run stopped at any place ends, after the same command, as if nothing had happened.

The loop is the real one; what it trains is three numbers, so that a test takes a moment.
"""

import shutil
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data import open as data_open
from data import prepare
from model.errors import InputError
from tests import runs
from tests.train.command.test_signals import no_cache, send, sent_during
from train.command.signals import Stopped, heeding, listening
from train.config import RunConfig
from train.loop import fit as loop
from train.loop.checkpoint import Checkpoints
from train.loop.fit import TrainingRun
from train.loop.learner import Learner
from train.loop.metric_log import MetricLog
from train.update.parallel import Parallel
from train.update.step import TrainState


class Numbers:
    """Batches of random numbers, two of whose eight places are padding."""

    batch_size = 4
    updates_per_epoch = Fraction(4)

    def __len__(self):
        return 16

    def tokens(self, step):
        return 6

    def iterate(self, start):
        for number in range(start, 100):
            yield {"input_ids": np.random.default_rng(number).integers(0, 9, (1, 4, 2))}


@jax.jit
def step(state, constants, batch, keys):
    """An update that depends on all before it."""
    params = jnp.sin(3 * state.params["three"] + batch["input_ids"].astype(jnp.float32).mean())
    return TrainState({"three": params}, (), state.step + 1), {"loss": params.sum()}


def read(params, number):
    """A batch of an evaluation."""
    return float((params["three"] * number).sum())


def export(params, folder):
    folder.mkdir(exist_ok=True)
    np.save(folder / "three.npy", params["three"])


def train(output: Path, step=step, every: int = 5, **options) -> dict[str, float]:
    """Twelve updates, an evaluation of three batches after every five."""
    config = runs.pretrain_config(output.parent, output=output, evaluate_every=every)
    return loop.fit(
        config,
        kind="pretrain",
        title="numbers",
        learner=Learner(TrainState({"three": jnp.full(3, 0.5)}, (), jnp.int32(0)), step, export),
        batches=Numbers(),
        parallel=Parallel(RunConfig(devices=1)),
        constants={},
        evaluate=lambda params, _: {"score": sum(heeding(read)(params, n) for n in range(3))},
        facts={},
        **{"best_by": "score", **options},
    )


def left_by(folder: Path) -> tuple:
    """What a run leaves, without times."""
    return (folder / "model" / "three.npy").read_bytes(), runs.metrics(folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    return train(folder), left_by(folder)


def in_call(owner, name, number, patch):
    """A signal comes at the start of the first, second, ... call of a function."""
    function, calls = getattr(owner, name), iter(range(1, 1000))

    def signalled(*arguments, **named):
        if next(calls) == number:
            send()
        return function(*arguments, **named)

    patch.setattr(owner, name, signalled)


def in_evaluation(number, patch):
    """A signal comes in the second batch of the first, second, ... evaluation."""
    function, calls = read, iter(range(1, 1000))

    def signalled(params, place):
        call = next(calls)
        if call == 3 * number - 1:
            send()
        assert call != 3 * number, "another batch after the signal"
        return function(params, place)

    patch.setattr(f"{__name__}.read", signalled)


PLACES = {
    "claiming the folder": (partial(in_call, loop, "claim", 1), 0),
    "the first evaluation": (partial(in_evaluation, 1), 0),
    "writing the best model": (partial(in_call, TrainingRun, "write_model", 1), 1),
    "an evaluation": (partial(in_evaluation, 2), 5),
    "a save": (partial(in_call, Checkpoints, "save", 2), 6),
    "an update": (partial(in_call, MetricLog, "step", 7), 8),
    "the last update": (partial(in_call, MetricLog, "step", 12), 12),
    "the last evaluation": (partial(in_evaluation, 4), 12),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_signal_acts_where_it_comes_and_nothing_is_lost(
    tmp_path, undisturbed, monkeypatch, place
):
    arrange, number = PLACES[place]
    with monkeypatch.context() as patch:
        arrange(patch)
        stops_at(number, tmp_path / "run")
    saved = [int(path.name) for path in tmp_path.glob("run/checkpoints/*")]
    assert max(saved, default=0) == number
    ends_as(undisturbed, tmp_path / "run")


def stops_at(number, folder, **options):
    with pytest.raises(Stopped, match=f"stopped at step {number} of 12; everything is saved"):
        train(folder, **options)


def ends_as(undisturbed, folder):
    """The same command leaves the same."""
    assert train(folder) == undisturbed[0]
    assert left_by(folder) == undisturbed[1]


def test_a_signal_during_the_compilation_of_the_update_acts_after_it(tmp_path, undisturbed):
    """The real compiler's, which is kept busy for a while."""

    @jax.jit
    def slow(state, *rest):
        square = jnp.ones((64, 64)) * state.params["three"][0]
        for _ in range(100):
            square = jnp.sort(jnp.sin(square @ square), axis=0)
        state, metrics = step(state, *rest)
        return state, metrics | {"loss": metrics["loss"] + 0 * square.sum()}

    def first(*arguments):
        lowered = slow.lower(*arguments)
        assert sent_during(lowered.compile)
        return slow(*arguments)

    with no_cache():
        stops_at(1, tmp_path / "run", step=first)
    ends_as(undisturbed, tmp_path / "run")


def test_a_signal_during_export_acts_after_it(tmp_path, undisturbed, monkeypatch):
    with monkeypatch.context() as patch:
        in_call(TrainingRun, "write_model", 1, patch)
        with pytest.raises(Stopped, match="the same command resumes"):
            train(tmp_path / "run", best_by=None)
    assert score_of(tmp_path / "run") == scores(undisturbed)[-1]
    train(tmp_path / "run", best_by=None)
    assert runs.metrics(tmp_path / "run") == undisturbed[1][1]


def scores(undisturbed):
    return [row["score"] for row in undisturbed[1][1] if row["kind"] == "heldout"]


def score_of(folder):
    params = {"three": jnp.asarray(np.load(folder / "model" / "three.npy"))}
    return sum(read(params, number) for number in range(3))


def test_the_model_is_that_of_the_best_step(tmp_path, undisturbed):
    train(tmp_path / "run")
    best = score_of(tmp_path / "run")
    first, *_, last = scores(undisturbed)
    assert best == max(scores(undisturbed)) > max(first, last)
    shutil.rmtree(tmp_path / "run" / "model")
    with pytest.raises(InputError, match="the model of the best step so far, is gone"):
        train(tmp_path / "run")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A run that may go on until two evaluations in a row are not better, of one an update."""
    folder = tmp_path_factory.mktemp("impatient") / "run"
    return train(folder, every=1, patience=2), left_by(folder)


def test_training_ends_when_patience_does(impatient, tmp_path, capsys):
    found = scores(impatient)
    best = [n for n, score in enumerate(found) if score > max(found[:n], default=-np.inf)]
    assert 0 < best[-1] == len(found) - 3 < 10
    assert all(after - before <= 2 for before, after in pairwise(best))
    assert impatient[0]["score"] == found[-1]
    train(tmp_path / "run", every=1, patience=2)
    said = f"training ends at step {len(found) - 1} of 12: no better score in evaluations of --pat"
    assert said in capsys.readouterr().out
    train(tmp_path / "run", every=1, patience=2)
    assert f"is complete: {len(found) - 1} steps were done before" in capsys.readouterr().out
    assert left_by(tmp_path / "run") == impatient[1]


def test_patience_is_the_same_after_a_stop_in_each_evaluation(tmp_path, impatient, monkeypatch):
    for at in range(len(scores(impatient))):
        with monkeypatch.context() as patch:
            in_evaluation(1 if at == 0 else 2, patch)
            stops_at(at, tmp_path / "run", every=1, patience=2)
    assert train(tmp_path / "run", every=1, patience=2) == impatient[0]
    assert left_by(tmp_path / "run") == impatient[1]


def test_a_run_can_be_stopped_twice_in_each_of_its_evaluations(tmp_path, undisturbed, monkeypatch):
    """The second stop finds the checkpoint that the first has saved."""
    for number, at in ((1, 0), (1, 0), (2, 5), (1, 5), (2, 10), (1, 10), (2, 12), (1, 12)):
        with monkeypatch.context() as patch:
            in_evaluation(number, patch)
            stops_at(at, tmp_path / "run")
    ends_as(undisturbed, tmp_path / "run")


@pytest.mark.parametrize(
    ("place", "call"), [("train_wordpiece", 1), ("tokenise", 1), ("tokenise", 2)]
)
def test_a_signal_while_data_are_prepared_acts_at_once(tmp_path, monkeypatch, place, call):
    """While a vocabulary is learned, and while each of the splits is tokenised."""
    runs.write_corpus(tmp_path / "corpus", files=5)
    settings = replace(runs.data_config(tmp_path), tokenizer="wordpiece:60")
    with monkeypatch.context() as patch:
        in_call(data_open if place == "train_wordpiece" else prepare, place, call, patch)
        with pytest.raises(Stopped, match="the same command can be given again"), listening():
            data_open.open_data(settings)
            pytest.fail("still here")
    assert not list(settings.cache.rglob("*.partial"))
    again = data_open.open_data(settings)
    fresh = data_open.open_data(replace(settings, cache=tmp_path / "fresh"))
    assert again.vocabulary.pieces == fresh.vocabulary.pieces
    for ours, theirs in ((again.train, fresh.train), (again.heldout, fresh.heldout)):
        np.testing.assert_array_equal(ours.tokens, theirs.tokens)
