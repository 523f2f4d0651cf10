"""`eval.predict --embed` against each text alone, and an embedder that is asked about a pair."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.tokenizer import save_vocabulary
from data.wordpiece import train_wordpiece
from eval.predict import PredictConfig, open_model, predict, run
from model.distilbert import DistilBert
from model.errors import InputError
from model.pretrained import save
from model.tasks import Embedder
from tasks.embeddings.embed import embed
from tasks.reading import Asked, Reading
from tests import runs
from tests.small import build

TEXTS = ("the old cat", "a red bird sees the dog", "a tree")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("embedder")
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
    shape = runs.MODEL.distilled(2).replace(vocab_size=vocabulary.size)
    backbone = build(DistilBert, shape)
    for name, prompts in [("plain", ()), ("prompts", (("query", "a "),))]:
        save(Embedder(backbone, prompts=prompts), folder / name)
        save_vocabulary(vocabulary, folder / name)
    (folder / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    (folder / "texts.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in TEXTS))
    return folder


def config(home: Path, tmp_path: Path, name: str = "plain", **settings: Any) -> PredictConfig:
    return PredictConfig(model=str(home / name), embed=tmp_path / "vectors.npy", **settings)


@pytest.mark.parametrize(
    "given", [{"texts": TEXTS}, {"file": "texts.txt"}, {"file": "texts.jsonl"}]
)
def test_each_text_has_a_row(home, tmp_path, given, capsys):
    if "file" in given:
        given = {"file": home / given["file"]}
    run(config(home, tmp_path, **given))
    vectors = np.load(tmp_path / "vectors.npy")
    assert (vectors.dtype, vectors.shape) == (np.float32, (3, 16))
    model, vocabulary = open_model(str(home / "plain"))
    np.testing.assert_allclose(vectors, embed(model, vocabulary, TEXTS), atol=1e-6)
    assert capsys.readouterr().out == f"3 vectors, 16 wide: {tmp_path / 'vectors.npy'}\n"


def test_a_prompt_and_a_length(home, tmp_path):
    with pytest.raises(InputError, match=r"before its texts: 'a ' .* say with --prompt"):
        run(config(home, tmp_path, "prompts", texts=TEXTS))
    assert not (tmp_path / "vectors.npy").exists()
    reading = Reading(max_length=4)
    run(config(home, tmp_path, "prompts", texts=TEXTS, prompt="the ", reading=reading))
    model, vocabulary = open_model(str(home / "plain"))
    expected = embed(model, vocabulary, [f"the {text}" for text in TEXTS], max_length=4)
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"pair": "a"}, "--pair means nothing to --embed, which writes vectors"),
        ({"top": 3}, "--top means nothing to --embed"),
        ({"jsonl": True}, "--jsonl means nothing to --embed"),
        ({"link": Path("x")}, "--link means nothing to --embed"),
        ({"reading": Reading(long="windows")}, "--reading.long means nothing to --embed"),
        ({"embed": None, "prompt": "a "}, "--prompt is put before the texts of --embed"),
        ({"texts": ("a", " ")}, "text 2"),
        ({"embed": Path("/nowhere/v.npy")}, "cannot write /nowhere/v.npy"),
    ],
)
def test_what_does_not_go_with_it_is_refused(home, tmp_path, settings, sentence):
    given = {"model": str(home / "plain"), "embed": tmp_path / "v.npy", "texts": TEXTS, **settings}
    with pytest.raises(InputError, match=sentence):
        run(PredictConfig(**given))
    assert not (tmp_path / "v.npy").exists()


def test_the_texts_are_not_written_over(home, tmp_path):
    given = home / "texts.txt"
    with pytest.raises(InputError, match="it is one of the files to read"):
        run(replace(config(home, tmp_path, file=given), embed=given))
    assert given.read_text().splitlines() == [*TEXTS]


def test_a_full_disk_leaves_the_old_file(home, tmp_path, monkeypatch):
    def fail(stream, *_, **__):
        stream.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "vectors.npy").write_bytes(b"old")
    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(InputError, match="No space left"):
        run(config(home, tmp_path, texts=TEXTS))
    assert [f.name for f in tmp_path.iterdir()] == ["vectors.npy"]
    assert (tmp_path / "vectors.npy").read_bytes() == b"old"


def test_two_texts_are_compared(home):
    model, vocabulary = open_model(str(home / "plain"))
    one, other = embed(model, vocabulary, ["the old cat", "a red dog"])
    [found] = predict(model, vocabulary, ["the old cat"], Asked(pair="a red dog"))
    assert found["cosine"] == pytest.approx(one @ other, abs=1e-6)
    with pytest.raises(InputError, match="give a second one with --pair, or a file for their vec"):
        predict(model, vocabulary, ["the old cat"])
