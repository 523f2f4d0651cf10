import json
import sys
from dataclasses import dataclass, replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from eval.speed import ReadingSpeed, SearchSpeed, UpdateSpeed, speed
from eval.timing import loops as timing_loops
from eval.timing.finetuning import SST2_LENGTHS, FinetuneCase, lengths_of
from eval.timing.loops import (
    AUTOCAST,
    Clock,
    compare_contenders,
    loop_table,
    outlook,
    start_worker,
    with_attention_dropout,
)
from eval.timing.reading import reading_table
from eval.timing.search import random_batches, search_times
from eval.timing.settings import SIZES
from eval.timing.updates import LOSS, OPTIMIZER, FlaxStep, TextCase, random_batch
from eval.timing.worker import OutOfMemoryError, TooSlowError, Worker
from model.errors import InputError
from model.pretrained import save
from report.reading_speed import time_alternately
from tasks.search.vectors import write_vectors
from tests import tiny
from train.update.optimizer import OptimizerConfig

OURS, TORCH = "this repository, float32", "torch, float32"


@pytest.fixture
def smallest(monkeypatch):
    """The models of the tests in place of the tiny pair."""
    pair = (tiny.TEACHER, tiny.STUDENT)
    monkeypatch.setitem(SIZES, "tiny", pair)


def config(**changes) -> UpdateSpeed:
    settings = {
        "batch_size": (4,),
        "sequence_length": (8,),
        "texts": 40,
        "size": "tiny",
        "repeats": 2,
    }
    return UpdateSpeed(**{**settings, **changes})


def case(loop):
    if loop == "finetune":
        return FinetuneCase(tiny.STUDENT, rows=8, texts=40, on="cpu")
    return TextCase(loop, tiny.TEACHER, tiny.STUDENT, rows=4, length=8, on="cpu")


def test_functions_are_called_alternately():
    called = []
    functions = {name: lambda name=name: called.append(name) for name in "ab"}
    told = []
    times = time_alternately(functions, repeats=2, announce=told.append)
    assert called == ["a", "b"] * 3
    assert len(told) == 1 and told[0] > 0
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}


@pytest.mark.long
def test_updates_are_measured_and_written(smallest, tmp_path, capsys):
    speed(config(loops=("pretrain",), json=tmp_path / "speed.json"))
    printed = capsys.readouterr().out
    for text in (OURS, "An update of pretraining, sequences of 8 tokens", "MFU", "FLOP/s"):
        assert text in printed
    record = json.loads((tmp_path / "speed.json").read_text())
    [loop] = record["loops"]
    ours = loop["contenders"][OURS]
    assert len(ours["seconds"]) == 2 and min(ours["seconds"]) > 0
    assert ours["compile_seconds"] > 0
    # At least what jax's libraries need, and at most the memory of a large machine: bytes.
    assert 1e8 < ours["peak_memory_bytes"] < 1e12
    median = np.median(ours["seconds"])
    assert ours["tokens_per_second"] == pytest.approx(4 * 8 / median)
    peak = record["device"]["measured_peak"]
    assert ours["utilisation"] == pytest.approx(ours["flops"] / median / peak)
    assert 0 < ours["utilisation"] < 1
    assert record["settings"]["batch_size"] == [4]
    assert record["load_average_before"] >= 0
    assert record["provenance"]["versions"]["jax"] == jax.__version__
    assert "torch" not in record["provenance"]["versions"]


@pytest.mark.long
@pytest.mark.parametrize("loop", ["distill", "finetune"])
def test_a_case_trains_and_knows_what_it_needs(loop):
    measured = case(loop)
    contender = measured.ours()
    assert contender.update() > 0
    facts = contender.facts()
    assert facts["compile_seconds"] > 0 and facts["peak_memory_bytes"] > 1e8
    if loop == "finetune":  # padding is counted, and is less than padding all to the longest
        longest = lengths_of(40, tiny.STUDENT.max_positions).max()
        assert measured.tokens < facts["positions"] < 40 * longest


def test_texts_are_as_long_as_those_of_sst2():
    lengths = lengths_of(2000, 512)
    assert lengths.mean() == pytest.approx(13.32, rel=0.02)
    quantiles = np.quantile(lengths, [*SST2_LENGTHS])
    np.testing.assert_allclose(quantiles, [*SST2_LENGTHS.values()], atol=2)
    assert lengths_of(2000, 16).max() == 16
    finetuning = case("finetune")
    assert finetuning.tokens == lengths_of(40, tiny.STUDENT.max_positions).sum()


@dataclass(frozen=True)
class Sized:
    """A case of which so many rows fit."""

    rows: int
    fits: int
    first_seconds: float = 4.0
    tokens = flops = 8

    def ours(self):
        raise NotImplementedError


class Inline(Worker):
    """A worker without a process."""

    def __init__(self, make, limit=None):
        case = make.__self__
        if case.rows > case.fits:
            raise OutOfMemoryError("RESOURCE_EXHAUSTED: 9 GiB")
        if limit is not None and case.first_seconds > limit:
            raise TooSlowError(limit)
        self.first_seconds = case.first_seconds

    def update(self):
        return 2.0

    def facts(self):
        return {"peak_memory_bytes": 7, "compile_seconds": 3.0}

    def shutdown(self, wait=True):
        pass


@pytest.mark.parametrize(("fits", "rows"), [(1000, 256), (100, 96), (1, 1)])
def test_without_a_batch_the_most_that_fits_is_taken(monkeypatch, tmp_path, fits, rows):
    monkeypatch.setattr(timing_loops, "Worker", Inline)
    assert start_worker(Sized(0, fits), OURS, tmp_path)[0].rows == rows


@pytest.mark.parametrize("rows", [0, 32])
def test_a_batch_that_does_not_fit_is_reported(monkeypatch, tmp_path, rows):
    monkeypatch.setattr(timing_loops, "Worker", Inline)
    with pytest.raises(InputError, match=r"batch of \d+ does not fit; a smaller --batch.*9 GiB"):
        start_worker(Sized(rows, 0), OURS, tmp_path)


@pytest.mark.parametrize("together", [True, False])
def test_utilisation_is_flops_over_time_and_peak(monkeypatch, together):
    monkeypatch.setattr(timing_loops, "Worker", Inline)
    asked = {name: (Sized(4, 4), name) for name in (OURS, "another")}
    found = compare_contenders(asked, 3, together=together, peak=40.0)
    assert list(found) == [OURS, "another"]
    assert found[OURS] == {
        "batch": 4,
        "tokens": 8,
        "flops": 8,
        "seconds": [2.0] * 3,
        "tokens_per_second": 4.0,
        "utilisation": 0.1,
        "peak_memory_bytes": 7,
        "compile_seconds": 3.0,
    }


@pytest.mark.parametrize("together", [True, False])
def test_a_contender_that_is_ten_times_slower_is_cut_short(monkeypatch, together, capsys):
    monkeypatch.setattr(timing_loops, "Worker", Inline)
    seconds = {OURS: 7.0, "slow": 71.0, "as slow as may be": 70.0, "first slowly": 60.0}
    asked = {name: (Sized(4, 4, first), OURS) for name, first in seconds.items()}
    found = compare_contenders(asked, 3, together=together, peak=40.0)
    assert list(found) == list(asked)
    assert found["slow"] == {"cut": 70.0}
    assert all(len(found[name]["seconds"]) == 3 for name in asked if name != "slow")
    assert "slow: cut short, its first update takes over 70 s" in capsys.readouterr().out
    table = loop_table({"loop": "distill", "length": 128, "contenders": found})
    assert "over 70" in map(str, table.columns[2].cells)


def test_it_says_before_what_it_will_do_and_for_how_long():
    asked = {name: (Sized(4, 4), OURS) for name in (OURS, "another")}
    case = Sized(4, 4)
    sentence = outlook([(case, asked)] * 3, 5, peak=0.4)
    # 3 comparisons, 6 updates of 2 contenders, 8 operations each at 0.2 a second
    assert f"3 comparisons of {OURS}; another" in sentence and "about 24 min" in sentence
    assert "the most sequences that fit" in outlook([(Sized(0, 4), asked)], 5, peak=0.4)


def test_what_would_end_after_the_minutes_is_not_begun(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(timing_loops, "time", SimpleNamespace(monotonic=lambda: now[0]))
    clock, endless = Clock(10.0), Clock(None)
    assert clock.has_time()
    for seconds in (150, 250):  # 200 s are left after them
        now[0] += seconds
        clock.tick()
        endless.tick()
    assert not clock.has_time() and endless.has_time()
    now[0] -= 50
    assert clock.has_time()


@pytest.mark.parametrize("loop", ["distill", "finetune"])
def test_attention_dropout_is_changed_in_all_models(loop):
    changed = with_attention_dropout(case(loop), 0.3)
    assert changed.student == tiny.STUDENT.replace(attention_dropout=0.3)
    if loop == "distill":
        assert changed.teacher.attention_dropout == 0.3


@pytest.mark.long
def test_reading_is_measured_and_written(smallest, tmp_path, capsys):
    settings = ReadingSpeed(batch_size=(1, 2), sequence_length=(4, 8), size="tiny", repeats=2)
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
    begins = "Sentences that BERT and DistilBERT read in a second, beside the paper's ratio. Each"
    assert printed.startswith(begins)
    assert printed.index("1 x 4 tokens: at most") < printed.index("paper: 1.63")


def test_a_teacher_and_its_student_are_read_from_their_folders(tmp_path):
    folders = []
    for name, config in (("teacher", tiny.TEACHER), ("student", tiny.STUDENT)):
        folders.append(str(tmp_path / name))
        save(tiny.model(config), folders[-1])
    settings = ReadingSpeed(batch_size=(2,), pair=(folders[0], folders[1]), repeats=1)
    result = speed(settings)
    [row] = result["speeds"]
    assert row["length"] == tiny.LENGTH  # all that they can read: they have less than 128 positions
    assert [*row["sentences_per_second"]] == ["teacher", "student"]
    sizes = result["sizes"]
    assert sizes["teacher"]["parameters"] > sizes["student"]["parameters"] > 0
    with pytest.raises(InputError, match="--sequence-length is 17: the models read 1 to 16 tokens"):
        speed(replace(settings, sequence_length=(17,)))
    with pytest.raises(InputError, match="nowhere: there is no such folder here"):
        speed(replace(settings, pair=(folders[0], str(tmp_path / "nowhere"))))


def test_the_tables_hold_medians_and_ratios():
    def numbers(seconds, memory, **more):
        speed = 1024 / float(np.median(seconds))
        found = {"batch": 8, "seconds": seconds, "tokens_per_second": speed, "utilisation": 0.254}
        found["tokens"] = 1024
        return found | {"peak_memory_bytes": memory, **more}

    contenders = {
        OURS: numbers([0.5, 9.0, 0.5], 3.9e9, compile_seconds=7.51),
        TORCH: numbers([1.0, 0.1, 2.0], 4.2e9, positions=1280),
    }
    printed = loop_table({"loop": "distill", "length": 128, "contenders": contenders})
    assert [list(map(str, column.cells)) for column in printed.columns] == [
        [OURS, TORCH], ["8", "8"], ["0.5", "1"], ["2,048", "1,024"], ["0%", "20%"],
        ["25%", "25%"],
        ["3.90 GB", "4.20 GB"], ["7.5 s", ""], ["2.00 x", "1.00 x"],
    ]  # fmt: skip
    size = {"parameters": 2e6, "bytes": 8e6}
    speeds = {"BERT": 10.0, "DistilBERT": 19.0, "torch: BERT": 5.0, "torch: DistilBERT": 10.0}
    row = {"batch": 8, "length": 128, "sentences_per_second": speeds}
    reading = reading_table({"sizes": {"BERT": size, "DistilBERT": size}, "speeds": [row]})
    assert [list(map(str, column.cells)) for column in reading.columns] == [
        ["8 x 128", ""], ["ours", "torch"], ["10", "5"], ["19", "10"], ["1.90", "2.00"],
        ["", "2.00, 1.90"],
    ]  # fmt: skip
    alone = {name: speeds[name] for name in ("BERT", "DistilBERT")}
    row = {"batch": 8, "length": 128, "sentences_per_second": alone}
    reading = reading_table({"sizes": {"BERT": size, "DistilBERT": size}, "speeds": [row]})
    assert [str(next(iter(column.cells))) for column in reading.columns] == [
        *("8 x 128", "10", "19", "1.90")
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": (0,)}, "--batch-size is 0: give a number from 1"),
        ({"repeats": 0}, "--repeats is 0: give a number from 1"),
        (
            {"sequence_length": (129,)},
            "--sequence-length is 129: the models read 1 to 128 tokens",
        ),
        ({"sequence_length": (0,)}, "--sequence-length is 0"),
        ({"texts": 0}, "--texts is 0"),
        ({"attention_dropout": 1.0}, "--attention-dropout is 1.0: give a number from 0 to 0.99"),
        ({"device": "gpu"}, "--device gpu: JAX finds none"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_measured_are_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        speed(UpdateSpeed(**{"size": "tiny", **changes}))


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[oracle\]'"):
        speed(config(against="torch"))


def test_without_grain_the_other_loops_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(InputError, match="give --loops pretrain distill"):
        speed(config())


def test_a_file_that_cannot_be_written_is_reported(monkeypatch, smallest, tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        speed(config(json=tmp_path / "nowhere" / "speed.json"))


@pytest.mark.oracle
def test_the_command_measures_torch_too(smallest, tmp_path, capsys):
    speed(config(loops=("distill",), against="torch", json=tmp_path / "speed.json"))
    record = json.loads((tmp_path / "speed.json").read_text())
    [loop] = record["loops"]
    assert list(loop["contenders"]) == [OURS, TORCH, AUTOCAST]
    assert [len(c["seconds"]) for c in loop["contenders"].values()] == [2, 2, 2]
    assert record["provenance"]["versions"]["torch"]
    assert "bfloat16 autocast" in capsys.readouterr().out


@pytest.mark.oracle
@pytest.mark.parametrize("loop", ["pretrain", "finetune"])
def test_torch_trains_on_what_was_written(tmp_path, loop):
    measured = case(loop)
    measured.save_for_torch(tmp_path)
    contender = measured.torch(tmp_path, autocast=False)
    assert contender.update() > 0
    assert contender.facts()["peak_memory_bytes"] > 1e8


@pytest.mark.oracle
def test_torch_without_a_gpu_is_reported(tmp_path):
    measured = case("pretrain")
    measured.save_for_torch(tmp_path)
    with pytest.raises(InputError, match=r"torch .* sees no gpu"):
        replace(measured, on="gpu").torch(tmp_path, autocast=False)


@pytest.mark.long
def test_onnxruntime_reads_alternately_with_us(smallest, tmp_path, capsys):
    settings = ReadingSpeed(
        batch_size=(2,),
        sequence_length=(8,),
        size="tiny",
        repeats=2,
        against=("onnxruntime",),
        json=tmp_path / "speed.json",
    )
    [row] = speed(settings)["speeds"]
    names = ["BERT", "DistilBERT"]
    others = [f"onnxruntime{kind}: {name}" for name in names for kind in ("", " int8")]
    assert list(row["sentences_per_second"]) == [*names, *others]
    assert "onnxruntime int8" in capsys.readouterr().out
    record = json.loads((tmp_path / "speed.json").read_text())
    assert {"onnx", "onnxruntime"} < {*record["provenance"]["versions"]}


def test_without_onnxruntime_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"--against onnxruntime needs onnxruntime, .*\[onnx\]"):
        speed(ReadingSpeed(against=("onnxruntime",)))


@pytest.mark.oracle
def test_torch_reads_alternately_with_us(smallest, capsys):
    result = speed(
        ReadingSpeed(
            batch_size=(2,), sequence_length=(8,), size="tiny", repeats=2, against=("torch",)
        )
    )
    [row] = result["speeds"]
    names = ["BERT", "DistilBERT", "torch: BERT", "torch: DistilBERT"]
    assert list(row["sentences_per_second"]) == names
    assert "/ theirs" in capsys.readouterr().out


@pytest.mark.oracle
@pytest.mark.parametrize("loop", ["pretrain", "distill"])
def test_torch_does_the_same_work(tmp_path, loop):
    """The losses of four updates, so large that every setting of the optimizer shows in them.

    Large epsilon: Adam divides by the gradient's size, which would blow up its rounding.
    """
    from eval.timing.torch_updates import TorchStep, as_tensors

    models = {"trained": tiny.model(tiny.STUDENT), "teacher": tiny.model(tiny.TEACHER, seed=1)}
    if loop == "pretrain":
        models = {"trained": tiny.model(tiny.TEACHER)}
    for name, model in models.items():
        save(model, tmp_path / name)
    batches = [random_batch(tiny.TEACHER, 4, 16, seed) for seed in range(4)]
    settings = OptimizerConfig(
        learning_rate=0.02, warmup_share=0.0, epsilon=1e-2, beta1=0.8, clip_norm=1.0
    )
    ours = FlaxStep(models["trained"], models.get("teacher"), batches[0], LOSS, settings)
    theirs = TorchStep(tmp_path, LOSS if loop == "distill" else None, settings, autocast=False)
    for number, batch in enumerate(batches):
        expected = theirs(as_tensors(ours.masked(batch, number)))
        np.testing.assert_allclose(ours(batch), expected, rtol=1e-5, err_msg=str(number))


@pytest.mark.oracle
def test_autocast_computes_in_bfloat16(tmp_path):
    from eval.timing.torch_updates import TorchStep, as_tensors

    student, teacher = tiny.model(tiny.STUDENT), tiny.model(tiny.TEACHER, seed=1)
    save(student, tmp_path / "trained")
    save(teacher, tmp_path / "teacher")
    batch = random_batch(tiny.TEACHER, 4, 16, 0)
    ours = FlaxStep(student, teacher, batch)
    theirs = TorchStep(tmp_path, LOSS, OPTIMIZER, autocast=True)
    expected = ours(batch)
    error = abs(theirs(as_tensors(ours.masked(batch, 0))) / expected - 1)
    assert 1e-5 < error < 5e-2


@pytest.mark.parametrize("vectors", ["float32", "float16"])
def test_searches_are_timed(vectors, tmp_path):
    settings = SearchSpeed(documents=(30,), width=8, queries=(1, 3), top=2, repeats=2)
    batches = list(random_batches(30, 8))
    np.testing.assert_allclose(np.linalg.norm(batches[0][1], axis=1), 1, atol=1e-6)
    write_vectors(tmp_path / "v.npy", (30, 8), vectors, batches, None)
    times = search_times(settings, tmp_path / "v.npy")
    assert list(times["seconds"]) == [1, 3] and times["peak"] >= times["libraries"] > 0
    assert min(times["first"], *times["seconds"].values()) > 0


@pytest.mark.long
def test_a_search_is_measured_in_a_process_of_its_own(capsys, tmp_path):
    settings = SearchSpeed(documents=(30,), width=8, queries=(1, 3), top=2, repeats=2)
    result = speed(replace(settings, json=tmp_path / "s.json"))
    (row,) = result["measured"]
    assert row["index_bytes"] == 128 + row["documents"] * 8 * 4
    assert row["peak"] >= row["libraries"] > 0
    assert min(row["first"], *row["seconds"].values()) > 0
    assert json.loads((tmp_path / "s.json").read_text())["settings"]["top"] == 2
    printed = capsys.readouterr().out
    assert "Exact search, 8 numbers in float32, the best 2" in printed and "3 queries" in printed
    with pytest.raises(InputError, match="--top is 31: --documents 30 are fewer"):
        speed(replace(settings, top=31))
