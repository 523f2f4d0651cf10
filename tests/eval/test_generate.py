"""The command that draws texts and measures their diversity."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax import nnx

from data.tokenizer import load_vocabulary, save_vocabulary
from data.wordpiece import train_wordpiece
from eval.diversity.drawing import Drawing, draw_texts, load_writer
from eval.generate import HUMAN, GenerateConfig, generate
from model import CausalLM, MaskedLM, SequenceClassification
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load, save
from tests import runs
from tests.checkpoints import fails
from tests.model.decoder.test_decoder import edit_json, seq2seq
from tests.small import DISTILBERT, build


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, a masked LM, a DistilBERT of it and a decoder, all of one vocabulary."""
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    vocabulary = load_vocabulary(folder / "teacher")
    config = load(folder / "teacher", MaskedLM).config
    generation = vocabulary.generation(config.vocab_size)
    for name, model in {
        "student": MaskedLM(config.distilled(num_layers=1), rngs=nnx.Rngs(5)),
        "decoder": CausalLM(config, generation=generation, rngs=nnx.Rngs(6)),
        "classifier": SequenceClassification(config, rngs=nnx.Rngs(7)),
    }.items():
        save(model, folder / name)
        save_vocabulary(vocabulary, folder / name)
    return folder


def settings(home: Path, model: str = "teacher", **changes: Any) -> GenerateConfig:
    data = replace(runs.data_config(home), tokenizer=None, sequence_length=128)
    config = GenerateConfig(
        model=str(home / model),
        samples=12,
        length=6,
        sweeps=2,
        burn_in=1,
        batch_size=5,
        data=data,
    )
    return replace(config, **changes)


@pytest.mark.long
@pytest.mark.parametrize("model", ["student", "decoder"])
def test_a_text_depends_on_seed_and_number_and_not_on_the_batch(home: Path, model: str) -> None:
    writer = load_writer(open_checkpoint(home / model), 6)
    vocabulary = load_vocabulary(home / model)
    drawing = Drawing(samples=11, length=6, sweeps=2, burn_in=1, batch_size=16)

    def draw(**changes: Any) -> np.ndarray:
        return draw_texts(writer, vocabulary, replace(drawing, **changes), 1.2)

    whole = draw()
    assert whole.shape == (11, 6) and not np.isin(whole, vocabulary.special).any()
    assert len({*map(tuple, whole)}) > 8
    assert np.array_equal(draw(batch_size=3), whole)
    assert np.array_equal(draw(samples=5), whole[:5])
    assert not np.array_equal(draw(seed=1), whole)


@pytest.mark.long
def test_the_command_measures_prints_and_writes(home: Path, tmp_path: Path, capsys: Any) -> None:
    sources = generate(
        settings(
            home,
            beside=(str(home / "decoder"),),
            temperatures=(1.0, 0.5),
            teacher=str(home / "teacher"),
            picture=tmp_path / "out.png",
            texts=tmp_path / "texts.jsonl",
            json=tmp_path / "out.json",
        )
    )
    names = [(each.name, each.temperature) for each in sources]
    models = [str(home / name) for name in ("teacher", "decoder")]
    assert names == [(HUMAN, None), *((name, t) for name in models for t in (1.0, 0.5))]
    printed = capsys.readouterr().out
    assert "12 texts of 6 tokens" in printed and "temperature 0.5:" in printed
    lines = [json.loads(line) for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert len(lines) == 5 * 12 and all(line["text"] for line in lines)
    assert [line["number"] for line in lines[:12]] == [*range(12)]
    # Human text is of the corpus's few words; random weights know all pieces.
    assert {*lines[0]["text"].split()} <= {*runs.WORDS}
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["settings"]["samples"] == 12 and record["provenance"]
    for each, written in zip(sources, record["texts"], strict=True):
        assert written["metrics"] == each.scores.metrics
        assert 0 < each.scores.metrics["distinct_1"] < each.scores.metrics["distinct_3"] <= 1
        assert {*each.scores.intervals} == {"self_bleu", "pseudo_perplexity"}
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    # Cold texts of a masked LM are those that it finds likely.
    hot, cold = (each.scores.metrics["pseudo_perplexity"] for each in sources[1:3])
    assert cold < hot


@pytest.mark.long
def test_a_reference_takes_the_place_of_the_held_out_text(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "human.txt"
    file.write_text("the old cat sees a small bird " * 30)
    sources = generate(settings(home, reference=str(file), burn_in=0, sweeps=1))
    assert "pseudo_perplexity" not in sources[0].scores.metrics
    assert sources[0].scores.metrics["distinct_1"] == 7 / (12 * 6)


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"samples": 0}, ["--samples is 0: give a number from 2"]),
        ({"length": 0}, ["--length is 0: give a number from 4"]),
        ({"temperatures": (1.0, 0.0)}, ["--temperatures is 0.0: give a number above 0"]),
        ({"temperatures": (-1.0,)}, ["--temperatures is -1.0: give a number above 0"]),
        ({"burn_in": 2}, ["--burn-in is 2 and --sweeps 2: leave at least one sweep"]),
        ({"length": 15}, ["--length is 15, and", "teacher has 16 positions: give at most 14"]),
        ({"samples": 5000}, ["stretches of 6 known tokens, and --samples asks for 5,000"]),
        ({"picture": Path("out.png")}, ["--picture shows diversity against pseudo-perplexity"]),
        ({"teacher": "decoder"}, ["decoder is a BertLMHeadModel: give a masked LM"]),
        ({"teacher": "teacher", "length": 15}, ["--length is 15, and teacher has 16 positions"]),
        ({"beside": ("teacher",)}, ["--beside names a model a second time"]),
        ({"json": Path("nowhere/out.json")}, ["cannot write nowhere/out.json"]),
        ({"texts": Path("nowhere/out.jsonl")}, ["cannot write nowhere/out.jsonl"]),
    ],
    ids=str,
)
def test_settings_that_make_no_sense(
    home: Path, changes: dict[str, Any], messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    with fails(*messages):
        generate(replace(settings(home), model="teacher", **changes))


def test_text_that_is_too_short(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "human.txt"
    file.write_text("the old cat\nsees a bird\n")
    with fails("make no sequence of 16", "or a smaller --length"):
        generate(settings(home, reference=str(file), length=14))


def test_models_that_no_text_is_drawn_from(home: Path, tmp_path: Path) -> None:
    with fails("classifier (BertForSequenceClassification) cannot write text"):
        generate(settings(home, "classifier"))
    save(build(seq2seq, DISTILBERT), tmp_path / "seq2seq")
    with fails("seq2seq (EncoderDecoderModel) cannot write text from nothing"):
        load_writer(open_checkpoint(tmp_path / "seq2seq"), 6)
    save(load(home / "student", MaskedLM), tmp_path / "decoder")
    edit_json(tmp_path / "decoder/config.json", lambda c: c.update(is_decoder=True))
    with fails("is_decoder is True"):
        generate(settings(tmp_path, "decoder"))


def test_another_vocabulary_is_refused(home: Path, tmp_path: Path) -> None:
    other = train_wordpiece(["other words are here"] * 3, 60)
    config = load(home / "student", MaskedLM).config.replace(vocab_size=other.size)
    save(MaskedLM(config, rngs=nnx.Rngs(0)), tmp_path / "other")
    save_vocabulary(other, tmp_path / "other")
    with fails("other has another vocabulary than", "within one vocabulary only"):
        generate(settings(home, beside=(str(tmp_path / "other"),)))
