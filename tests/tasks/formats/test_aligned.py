"""Two files whose lines belong together, from the command's settings to examples."""

import gzip
from pathlib import Path

import pytest

from model.errors import InputError
from tasks.embeddings.examples import PairExample
from tasks.open import TaskDataConfig, open_task
from tasks.texts.examples import TextExample

FIELDS = {"text_field": "en", "pair_field": "de"}


def write(folder: Path, en: str | None, de: str | None) -> Path:
    """The common beginning of both files' names."""
    for name, content in (("en", en), ("de", de)):
        if content is not None:
            (folder / f"train.{name}").write_bytes(content.encode())
    return folder / "train"


def read(path: Path, task: str = "parallel", **changes):
    config = TaskDataConfig(test=path, **{**FIELDS, **changes})
    return open_task(task, config, splits=("test",)).splits["test"]


def test_a_line_belongs_to_the_same_line_of_the_other_file(tmp_path):
    # Only "\n" ends a line; tabs and quotation marks are text.
    en, de = 'A "dog"\x85.\r\n\n\tTwo cats.', "\ufeffEin Hund.\n \nZwei\u2028Katzen.\n"
    assert read(write(tmp_path, en, de)) == (
        PairExample("0", 'A "dog"\x85.', "Ein Hund."),
        PairExample("1", "\tTwo cats.", "Zwei\u2028Katzen."),
    )


def test_each_file_may_be_packed(tmp_path):
    path = write(tmp_path, "A dog.\n", None)
    (tmp_path / "train.de.gz").write_bytes(gzip.compress(b"Ein Hund.\n"))
    assert read(path) == (PairExample("0", "A dog.", "Ein Hund."),)


def test_all_kinds_of_pairs_read_them(tmp_path):
    path = write(tmp_path, "A dog.\n", "Ein Hund.\n")
    assert read(path, "embeddings") == (PairExample("0", "A dog.", "Ein Hund."),)
    assert read(path, "regression") == (TextExample("0", "A dog.", "Ein Hund."),)


@pytest.mark.parametrize(
    ("en", "de", "sentence"),
    [
        ("a\nb\nc\n", "a\n", "train.en has 3 lines and {}train.de 1: each line should belong to"),
        ("a", "a\nb\n", "train.en has 1 lines and {}train.de 2: each line should belong to"),
        ("", "\n", "train.en has 0 lines and {}train.de 1: each line should belong to"),
        ("a\nb\n", "a\n\n", "train.de, line 2, is empty, and this line of {}train.en is not"),
        (" \n", "a\n", "train.en, line 1, is empty, and this line of {}train.de is not"),
        ("a\n", None, "train.de does not exist, with .gz or without: it should have a line for"),
        (None, "a\n", "train.en does not exist, with .gz or without: it should have a line for"),
        (None, None, "train does not exist, or is a folder: name a file, or what the names of "),
        ("\n", "\n", "there are no examples in --data.test"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, en, de, sentence):
    with pytest.raises(InputError) as error:
        read(write(tmp_path, en, de))
    assert sentence.format(f"{tmp_path}/") in str(error.value)


def test_one_of_the_two_files_is_not_their_path(tmp_path):
    path = write(tmp_path, "a\n", "b\n")
    message = r"train\.en: the name should end in .*, or be what .* have before \.en and \.de$"
    with pytest.raises(InputError, match=message):
        read(path.with_name("train.en"))


def test_without_a_second_field_a_path_is_one_file(tmp_path):
    with pytest.raises(InputError, match=r"train does not exist, or is a folder: name a file$"):
        read(write(tmp_path, "a\n", "a\n"), pair_field=None)
