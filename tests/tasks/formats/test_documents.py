"""IMDb and 20 Newsgroups, as folders and as archives."""

import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import _twenty_newsgroups as reference

from model.errors import InputError
from tasks.formats.documents import body
from tasks.open import TaskData, TaskDataConfig, open_task

POST = """From: someone@somewhere (Some One)
Subject: Re: goals
Organization: alt.atheism

In article <1@x> other@y writes:
> What was the score?
| Or who won?

Three to one.
It was late.

--
Some One, Rink 5
"""
IMDB = {
    "README": "about",
    "train/urls_neg.txt": "http://",
    "train/neg/0_2.txt": "Dull.<br />",
    "train/pos/0_9.txt": "Lovely: naïve.",
    "train/pos/1_8.txt": "Fine.",
    "train/unsup/0_0.txt": "No label.",
    "test/neg/0_1.txt": "Bad.",
    "test/pos/0_7.txt": "Good.",
}
GROUPS = {
    "train/rec.sport.hockey/1": POST,
    "train/rec.sport.hockey/3": "From: x\n\n> only a quote\n",
    "train/sci.space/2": "From: x\n\nOrbits are caf\xe9-shaped.\n",
    "test/sci.space/4": "From: x\n\nMoons.\n",
}


def write(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> None:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode(encoding))


def pack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for child in sorted(folder.iterdir(), reverse=True):
            tar.add(
                child, f"{folder.name}/{child.name}" if folder.name == "aclImdb" else child.name
            )
    return archive


def read(name: str, root: Path, *splits: str) -> TaskData:
    return open_task(name, TaskDataConfig(root=root, dev_share=0.3), splits=splits or None)


def examples(data: TaskData, *splits: str) -> list[Any]:
    return [example for split in splits for example in data.splits[split]]


@pytest.fixture
def imdb(tmp_path: Path) -> Path:
    write(tmp_path / "unpacked" / "aclImdb", IMDB)
    (tmp_path / "packed").mkdir()
    pack(tmp_path / "packed" / "aclImdb_v1.tar.gz", tmp_path / "unpacked" / "aclImdb")
    return tmp_path


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    files = {f"20news-bydate-{name}": content for name, content in GROUPS.items()}
    write(tmp_path / "unpacked", files, "latin-1")
    (tmp_path / "packed").mkdir()
    pack(tmp_path / "packed" / "20news-bydate.tar.gz", tmp_path / "unpacked")
    return tmp_path


def test_imdb_is_the_same_in_folders_and_in_its_archive(imdb):
    folder, inside, archive = (
        read("imdb", imdb / name) for name in ("unpacked", "unpacked/aclImdb", "packed")
    )
    assert folder.splits == inside.splits == archive.splits
    assert folder.fingerprint == archive.fingerprint
    assert [(e.id, e.text, e.label) for e in examples(folder, "test")] == [
        ("neg/0_1.txt", "Bad.", "neg"),
        ("pos/0_7.txt", "Good.", "pos"),
    ]
    texts = {e.text for e in examples(folder, "train", "dev")}
    assert texts == {"Dull.<br />", "Lovely: naïve.", "Fine."}


def test_newsgroups_come_without_what_gives_the_group_away(groups):
    folder, archive = (read("20newsgroups", groups / name) for name in ("unpacked", "packed"))
    assert folder.splits == archive.splits
    texts = {e.text for e in examples(folder, "train", "dev")}
    assert texts == {"\nThree to one.\nIt was late.\n", "Orbits are café-shaped.\n"}
    assert folder.notes[0] == ("train: 1 of 3 left out: empty without headers, footers and quotes")


def test_posts_are_cleaned_as_scikit_learn_does_it():
    random.seed(0)
    pieces = [
        "", " ", "--", "- -", "> x", "|x", " > x", "In article <1>", "he wrote:", "she says: no",
        "Quoted from y", "writes in z", "From: a", "some text", "more\ttext", "end.",
    ]  # fmt: skip
    for _ in range(2000):
        post = "\n".join(random.choices(pieces, k=random.randint(0, 12)))
        kept = reference.strip_newsgroup_footer(reference.strip_newsgroup_header(post))
        assert body(post) == reference.strip_newsgroup_quoting(kept), post


def test_an_archive_that_is_cut_short(imdb):
    archive = imdb / "packed" / "aclImdb_v1.tar.gz"
    whole = archive.read_bytes()
    for length in (len(whole) - 30, 40, 0):
        archive.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"aclImdb_v1.tar.gz is cut short or damaged"):
            read("imdb", imdb / "packed", "test")


def test_a_folder_that_is_no_group(groups):
    write(groups / "unpacked" / "20news-bydate-test", {"sci.spaces/1": POST})
    with pytest.raises(
        InputError, match=r"sci.spaces/1: the label 'sci.spaces' is none of alt.ath"
    ):
        read("20newsgroups", groups / "unpacked", "test")


def test_a_review_that_is_empty_or_no_text(imdb):
    (imdb / "unpacked/aclImdb/test/neg/0_1.txt").write_text(" \n")
    with pytest.raises(InputError, match=r"neg/0_1.txt: the text of 'text' is empty"):
        read("imdb", imdb / "unpacked", "test")
    (imdb / "unpacked/aclImdb/test/neg/0_1.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"neg/0_1.txt is not utf-8 text"):
        read("imdb", imdb / "unpacked", "test")


def test_an_archive_of_something_else(tmp_path):
    write(tmp_path / "other", {"readme": "x"})
    pack(tmp_path / "aclImdb_v1.tar.gz", tmp_path / "other")
    with pytest.raises(InputError, match=r"there are no examples in test or aclImdb\*.tar.gz"):
        read("imdb", tmp_path, "test")
