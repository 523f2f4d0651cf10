"""Checkpoints are restored bit by bit, or refused: no damage on the disk becomes other weights."""

import errno
import os
import random
import shutil
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.errors import InputError
from tests.disk import damage, full_disk
from train.loop import orbax_errors
from train.loop.checkpoint import Checkpoints
from train.update.step import TrainState

EXTENT = (4, "abcd")


def state(step: int) -> TrainState:
    """Arrays as large as a model's: small ones lie inside Orbax's index, under its own checksum."""
    key = jax.random.key(step)
    kernel = jax.random.normal(key, (400, 700))
    params = {"dense": {"kernel": kernel, "bias": kernel[0]}}
    return TrainState(params, {"mu": params, "count": jnp.int32(step)}, jnp.int32(step))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    checkpoints = Checkpoints(folder)
    for step in (3, 7):
        checkpoints.save(state(step), {"kind": "test"}, EXTENT)
    checkpoints.close()
    return folder


def restored(folder: Path) -> TrainState:
    checkpoints = Checkpoints(folder)
    try:
        return checkpoints.restore(state(0))
    finally:
        checkpoints.close()


def same(a: TrainState, b: TrainState) -> bool:
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def copy_of(saved: Path, to: Path) -> Path:
    shutil.copytree(saved, to / "run")
    return to / "run"


def test_what_was_saved_comes_back(saved):
    assert same(restored(saved), state(7))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_no_damage_becomes_other_weights(saved, tmp_path, seed):
    """20 damages a seed: what is restored is bitwise the newest checkpoint or the one before."""
    chance = random.Random(seed)
    for number in range(20):
        run = copy_of(saved, tmp_path / str(number))
        files = [path for path in (run / "checkpoints" / "7").rglob("*") if path.is_file()]
        weights = [path.stat().st_size + 1 for path in files]
        what = damage(chance.choices(files, weights if number % 2 else None)[0], chance)
        found = restored(run)
        assert same(found, state(int(found.step))) and int(found.step) in (3, 7), what


def largest_file(folder: Path) -> Path:
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(saved, tmp_path, capsys):
    run = copy_of(saved, tmp_path)
    flip(largest_file(run / "checkpoints" / "7"))
    assert same(restored(run), state(3))
    assert "checkpoint 7 is damaged" in capsys.readouterr().out
    assert (run / "damaged-checkpoints" / "7").is_dir()
    checkpoints = Checkpoints(run)
    checkpoints.save(state(7), {}, EXTENT)  # its place is free
    checkpoints.close()
    assert same(restored(run), state(7))


def test_without_a_good_checkpoint_nothing_is_restored_or_moved(saved, tmp_path):
    run = copy_of(saved, tmp_path)
    for step in ("3", "7"):
        flip(largest_file(run / "checkpoints" / step))
    with pytest.raises(InputError, match=r"no checkpoint in .* can be used \(7: .*; 3: .*\)"):
        restored(run)
    assert {path.name for path in (run / "checkpoints").iterdir()} >= {"3", "7"}


def test_the_step_inside_must_be_the_step_of_the_name(saved, tmp_path):
    run = copy_of(saved, tmp_path)
    (run / "checkpoints" / "7").rename(run / "checkpoints" / "24")
    assert same(restored(run), state(3))


def test_a_full_disk_is_reported_in_one_sentence(tmp_path, capfd, caplog):
    checkpoints = Checkpoints(tmp_path)
    sentence = r"^a checkpoint could not be saved in .* \(File too large\): make room"
    with full_disk(100_000), pytest.raises(InputError, match=sentence):
        checkpoints.save(state(1), {}, EXTENT)
        checkpoints.close()
    output = capfd.readouterr()
    assert output.out + output.err == "" and caplog.records == []


def test_a_save_that_fails_before_it_returns_is_reported_at_the_end(tmp_path, monkeypatch, caplog):
    orbax_errors.release()
    checkpoints = Checkpoints(tmp_path)
    save = checkpoints._manager.save

    def save_and_fail(*arguments, **named):
        save(*arguments, **named)
        while checkpoints._manager.is_saving_in_progress():
            time.sleep(0.01)

    monkeypatch.setattr(checkpoints._manager, "save", save_and_fail)
    with full_disk(100_000), pytest.raises(InputError, match="File too large"):
        checkpoints.save(state(1), {}, EXTENT)
        checkpoints.close()
    assert caplog.records == []


def test_a_disk_that_takes_no_folders_is_reported_at_once(tmp_path, monkeypatch, capfd, caplog):
    """Nothing is left waiting for them."""
    checkpoints, make = Checkpoints(tmp_path), os.makedirs

    def refuse(path, *arguments, **named):
        if "config" in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        make(path, *arguments, **named)

    monkeypatch.setattr(os, "makedirs", refuse)
    with pytest.raises(InputError, match=r"\(Read-only file system\): make room or mend"):
        checkpoints.save(state(1), {}, EXTENT)
        checkpoints.close()
    output = capfd.readouterr()
    assert output.out + output.err == "" and caplog.records == []
    assert not [t for t in threading.enumerate() if type(t).__name__ == "_SignalingThread"]
