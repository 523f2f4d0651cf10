import random
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data import tokenise
from data.config import SequenceMode
from data.corpora.heldout import Split
from data.corpora.open import Corpus
from data.corpora.text import Text
from data.prepare import prepare_sequences
from data.sequences import Sequences
from data.vocabulary import SPECIAL_TOKENS, Vocabulary
from data.wordpiece import Casing, bert_vocabulary
from model.errors import InputError
from model.hf.temporaries import PREFIX

PAD, UNK, CLS, SEP, MASK = range(5)
WORDS = [letter * 3 for letter in "abcdefghijklmnopqrst"]


def vocabulary_of(pieces: list[str]) -> Vocabulary:
    ids = {piece: index for index, piece in enumerate([*SPECIAL_TOKENS, *pieces])}
    return bert_vocabulary(ids, Casing())


VOCABULARY = vocabulary_of([*WORDS, "##aaa"])


class Texts(Corpus):
    """A corpus of given documents (name and texts) that records which splits are read.

    With `joins`, neighbouring rows are joined.
    """

    documents: tuple[tuple[str, list[str]], ...]
    reads: list[str]
    joins: bool

    def __init__(
        self, *documents: tuple[str, list[str]], fingerprint: str = "1", joins: bool = False
    ):
        super().__init__("texts", fingerprint, manifest={}, parts={})
        # The corpus itself is frozen.
        self.__dict__.update(documents=documents, reads=[], joins=joins)

    def texts(self, split) -> Iterator[Text]:
        self.reads.append(split)
        for name, texts in self.documents:
            yield from (Text(text, name) for text in texts)

    def streams(self, split) -> Iterator[tuple[Iterator[Text], bool]]:
        yield self.texts(split), self.joins


def made(
    corpus: Texts,
    cache: Path,
    mode: SequenceMode = "packed",
    length: int = 12,
    vocabulary: Vocabulary = VOCABULARY,
    split: Split = "train",
    several: bool = False,
) -> Sequences:
    return prepare_sequences(
        corpus,
        vocabulary,
        mode=mode,
        sequence_length=length,
        split=split,
        several=several,
        cache=cache,
    )


def rows(sequences: Sequences) -> list[list[int]]:
    return [sequences[i].tolist() for i in range(len(sequences))]


def random_texts(seed: int, number: int, words: int) -> list[str]:
    draw = random.Random(seed)
    choice = [*WORDS, "aaaaaa", "nil"]
    return [" ".join(draw.choices(choice, k=draw.randrange(words))) for _ in range(number)]


def ids_of(text: str) -> list[int]:
    known = VOCABULARY.tokenizer.get_vocab()
    ids = [[5, 25] if word == "aaaaaa" else [known.get(word, UNK)] for word in text.split()]
    return [index for word in ids for index in word]


# packed


def test_packed_joins_documents_and_cuts(tmp_path):
    corpus = Texts(("one", ["aaa bbb", "ccc"]), ("two", ["ddd eee fff"]), ("three", ["ggg"]))
    a, b, c, d, e, f = range(5, 11)
    sequences = made(corpus, tmp_path, length=6)
    assert rows(sequences) == [[CLS, a, b, c, SEP, SEP], [CLS, d, e, f, SEP, SEP]]
    assert sequences.stats["documents"] == 3
    assert sequences.stats["texts"] == 4
    assert sequences.stats["dropped_tokens"] == 1  # ggg


def test_packed_is_one_stream_without_a_gap(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenise, "BATCH_CHARACTERS", 200)
    documents = [(f"{i}", random_texts(i, 7, 30)) for i in range(40)]
    documents[7] = ("7", ["", " "])  # a document without a token leaves no trace
    stream: list[int] = []
    for _, texts in documents:
        ids = [index for text in texts for index in ids_of(text)]
        stream += [SEP, *ids] if stream and ids else ids
    expected = [[CLS, *stream[i : i + 10], SEP] for i in range(0, len(stream) - 9, 10)]

    sequences = made(Texts(*documents), tmp_path, length=12)
    assert rows(sequences) == expected
    assert sequences.counts.tolist() == np.bincount(stream, minlength=26).tolist()
    assert sequences.stats["tokens"] == len(stream)
    assert sequences.stats["dropped_tokens"] == len(stream) % 10


# lines


def lines_by_hand(texts: list[str], longest: int) -> tuple[list[list[int]], Counter, Counter]:
    """The original's binarized_data.py, token_counts.py and lm_seqs_dataset.py, restated."""
    encoded = [[CLS, *ids_of(text), SEP] for text in texts]
    counts = Counter(index for sequence in encoded for index in sequence)
    cut = []
    for sequence in encoded:
        if len(sequence) <= longest:
            cut.append(sequence)
            continue
        for start in range(0, len(sequence), longest - 2):
            chunk = sequence[start : start + longest - 2]
            if chunk[0] != CLS:
                chunk = [CLS, *chunk]
            if chunk[-1] != SEP:
                chunk = [*chunk, SEP]
            cut.append(chunk)
    long_enough = [sequence for sequence in cut if len(sequence) > 11]
    known = [s for s in long_enough if s.count(UNK) / len(s) < 0.5]
    dropped = {"short": len(cut) - len(long_enough), "unknown": len(long_enough) - len(known)}
    return known, counts, Counter(dropped)


@pytest.mark.parametrize("batch", [50, 10**6])
def test_lines_are_the_originals(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(tokenise, "BATCH_CHARACTERS", batch)
    texts = [
        *random_texts(0, 200, 60),
        *(" ".join(["aaa"] * n) for n in range(120)),  # all places where a chunk can end
        *(" ".join(["nil"] * n + ["aaa"] * (18 - n)) for n in range(19)),  # half of it unknown
        "aaa " * 16 + "[SEP] [CLS] " + "bbb " * 15,  # special tokens in a text, at a border
        "",
    ]
    expected, counts, dropped = lines_by_hand(texts, 20)
    corpus = Texts(*((f"{i}", [text]) for i, text in enumerate(texts)))
    sequences = made(corpus, tmp_path, "lines", 20)
    assert rows(sequences) == expected
    assert sequences.counts.tolist() == [counts[i] for i in range(26)]
    assert sequences.stats["dropped_short"] == dropped["short"] > 0
    assert sequences.stats["dropped_unknown"] == dropped["unknown"] > 0
    assert sequences.stats["texts"] == sequences.stats["documents"] == len(texts)


# lines, several in a sequence


def texts_in(sequences: Sequences) -> list[list[int]]:
    """The texts of all sequences, by their segments."""
    batch = sequences.gather(np.arange(len(sequences)), PAD)
    assert set(batch) == {"input_ids", "segments"}
    assert (batch["input_ids"][batch["segments"] == 0] == PAD).all()
    return [
        ids[segments == number].tolist()
        for ids, segments in zip(batch["input_ids"], batch["segments"], strict=True)
        for number in range(1, segments.max() + 1)
    ]


def test_sequences_of_several_lines_have_the_same_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenise, "BATCH_CHARACTERS", 2000)
    texts = [*random_texts(0, 300, 40), "aaa " * 16 + "[SEP] [CLS] " + "bbb " * 15, ""]
    corpus = Texts(("d", texts))
    alone = made(corpus, tmp_path, "lines", 40)
    sequences = made(corpus, tmp_path, "lines", 40, several=True)
    assert sorted(texts_in(sequences)) == sorted(rows(alone))
    assert len(sequences) < 0.8 * len(alone)
    assert sequences.counts.tolist() == alone.counts.tolist()
    assert sequences.stats["dropped_short"] == alone.stats["dropped_short"] > 0
    # A sequence begins with a text and ends with one.
    assert all(row[0] == CLS and row[-1] == SEP for row in rows(sequences))


def test_they_are_the_same_from_another_cache(tmp_path):
    corpus = Texts(("d", random_texts(0, 100, 40)))
    one, other = (made(corpus, tmp_path / n, "lines", 40, several=True) for n in ("1", "2"))
    assert rows(one) == rows(other)
    assert one.fingerprint == other.fingerprint


# both


@pytest.mark.parametrize("mode", ["packed", "lines"])
def test_a_long_text_is_encoded_in_pieces(tmp_path, monkeypatch, mode):
    texts = ["\n\n  ".join(random_texts(1, 40, 40)), "aaaaaa" * 40, *random_texts(2, 3, 400)]
    whole = made(Texts(("book", texts), fingerprint="1"), tmp_path, mode)
    monkeypatch.setattr(tokenise, "PIECE_CHARACTERS", 10)
    encoded = [
        e
        for batch in tokenise.tokenise(Texts(("", texts)).texts("train"), VOCABULARY.tokenizer)
        for e in batch
    ]
    assert len(encoded) > 300
    assert max(len(piece.text) for piece, _ in encoded) == len("aaaaaa" * 40)
    pieces = made(Texts(("book", texts), fingerprint="2"), tmp_path, mode)
    assert rows(pieces) == rows(whole)
    assert pieces.stats["texts"] == len(texts)


@pytest.mark.parametrize(("size", "dtype"), [(65_530, "uint16"), (65_531, "uint32")])
def test_ids_are_as_wide_as_the_vocabulary_needs(tmp_path, size, dtype):
    vocabulary = vocabulary_of([f"x{i}" for i in range(size)])
    sequences = made(Texts(("d", [f"x{size - 1}"] * 10)), tmp_path, vocabulary=vocabulary)
    assert sequences.tokens.dtype == dtype
    assert rows(sequences) == [[CLS, *[size + 4] * 10, SEP]]


def test_half_a_surrogate_pair_is_dropped(tmp_path):
    corpus = Texts(("d", ["aaa \ud83d bbb\ude00 " * 5]))
    assert rows(made(corpus, tmp_path)) == [[CLS, *[5, 6] * 5, SEP]]


def test_sequences_are_padded_when_gathered(tmp_path):
    texts = [" ".join(WORDS[:n]) for n in (10, 12, 20)]
    sequences = made(Texts(("d", texts)), tmp_path, "lines", 24)
    batch = sequences.gather(np.array([[2], [0]]), PAD)
    ids, attended = batch["input_ids"], batch["attention_mask"]
    assert ids.shape == attended.shape == (2, 1, 24)
    assert ids[1, 0].tolist() == [CLS, *range(5, 15), SEP] + [PAD] * 12
    assert attended.sum(-1).tolist() == [[22], [12]]
    with pytest.raises(IndexError):
        sequences[3]


# the cache


def test_prepared_once_for_the_same_settings(tmp_path, capsys):
    corpus = Texts(("d", ["aaa " * 30]))
    first = made(corpus, tmp_path)
    assert "MB/s" in capsys.readouterr().err
    second = made(corpus, tmp_path)
    assert capsys.readouterr() == ("", "")
    assert corpus.reads == ["train"]
    assert rows(second) == rows(first)
    assert second.fingerprint == first.fingerprint
    assert second.stats == first.stats
    assert isinstance(second.tokens.base, np.memmap)


def test_every_setting_has_its_own_cache(tmp_path):
    documents = ("d", ["aaa " * 30])
    made_so = [
        made(Texts(documents), tmp_path),
        made(Texts(documents, fingerprint="2"), tmp_path),
        made(Texts(documents), tmp_path, mode="lines"),
        made(Texts(documents), tmp_path, mode="lines", several=True),
        made(Texts(documents), tmp_path, length=13),
        made(Texts(documents), tmp_path, split="heldout"),
        made(Texts(documents), tmp_path, vocabulary=vocabulary_of(WORDS)),
    ]
    assert len({sequences.fingerprint for sequences in made_so}) == len(made_so)


def test_two_callers_at_once_share_the_work(tmp_path):
    corpus = Texts(*((f"{i}", ["aaa " * 30]) for i in range(100)))
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: made(corpus, tmp_path), range(4)))
    assert corpus.reads == ["train"]
    assert all(rows(result) == rows(results[0]) for result in results)


class Dies(Texts):
    """Kills the process that reads it to the end."""

    def texts(self, split) -> Iterator[Text]:
        yield from super().texts(split)
        signal.raise_signal(signal.SIGKILL)


def folders(cache: Path) -> list[str]:
    return [path.name for path in (cache / "sequences").iterdir() if path.is_dir()]


def test_the_remains_of_a_killed_run_are_replaced(tmp_path):
    program = f"""if True:
        from pathlib import Path
        from data import tokenise
        from tests.data.test_prepare import Dies, made
        tokenise.BATCH_CHARACTERS = 100
        made(Dies(("d", ["aaa " * 300])), Path({str(tmp_path)!r}))
    """
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    (dead,) = folders(tmp_path)
    assert dead.startswith(PREFIX)
    assert len(made(Texts(("d", ["aaa " * 30])), tmp_path)) == 3
    (whole,) = folders(tmp_path)
    assert not whole.startswith(PREFIX)


# bad input


@pytest.mark.parametrize(
    ("mode", "length", "text", "message"),
    [
        ("packed", 34, "aaa " * 30, r"texts: the 30 tokens of its train text .* of 34 in packed"),
        ("packed", 12, "", "the 0 tokens"),
        ("lines", 12, "aaa " * 9, "the 11 tokens of its train text"),
        ("packed", 2, "aaa", "at least 3"),
        ("lines", 11, "aaa", "at least 12"),
    ],
)
def test_too_little_text(tmp_path, mode, length, text, message):
    with pytest.raises(InputError, match=message):
        made(Texts(("d", [text])), tmp_path, mode, length)
    assert folders(tmp_path) == []


def test_a_cache_that_cannot_be_written(tmp_path):
    cache = tmp_path / "file"
    cache.touch()
    with pytest.raises(InputError, match=r"cannot write .*file.*--data\.cache"):
        made(Texts(("d", ["aaa " * 30])), cache)


def test_a_full_disk(tmp_path):
    corpus = Texts(("d", ["aaa " * 100_000]))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*File too large"):
            made(corpus, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert folders(tmp_path) == []
    assert len(made(corpus, tmp_path)) == 10_000


def test_a_corpus_that_fails_leaves_nothing(tmp_path):
    class Fails(Texts):
        def texts(self, split) -> Iterator[Text]:
            yield from super().texts(split)
            raise OSError("the network")

    with pytest.raises(OSError, match="the network"):
        made(Fails(("d", ["aaa " * 30])), tmp_path)
    assert folders(tmp_path) == []


# memory


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    program = """if True:
        import resource, sys
        from pathlib import Path
        from data import packing
        from tests.data.test_prepare import Texts, made, random_texts
        texts = random_texts(0, 1000, 200)
        documents = ((str(i), texts) for i in range(int(sys.argv[1])))
        corpus = Texts(*documents, fingerprint=sys.argv[1])
        packing.WINDOW = 100_000  # tokens, of which either corpus has more
        mode, several = sys.argv[3].split(), sys.argv[3] == "lines several"
        size = made(corpus, Path(sys.argv[2]), mode[0], 128, several=several).stats["bytes"]
        print(size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    """
    for mode in ("packed", "lines", "lines several"):
        used = []
        for documents in ("13", "104"):
            run = [sys.executable, "-c", program, documents, str(tmp_path), mode]
            used.append([float(x) for x in subprocess.check_output(run, text=True).split()])
        (small, little), (large, much) = used
        assert large == 8 * small > 40e6
        assert much < little + 10, f"{mode}: {used} (bytes of text, MB at the peak)"
