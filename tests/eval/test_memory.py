"""The measurement of memory: what is known beforehand, and that a second model takes no part."""

import json

import numpy as np
import pytest

from eval.memory import MemoryUse, learning, measure_memory, reading, torch_peak
from eval.timing.measurement import run_measurement
from eval.timing.peak import peak_main_memory
from eval.timing.settings import SIZES
from eval.timing.worker import answer_once
from model.errors import InputError
from tests import tiny


def measure(**settings):
    return run_measurement(MemoryUse(**settings), measure_memory)


@pytest.mark.slow
def test_memory_is_measured_and_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(SIZES, "base", (tiny.TEACHER, tiny.STUDENT))
    file = tmp_path / "memory.json"
    record = measure(batch_size=(1, 4), sequence_length=(8,), json=file)
    assert [(row["model"], row["rows"]) for row in record["measured"]] == [
        ("BERT", 1), ("DistilBERT", 1), ("BERT", 4), ("DistilBERT", 4)
    ]  # fmt: skip
    for row in record["measured"]:
        # At least what jax's libraries need, and at most the memory of a large machine: bytes.
        assert 1e8 < row["peak"] < 1e12
    assert json.loads(file.read_text())["measured"] == record["measured"]
    printed = capsys.readouterr().out
    assert "4 x 8" in printed and "before there is a model" in printed


def test_weights_are_four_bytes_a_parameter():
    import jax
    from flax import nnx

    from model.tasks import backbone

    shapes = nnx.eval_shape(lambda: backbone(tiny.TEACHER, rngs=nnx.Rngs(0)))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(shapes)))
    assert reading(tiny.TEACHER, 2, 8)["weights"] == 4 * parameters


@pytest.mark.long
def test_learning_keeps_what_every_layer_made_and_reading_does_not():
    deep = tiny.TEACHER.replace(num_layers=2 * tiny.TEACHER.num_layers)
    two, four = (learning(config, 8, 16)["learning"] for config in (tiny.TEACHER, deep))
    assert four > 1.6 * two
    once, twice = (reading(config, 8, 16)["activations"] for config in (tiny.TEACHER, deep))
    assert twice - once < (four - two) / 5


@pytest.mark.long
def test_a_process_does_not_begin_with_the_peak_of_the_one_that_started_it():
    np.ones(1 << 29, np.uint8)
    assert peak_main_memory() > 1 << 29
    assert answer_once(peak_main_memory) < 1 << 29


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": (0,)}, "--batch-size is 0"),
        ({"batch_size": ()}, "--batch-size names nothing"),
        ({"sequence_length": ()}, "--sequence-length names nothing"),
        ({"sequence_length": (600,)}, "--sequence-length is 600: the models read 1 to 512 tokens"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        measure(**changes)


@pytest.mark.oracle
def test_torch_is_measured_in_a_process_of_its_own():
    assert 1e8 < torch_peak(tiny.STUDENT, 1, 8) < 1e12
