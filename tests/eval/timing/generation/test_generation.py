"""The measurement of generation: the texts that both sides write, memory, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.speed import GenerationSpeed, speed
from eval.timing.generation import measure as module
from eval.timing.generation.case import FlaxTexts, GenerationCase
from eval.timing.generation.measure import OURS, TORCH, check_writer, generation_table
from eval.timing.settings import SIZES
from eval.timing.worker import OutOfMemoryError, update_alternately
from model import CausalLM, MaskedLM
from model.pretrained import save
from tests import tiny
from tests.checkpoints import fails
from tests.model.decoder.test_decoder import causal, seq2seq
from tests.small import BERT, DISTILBERT, build

KINDS = {"seq2seq": (seq2seq, DISTILBERT), "causal": (causal, BERT)}


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    model = build(*KINDS[request.param])
    bias = (model.decoder if request.param == "seq2seq" else model).head.bias
    bias[...] = bias[...].at[3].set(30.0)  # it would always end at once
    save(model, tmp_path / request.param)
    return tmp_path / request.param


def case(folder: Path, **changes: Any) -> GenerationCase:
    return replace(GenerationCase(folder, 3, 2, 5, 7, "cpu"), **changes)


class Inline:
    """A contender in this very process."""

    def __init__(self, make: Any):
        self.contender = make()
        self.first_seconds = self.contender.update()
        self.update, self.facts = self.contender.update, self.contender.facts

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("beams", [1, 2])
def test_all_texts_are_of_the_length_that_is_counted(folder: Path, beams: int) -> None:
    measured = case(folder, beams=beams)
    contender = FlaxTexts(measured)
    texts = contender.texts()
    assert texts.shape == (3, 7) and texts.size == measured.tokens
    assert not np.isin(texts, (1, 3, 4)).any()  # suppressed, and the end
    assert contender.update() > 0
    facts = contender.facts()
    assert facts["compile_seconds"] > 0 and facts["peak_memory_bytes"] > 1e8


@pytest.mark.long
def test_memory_is_bounded_by_rows_and_beams_and_length(folder: Path) -> None:
    """What is kept beside the weights grows no faster than their product, on this small model."""

    def needed(**changes: int) -> int:
        return FlaxTexts(case(folder, **changes)).facts()["temporary_bytes"]

    base = needed(rows=64, beams=2, new_tokens=8)
    for more in ({"rows": 128}, {"beams": 4}, {"new_tokens": 16}):
        assert needed(**{"rows": 64, "beams": 2, "new_tokens": 8, **more}) < 2.2 * base, more


@pytest.mark.long
def test_the_command_measures_and_writes(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setattr(module, "Worker", Inline)
    settings = GenerationSpeed(
        model=str(folder), beams=(1, 2), batch_size=(2,), source_length=4, new_tokens=3, repeats=2
    )
    result = speed(replace(settings, json=tmp_path / "out.json"))
    assert [(row["beams"], row["batch"]) for row in result["measured"]] == [(1, 2), (2, 2)]
    for row in result["measured"]:
        (ours,) = row["contenders"].values()
        assert len(ours["seconds"]) == 2
        assert ours["tokens_per_second"] == pytest.approx(2 * 3 / np.median(ours["seconds"]))
    printed = capsys.readouterr().out
    assert "Texts of 3 tokens, float32" in printed and "peak MB" in printed
    assert json.loads((tmp_path / "out.json").read_text())["settings"]["new_tokens"] == 3


@pytest.mark.long
def test_a_model_of_random_weights_is_measured_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SIZES, "tiny", (tiny.TEACHER, tiny.STUDENT))
    result = speed(
        GenerationSpeed(
            size="tiny", beams=(2,), batch_size=(2,), source_length=4, new_tokens=3, repeats=1
        )
    )
    (row,) = result["measured"]
    assert row["contenders"][OURS]["tokens_per_second"] > 0


def test_the_table_holds_the_ratio() -> None:
    numbers = {
        OURS: {"tokens_per_second": 1500.0, "peak_memory_bytes": 3e8},
        TORCH: {"tokens_per_second": 1000.0, "peak_memory_bytes": 5e8},
    }
    settings = GenerationSpeed(against="torch", new_tokens=9)
    table = generation_table(settings, [{"beams": 4, "batch": 8, "contenders": numbers}])
    cells = [str(next(iter(column.cells))) for column in table.columns]
    assert cells == ["4", "8", "1,500", "300", "1,000", "500", "1.50"]


def test_what_cannot_be_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save(build(MaskedLM, BERT), tmp_path / "bert")
    save(build(CausalLM, BERT), tmp_path / "silent")
    save(build(seq2seq, DISTILBERT), tmp_path / "seq2seq")
    settings = GenerationSpeed(source_length=20, new_tokens=20)
    with fails("bert is a BertForMaskedLM, which generates no text"):
        check_writer(str(tmp_path / "bert"), settings)
    with fails("silent does not say which tokens start and end a text"):
        check_writer(str(tmp_path / "silent"), settings)
    with fails("--new-tokens is 21, and", "has 20 positions for that"):
        check_writer(str(tmp_path / "seq2seq"), replace(settings, new_tokens=21))
    with fails("--source-length is 21, and", "has 20 positions for that"):
        check_writer(str(tmp_path / "seq2seq"), replace(settings, source_length=21))
    with fails("--new-tokens is 129: models of the size tiny have 128 positions"):
        speed(GenerationSpeed(size="tiny", new_tokens=129))

    def full(_: Any) -> None:
        raise OutOfMemoryError("RESOURCE_EXHAUSTED: 9 GiB")

    monkeypatch.setattr(module, "Worker", full)
    given = replace(settings, model=str(tmp_path / "seq2seq"), beams=(2,), batch_size=(4,))
    with fails("4 texts of 2 beams do not fit; a smaller --batch-size may", "9 GiB"):
        speed(given)


@pytest.mark.oracle
@pytest.mark.parametrize("beams", [1, 4])
def test_both_sides_write_the_same_texts(folder: Path, beams: int) -> None:
    from eval.timing.generation.torch_texts import TorchTexts

    measured = case(folder, beams=beams)
    ours, theirs = FlaxTexts(measured), TorchTexts(measured)
    assert np.array_equal(ours.texts(), theirs.texts())
    seconds, facts = update_alternately({OURS: ours, TORCH: theirs}, 2)
    assert min(map(min, seconds.values())) > 0
    assert min(each["peak_memory_bytes"] for each in facts.values()) > 1e8


@pytest.mark.oracle
def test_torch_writes_alternately_with_us(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    result = speed(
        GenerationSpeed(
            model=str(folder),
            beams=(2,),
            batch_size=(2,),
            source_length=4,
            new_tokens=3,
            repeats=2,
            against="torch",
        )
    )
    (row,) = result["measured"]
    assert [*row["contenders"]] == [OURS, TORCH]
