"""The measurement of the losses over the vocabulary measures both ways."""

import json

import jax
import jax.numpy as jnp
import pytest

from eval.speed import VocabularySpeed, speed
from eval.timing import vocabulary
from eval.timing.vocabulary import LOSSES
from model.config import bert_base
from model.errors import InputError


def measure(settings):
    return speed(settings)["measured"]


@pytest.mark.slow
def test_both_ways_are_measured(tmp_path, capsys):
    file = tmp_path / "vocabulary.json"
    [row] = measure(VocabularySpeed(batch_size=(1,), sequence_length=33, repeats=1, json=file))
    scores = 4 * 33 * bert_base().vocab_size
    assert row["temporary_bytes"]["at once"] > 2 * scores  # of student and teacher
    assert row["temporary_bytes"]["in chunks"] > scores
    assert {way: len(times) for way, times in row["seconds"].items()} == {
        "at once": 1,
        "in chunks": 1,
    }
    assert "1 x 33" in capsys.readouterr().out
    assert json.loads(file.read_text())["measured"] == [row]


def test_no_sequences_are_reported():
    with pytest.raises(InputError, match="--batch-size is 0: give a number from 1"):
        measure(VocabularySpeed(batch_size=(0,)))


def test_what_no_device_can_hold_is_reported(monkeypatch, capsys):
    def lowered(loss, *_):
        if loss is LOSSES["at once"]:
            return TooLarge()
        return jax.jit(jnp.sin).lower(1.0)

    monkeypatch.setattr(vocabulary, "lowered_losses", lowered)
    monkeypatch.setattr(vocabulary, "find_topology", lambda _: Topology())
    [row] = measure(VocabularySpeed(batch_size=(1,), topology="any"))
    assert row["temporary_bytes"] == {"at once": None, "in chunks": 0}
    assert "does not fit" in capsys.readouterr().out


class TooLarge:
    def compile(self):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory on HBM")


class Topology:
    def devices(self):
        return jax.devices()[:1]
