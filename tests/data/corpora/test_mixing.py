"""Corpora mixed by a power of their sizes, counted by hand."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from data.config import DataConfig
from data.corpora.open import Corpus, open_corpus
from model.errors import InputError


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """A large, a middle and a small language, in documents of 30 lines and in one long file."""
    for name, documents in (("large", 320), ("middle", 40)):
        (tmp_path / name).mkdir()
        for number in range(documents):
            lines = "".join(f"{name} {number:03} line {line:02}\n" for line in range(30))
            (tmp_path / name / f"{number:03}.txt").write_text(lines)
    (tmp_path / "small").mkdir()
    long = "".join(f"small: line {line:04}, é\n" for line in range(600))
    (tmp_path / "small" / "all.txt").write_text(long, encoding="utf-8")
    return [tmp_path / name for name in ("large", "middle", "small")]


def corpus_of(folders: list[Path], cache: str = "cache", **settings) -> Corpus:
    names = tuple(map(str, folders))
    return open_corpus(DataConfig(corpus=names, cache=folders[0].parent / cache, **settings))


def sizes(corpus: Corpus) -> dict[str, int]:
    count: Counter[str] = Counter()
    for text in corpus.texts("train"):
        count[text.text.split()[0].strip(":")] += len(text.text.encode())
    return count


@pytest.mark.parametrize("exponent", [0.0, 0.3, 0.7])
def test_shares_are_powers_of_sizes_and_the_whole_stays(exponent, folders):
    plain, mixed = corpus_of(folders), corpus_of(folders, size_exponent=exponent)
    before, after = sizes(plain), sizes(mixed)
    powers = {name: size**exponent for name, size in before.items()}
    total = sum(before.values())
    for name, power in powers.items():
        assert after[name] == pytest.approx(total * power / sum(powers.values()), rel=0.12)
    times = Counter(text.text for text in mixed.texts("train"))
    for name, size in before.items():
        often = {count for text, count in times.items() if text.startswith(name)}
        least = int(total * powers[name] / sum(powers.values()) / size)
        assert often <= {least, least + 1} - {0}
    assert list(mixed.texts("heldout")) == list(plain.texts("heldout"))
    assert list(mixed.texts("train")) == list(mixed.texts("train"))
    assert mixed.fingerprint != plain.fingerprint
    assert mixed.fingerprint == corpus_of(folders, "other", size_exponent=exponent).fingerprint
    [note] = mixed.notes
    said = f"{folders[2]} {mixed.manifest[str(folders[2])]['times_read']:.2f} times"
    assert note.startswith(f"in proportion to size^{exponent:g} ") and said in note


def test_text_is_left_out_in_blocks_of_lines(folders):
    mixed = corpus_of(folders, size_exponent=0.7)
    there = {text.text for text in mixed.texts("train")}
    everything = [text.text for text in corpus_of(folders).texts("train")]
    borders = sum((a in there) != (b in there) for a, b in pairwise(everything))
    assert 0 < borders < len(everything) / 20


def test_one_corpus_cannot_be_mixed(folders):
    with pytest.raises(InputError, match=r"--data.size-exponent .* there is one: leave it out"):
        corpus_of(folders[:1], size_exponent=0.7)
    with pytest.raises(InputError, match=r"--data.size-exponent .*from 0 to 1"):
        corpus_of(folders, size_exponent=1.5)
