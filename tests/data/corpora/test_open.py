"""Local files as corpora: their texts, the held-out part, and every kind of bad file."""

import csv
import gzip
import json
from itertools import pairwise
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from data.config import DataConfig
from data.corpora.open import Corpus, open_corpus
from data.corpora.text import Text
from model.errors import InputError


def corpus_of(*paths: Path, **settings) -> Corpus:
    return open_corpus(DataConfig(corpus=tuple(map(str, paths)), **settings))


def everything(corpus: Corpus) -> list[Text]:
    return [*corpus.texts("train"), *corpus.texts("heldout")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty documents of three lines each."""
    for number in range(30):
        lines = "".join(f"line {line} of document {number}\n\n" for line in range(3))
        (tmp_path / f"{number:02}.txt").write_text(lines)
    return tmp_path


def rows(count: int = 25) -> list[dict[str, str]]:
    return [{"id": str(n), "text": f"row {n}, naïve and\nof two lines"} for n in range(count)]


def write_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))


def write_csv(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["id", "text"])
        table.writeheader()
        table.writerows(rows())


def write_parquet(path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows()), path)


WRITERS = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}


def test_lines_are_texts_and_files_are_documents(folder: Path):
    texts = everything(corpus_of(folder))
    assert sorted(texts) == sorted(
        Text(f"line {line} of document {number}", f"{number:02}.txt")
        for number in range(30)
        for line in range(3)
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
def test_rows_are_texts_and_documents(kind: str, packed: bool, tmp_path: Path):
    path = tmp_path / f"rows.{kind}"
    WRITERS[kind](path)
    if packed:
        content = path.read_bytes()
        path.unlink()
        path = tmp_path / f"rows.{kind}.gz"
        path.write_bytes(gzip.compress(content))
    texts = everything(corpus_of(path))
    assert sorted(t.text for t in texts) == sorted(row["text"] for row in rows())
    assert len({t.document for t in texts}) == 25


def test_packed_text_reads_the_same(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    packed = tmp_path_factory.mktemp("packed")
    for file in folder.iterdir():
        (packed / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    plain_texts = sorted(t.text for t in everything(corpus_of(folder)))
    assert sorted(t.text for t in everything(corpus_of(packed))) == plain_texts


def test_folders_are_read_at_every_depth_but_not_hidden_ones(folder: Path):
    for name in ("deep/er/00.md", ".hidden/00.txt", "code.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text of {name}\n")
    documents = {t.document for t in everything(corpus_of(folder))}
    assert documents == {*(f"{n:02}.txt" for n in range(30)), "deep/er/00.md"}


def test_links_are_followed_and_what_is_passed_over_is_said(folder: Path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "deep").mkdir()
    (elsewhere / "deep" / "B.TXT").write_text("there\n")
    (elsewhere / "deep" / "back").symlink_to(folder)
    (folder / "linked").symlink_to(elsewhere)
    (folder / "again.txt").symlink_to(folder / "00.txt")
    (folder / "nowhere.txt").symlink_to(folder / "gone.txt")
    for name in ("c.rst", ".hidden", *(f"{n}.html" for n in range(6))):
        (folder / name).write_text("passed over\n")
    corpus = corpus_of(folder)
    names = {t.document for t in everything(corpus)}
    assert names == {*(f"{n:02}.txt" for n in range(30)), "linked/deep/B.TXT"}
    suffixes = ".txt, .md, .tokens, .raw, .jsonl, .csv, .parquet or one of these and .gz"
    assert sorted(corpus.notes) == sorted(
        f"{folder}: passed over {what}"
        for what in (
            ".hidden, which is hidden",
            f"0.html, 1.html, 2.html, 3.html, 4.html and 2 more, which are not {suffixes}",
            "nowhere.txt, which is not a file",
            "again.txt, linked/deep/back, which are already read under another name",
        )
    )


def test_a_name_in_capitals_is_the_same_kind_of_file(tmp_path: Path):
    write_csv(tmp_path / "A.CSV")
    packed = tmp_path / "B.JSONL.GZ"
    write_jsonl(tmp_path / "b.jsonl")
    packed.write_bytes(gzip.compress((tmp_path / "b.jsonl").read_bytes()))
    for path in (tmp_path / "A.CSV", packed):
        assert len(everything(corpus_of(path))) == 25


def test_wikitext_articles_are_documents_in_plain_spelling(tmp_path: Path):
    path = tmp_path / "wiki.train.tokens"
    articles = [
        f" \n = Title {n} = \n \n A well @-@ known <unk> of 1 @,@ 000 at 2 @.@ 5 . \n"
        f" \n = = Part = = \n \n a = b \n"
        for n in range(20)
    ]
    path.write_text("".join(articles))
    texts = everything(corpus_of(path))
    assert len({t.document for t in texts}) == 20
    assert [t.text for t in texts if t.document == texts[0].document] == [
        texts[0].text,
        "A well-known [UNK] of 1,000 at 2.5 .",
        "= = Part = =",
        "a = b",
    ]
    assert texts[0].text.startswith("= Title ")


def test_whole_documents_are_held_out(folder: Path):
    corpus = corpus_of(folder, heldout_share=0.2)
    train, heldout = ({t.document for t in corpus.texts(s)} for s in ("train", "heldout"))
    assert train and heldout and not train & heldout
    assert len(train | heldout) == 30
    assert len(everything(corpus)) == 90


def test_the_share_is_met_and_a_document_keeps_its_side(tmp_path: Path):
    def write(count: int) -> Corpus:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(f'{{"text": "row {n}"}}\n' for n in range(count)))
        return corpus_of(path, heldout_share=0.1)

    small = {t.text for t in write(2000).texts("heldout")}
    large = {t.text for t in write(4000).texts("heldout")}
    assert len(large) / 4000 == pytest.approx(0.1, abs=0.02)
    assert small == {text for text in large if int(text.split()[1]) < 2000}


@pytest.mark.parametrize("lines", [2, 10, 500, 21_000])
def test_blocks_of_lines_are_held_out_of_few_documents(lines: int, tmp_path: Path):
    (tmp_path / "book.txt").write_text("".join(f"{n}\n" for n in range(lines)))
    corpus = corpus_of(tmp_path)
    train, heldout = ([int(t.text) for t in corpus.texts(s)] for s in ("train", "heldout"))
    assert sorted(train + heldout) == list(range(lines))
    assert train and heldout and len(heldout) <= max(1, 0.11 * lines)
    borders = sum(after - before != 1 for before, after in pairwise(heldout))
    assert borders <= len(heldout) // min(1000, -(-lines // 20))


def test_given_heldout_text_leaves_all_of_the_corpus_for_training(folder: Path, tmp_path: Path):
    other = tmp_path / "other.md"
    other.write_text("one line to evaluate on\n")
    corpus = corpus_of(folder, heldout=(str(other),))
    assert list(corpus.texts("heldout")) == [Text("one line to evaluate on", "other.md")]
    assert {t.document for t in corpus.texts("train")} >= {f"{n:02}.txt" for n in range(30)}


def test_several_sources_follow_each_other(folder: Path, tmp_path_factory):
    second = tmp_path_factory.mktemp("second") / "rows.csv"
    write_csv(second)
    texts = everything(corpus_of(folder, second))
    assert len(texts) == 90 + 25


def test_the_fingerprint_follows_content_and_settings_but_not_the_place(
    folder: Path, tmp_path_factory
):
    first = corpus_of(folder).fingerprint
    assert int(first, 16) and corpus_of(folder).fingerprint == first
    moved = folder.rename(tmp_path_factory.mktemp("moved") / "elsewhere")
    assert corpus_of(moved).fingerprint == first
    others = [corpus_of(moved, heldout_share=0.1), corpus_of(moved, text_field="body")]
    (moved / "00.txt").write_text("changed\n")
    others.append(corpus_of(moved))
    assert len({first, *(corpus.fingerprint for corpus in others)}) == 4


def bad_files() -> dict[str, tuple[bytes, str]]:
    """The content of each bad file, and words that the message must contain."""
    return {
        "empty.txt": (b"", "empty.txt is empty"),
        "blank.md": (b"\n \n", "blank.md is empty"),
        "binary.txt": (b"text\n\x00\x01\xff\n", r"binary.txt is binary"),
        "latin.txt": ("gut\nschön\n".encode("latin-1"), r"not UTF-8 text \(line 2, byte 4\)"),
        "no.txt.gz": (b"plain text", "no.txt.gz cannot be read"),
        "cut.txt.gz": (gzip.compress(b"text " * 999)[:-9], "cut.txt.gz cannot be read"),
        "cut.jsonl": (b'{"text": "a"}\n{"text": \n', "cut.jsonl, line 2, is not JSON"),
        "list.jsonl": (b"[1]\n", "list.jsonl, line 1, is not a JSON object"),
        "other.jsonl": (b'{"body": "a"}\n', "line 1, has no 'text' but 'body'"),
        "number.jsonl": (b'{"text": 3}\n', "line 1: 'text' is int, not text"),
        "other.csv": (b"id,body\n1,a\n", "other.csv, line 2, has no 'text' but 'id', 'body'"),
        "quoted.csv": (b'text\n"a\n', "quoted.csv, line 2, is not CSV: unexpected end of data"),
        "not.parquet": (b"PAR1 but no parquet", "not.parquet"),
        "page.html": (b"<p>", "should end in .txt"),
        "line.txt": (b"all there is\n", "holds one line of text"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_a_bad_file_is_one_sentence_that_names_it(name: str, tmp_path: Path):
    content, message = bad_files()[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        everything(corpus_of(tmp_path / name))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_text_is_one_sentence_that_names_it(tmp_path: Path):
    for name in ("no.txt", "folder/no.jsonl.gz", "pydoc"):
        with pytest.raises(InputError, match=f"{name} does not exist"):
            open_corpus(DataConfig(corpus=(name,)))
    with pytest.raises(InputError, match="holds no text"):
        corpus_of(tmp_path)


def test_impossible_settings_are_refused(folder: Path):
    with pytest.raises(InputError, match="heldout-share is 0"):
        corpus_of(folder, heldout_share=0.0)
    with pytest.raises(InputError, match=r"both --data.corpus and --data.heldout"):
        corpus_of(folder, heldout=(str(folder),))
