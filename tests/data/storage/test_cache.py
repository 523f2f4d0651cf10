"""Prepared data is what was written, or made again: no damage on the disk becomes other data."""

import json
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data.config import DataConfig
from data.corpora import pydocs
from data.corpora.text import Text
from data.open import open_vocabulary
from data.storage.cache import DIGESTS, make_once
from tests.data.test_prepare import Texts, made
from tests.disk import damage

TEXT = ("aaa bbb", "ccc ddd eee fff", "ggg hhh iii", "Some words for a vocabulary, some, words.")
FILES = ("tokens.bin", "offsets.bin", "counts.npy", "sequences.json", DIGESTS)


def content(value) -> bytes:
    return repr(value).encode()


def sequences(home: Path) -> bytes:
    opened = made(Texts(("d", list(TEXT))), home, length=6)
    stats = {name: value for name, value in opened.stats.items() if name != "seconds"}
    arrays = [np.asarray(array).tobytes() for array in (opened.tokens, opened.offsets)]
    return content((arrays, opened.counts.tolist(), opened.fingerprint, stats))


def vocabulary(home: Path) -> bytes:
    found = open_vocabulary(DataConfig(tokenizer="wordpiece:60", cache=home), Texts(("d", [*TEXT])))
    return found.tokenizer.to_str().encode()


def documentation(home: Path) -> bytes:
    corpus = pydocs.open_pydocs(home, 0.4)
    texts = [*corpus.texts("train"), *corpus.texts("heldout")]
    return content((texts, corpus.fingerprint, sorted(corpus.manifest)))


@pytest.fixture(params=[sequences, vocabulary, documentation])
def opens(request, monkeypatch):
    """Opens an entry of one of the three kinds, and gives all that a run reads of it."""

    def harvest() -> Iterator[tuple[str, Text]]:
        for number, package in enumerate(pydocs.DOCUMENTED[:4]):
            yield package, Text(f"text {number} of {package}, and a few words more", package)

    monkeypatch.setattr(pydocs, "_harvest", harvest)
    return request.param


def files_of(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if path.is_file() and path.suffix != ".lock")


@pytest.mark.parametrize("seed", range(2))
def test_no_damage_becomes_other_data(opens, tmp_path, capsys, seed):
    expected, chance = opens(tmp_path), random.Random(seed)
    for number in range(35):
        capsys.readouterr()
        files = files_of(tmp_path)
        path = files[number % len(files)]
        what = damage(path, chance)
        assert opens(tmp_path) == expected, what
        lines = [line for line in capsys.readouterr().err.splitlines() if "made again" in line]
        named = path.parent if path.name == DIGESTS else path  # where a digest is another
        assert len(lines) == 1 and f"{named}" in lines[0], what
    assert opens(tmp_path) == expected
    assert "made again" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "5", "null", "[]", "{}", '{"tokens.bin": 5}', "[" * 9999])
@pytest.mark.parametrize("name", ["sequences.json", DIGESTS])
def test_json_of_another_kind(tmp_path, capsys, name, text):
    expected = sequences(tmp_path)
    [path] = tmp_path.rglob(name)
    path.write_text(text)
    capsys.readouterr()
    assert sequences(tmp_path) == expected
    assert f"{path.parent}/" in capsys.readouterr().err


def test_a_digest_that_is_left_out_proves_nothing(tmp_path):
    expected = sequences(tmp_path)
    [path] = tmp_path.rglob(DIGESTS)
    digests = json.loads(path.read_text())
    assert {*digests, DIGESTS} == {*FILES}
    del digests["tokens.bin"]
    path.write_text(json.dumps(digests))
    tokens = path.with_name("tokens.bin")
    tokens.write_bytes(bytes(tokens.stat().st_size))
    assert sequences(tmp_path) == expected


def test_an_entry_of_an_earlier_version_is_made_again(tmp_path, capsys):
    expected = sequences(tmp_path)
    [path] = tmp_path.rglob(DIGESTS)
    path.unlink()
    assert sequences(tmp_path) == expected
    assert f"{DIGESTS} is missing: its folder is made again" in capsys.readouterr().err
    assert path.is_file()


def test_what_cannot_be_made_again_is_refused_and_stays(tmp_path, capsys):
    class Gone(Texts):
        def texts(self, split) -> Iterator[Text]:
            raise OSError("the corpus is gone")

    sequences(tmp_path)
    [path] = tmp_path.rglob("tokens.bin")
    path.write_bytes(path.read_bytes()[:-2])
    for _ in range(2):
        with pytest.raises(OSError, match="the corpus is gone"):
            made(Gone(("d", [])), tmp_path, length=6)
        assert f"{path} is damaged" in capsys.readouterr().err
    assert path.is_file()


def test_callers_at_once_make_a_damaged_folder_again_once(tmp_path, capsys):
    sequences(tmp_path)
    [path] = tmp_path.rglob("counts.npy")
    path.write_bytes(b"")
    corpus = Texts(("d", list(TEXT)))
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: made(corpus, tmp_path, length=6), range(6)))
    assert corpus.reads == ["train"]
    assert len({each.counts.tobytes() for each in found}) == 1
    assert capsys.readouterr().err.count("made again") == 1


def test_a_whole_entry_can_be_read_where_nothing_can_be_written(tmp_path):
    """Not even a lock."""
    expected = sequences(tmp_path)
    for path in tmp_path.rglob("*.lock"):
        path.unlink()
    kept = shutil.copytree(tmp_path, tmp_path / "copy")
    [folder] = (path for path in kept.rglob("*") if (path / DIGESTS).is_file())
    before = set(kept.rglob("*"))
    assert make_once(folder, lambda _: pytest.fail("it is whole")) == folder
    assert sequences(kept) == expected and set(kept.rglob("*")) == before
