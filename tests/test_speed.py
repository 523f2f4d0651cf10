import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eval.speed import SIZES, Speed, reading_table, speed, update_table
from eval.speed_training import LOSS, OPTIMIZER, OURS, FlaxStep
from eval.timing import seconds_by_turns
from model.errors import InputError
from model.pretrained import save
from tests import tiny
from train.optimizer import OptimizerConfig

TORCH = "torch, float32"


@pytest.fixture
def smallest(monkeypatch):
    """The models of the tests in place of the tiny pair."""
    pair = (lambda: tiny.TEACHER, lambda: tiny.STUDENT)
    monkeypatch.setitem(SIZES, "tiny", pair)


def config(**changes) -> Speed:
    return Speed(train=True, batch=(4,), length=(8,), size="tiny", repeats=2, **changes)


def test_functions_are_called_by_turns():
    called = []
    functions = {name: lambda name=name: called.append(name) for name in "ab"}
    times = seconds_by_turns(functions, repeats=2)
    assert called == ["a", "b"] * 3
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}


def test_updates_are_measured_and_written(smallest, tmp_path, capsys):
    speed(config(json=tmp_path / "speed.json"))
    printed = capsys.readouterr().out
    assert OURS in printed and "4 x 8 tokens" in printed and "ru_maxrss" in printed
    record = json.loads((tmp_path / "speed.json").read_text())
    [update] = record["updates"]
    assert len(update["seconds"][OURS]) == 2 and min(update["seconds"][OURS]) > 0
    assert update["compile_seconds"] > 0
    # At least what jax's libraries need, and at most the memory of a large machine: bytes.
    assert 1e8 < update["peak_memory_bytes"] < 1e12
    assert record["settings"]["batch"] == [4]
    assert record["load_average_before"] >= 0
    assert record["provenance"]["versions"]["jax"] == jax.__version__
    assert "torch" not in record["provenance"]["versions"]


def test_reading_is_measured_and_written(smallest, tmp_path, capsys):
    settings = Speed(batch=(1, 2), length=(4, 8), size="tiny", repeats=2)
    result = speed(settings)
    assert [(row["batch"], row["length"]) for row in result["speeds"]] == [
        (1, 4), (2, 4), (1, 8), (2, 8)
    ]  # fmt: skip
    for row in result["speeds"]:
        assert min(row["sentences_per_second"].values()) > 0
    assert result["sizes"]["BERT"]["parameters"] > result["sizes"]["DistilBERT"]["parameters"]
    assert result["sizes"]["BERT"]["bytes"] > 4 * result["sizes"]["BERT"]["parameters"]
    printed = capsys.readouterr().out
    assert "2 x 8" in printed and "paper: 1.63" in printed


def test_the_tables_hold_medians_and_ratios():
    seconds = {OURS: [0.5, 9.0, 0.5], TORCH: [1.0, 0.1, 2.0]}
    printed = update_table({"batch": 8, "length": 128, "seconds": seconds})
    columns = [list(column.cells) for column in printed.columns]
    assert columns == [[OURS, TORCH], ["0.5", "1"], ["2,048", "1,024"], ["2.00 x", "1.00 x"]]
    size = {"parameters": 2e6, "bytes": 8e6}
    speeds = {"BERT": 10.0, "DistilBERT": 19.0, "torch: BERT": 5.0, "torch: DistilBERT": 10.0}
    row = {"batch": 8, "length": 128, "sentences_per_second": speeds}
    reading = reading_table({"sizes": {"BERT": size, "DistilBERT": size}, "speeds": [row]})
    cells = [next(iter(column.cells)) for column in reading.columns]
    assert cells == ["8 x 128", "10", "19", "1.90", "5", "10", "2.00, 1.90"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch": (0,)}, "--batch is 0, and must be at least 1"),
        ({"repeats": 0}, "--repeats is 0, and must be at least 1"),
        ({"length": (129,)}, "--length is 129, and the tiny models have 128 positions"),
        ({"length": (0,)}, "--length is 0"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_measured_are_told(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        speed(Speed(**{"size": "tiny", **changes}))


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install -e \.\[oracle\]"):
        speed(config(against="torch"))


def test_a_file_that_cannot_be_written_is_told(smallest, tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        speed(config(json=tmp_path / "nowhere" / "speed.json"))


@pytest.mark.oracle
def test_the_command_measures_torch_too(smallest, tmp_path, capsys):
    speed(config(against="torch", json=tmp_path / "speed.json"))
    record = json.loads((tmp_path / "speed.json").read_text())
    [update] = record["updates"]
    assert [len(values) for values in update["seconds"].values()] == [2, 2, 2]
    assert record["provenance"]["versions"]["torch"]
    assert "bfloat16 autocast" in capsys.readouterr().out


@pytest.mark.oracle
def test_torch_reads_by_turns_with_us(smallest, capsys):
    result = speed(Speed(batch=(2,), length=(8,), size="tiny", repeats=2, against="torch"))
    [row] = result["speeds"]
    names = ["BERT", "DistilBERT", "torch: BERT", "torch: DistilBERT"]
    assert list(row["sentences_per_second"]) == names
    assert "/ torch" in capsys.readouterr().out


@pytest.mark.oracle
@pytest.mark.parametrize("padded", [False, True])
def test_torch_does_the_same_work(tmp_path, padded):
    """The losses of four updates, so large that every setting of the optimizer shows in them.

    Large epsilon: Adam divides by the gradient's size, which would blow up its rounding.
    """
    from eval.speed_torch import TorchStep, as_tensors

    student, teacher = tiny.model(tiny.STUDENT), tiny.model(tiny.TEACHER, seed=1)
    save(student, tmp_path / "student")
    save(teacher, tmp_path / "teacher")
    batches = [jax.tree.map(jnp.asarray, tiny.batch(seed=seed)) for seed in range(4)]
    if not padded:
        for batch in batches:
            batch["attention_mask"] = jnp.ones_like(batch["attention_mask"])
            batch["input_ids"] = jnp.maximum(batch["input_ids"], 5)
    settings = OptimizerConfig(
        learning_rate=0.02, warmup_share=0.0, epsilon=1e-2, beta1=0.8, clip_norm=1.0
    )
    ours = FlaxStep(student, teacher, batches[0], LOSS, settings)
    theirs = TorchStep(tmp_path, LOSS, settings, autocast=False)
    for number, batch in enumerate(batches):
        expected = theirs(as_tensors(ours.masked(batch, number)))
        np.testing.assert_allclose(ours(batch), expected, rtol=1e-5, err_msg=str(number))


@pytest.mark.oracle
def test_autocast_computes_in_bfloat16(tmp_path):
    from eval.speed_torch import TorchStep, as_tensors

    student, teacher = tiny.model(tiny.STUDENT), tiny.model(tiny.TEACHER, seed=1)
    save(student, tmp_path / "student")
    save(teacher, tmp_path / "teacher")
    batch = jax.tree.map(jnp.asarray, tiny.batch())
    ours = FlaxStep(student, teacher, batch)
    theirs = TorchStep(tmp_path, LOSS, OPTIMIZER, autocast=True)
    expected = ours(batch)
    error = abs(theirs(as_tensors(ours.masked(batch, 0))) / expected - 1)
    assert 1e-5 < error < 5e-2
