import datetime
import gzip

import pyarrow
import pyarrow.parquet
import pytest

from data.corpora.files import open_files
from data.rows import read_objects_at, read_rows
from model.errors import InputError
from tasks.open import TaskDataConfig, open_task


def test_rows_know_their_places_and_numbers(tmp_path):
    """Numbers name the documents of a corpus, and so decide what is held out."""
    (tmp_path / "a.csv").write_text('text,n\n"x\ny",1\n\nz,2\n')
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n\n\ufeff{"text": "z"}\n')
    found = [(row.place.split(", ")[1], row.number) for row in read_rows(tmp_path / "a.csv")]
    assert found == [("line 2", 1), ("line 5", 2)]
    found = [(row.cells["text"], row.number) for row in read_rows(tmp_path / "a.jsonl")]
    assert found == [("x", 1), ("z", 3)]
    texts = list(open_files(tmp_path / "a.csv", "text", 0.1).texts(None))
    assert [(text.text, text.document) for text in texts] == [("x\ny", "a.csv:1"), ("z", "a.csv:2")]


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        ("text;label\na, b;c\n", {"text": "a, b", "label": "c"}),
        ('\n"te;xt";label\n"a;b";c\n', {"te;xt": "a;b", "label": "c"}),
        ("text\tlabel\na;b\tc\n", {"text": "a;b", "label": "c"}),
        ("text|label\na;b|c\n", {"text": "a;b", "label": "c"}),
        ("text;1,label\na;b,c\n", {"text;1": "a;b", "label": "c"}),
        ('"te,xt";label\na;c\n', {"te,xt": "a", "label": "c"}),
        ("text\na;b\n", {"text": "a;b"}),
    ],
)
def test_the_first_line_of_csv_says_what_separates_cells(content, cells, tmp_path):
    (tmp_path / "a.csv").write_text(content)
    assert [row.cells for row in read_rows(tmp_path / "a.csv")] == [cells]


def test_a_csv_file_without_names_has_commas(tmp_path):
    (tmp_path / "a.csv").write_text('a;b,"c;d"\n')
    [row] = read_rows(tmp_path / "a.csv", header=("x", "y"))
    assert row.cells == {"x": "a;b", "y": "c;d"}


def test_of_parquet_one_column_is_read(tmp_path):
    table = pyarrow.table({"text": ["x", None, "y"], "n": [1, 2, 3]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    rows = [(row.place, row.cells) for row in read_rows(tmp_path / "a.parquet", only="text")]
    assert rows[2] == (f"{tmp_path / 'a.parquet'}, row 3", {"text": "y"})
    whole = next(read_rows(tmp_path / "a.parquet", only="body"))  # for a message with all names
    assert whole.cells == {"text": "x", "n": 1}


def test_a_row_of_another_length_is_refused_in_a_corpus_too(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\nHello, world,1\n")
    with pytest.raises(InputError, match=r"a\.csv, line 2, has 3 columns instead of 2: text, n"):
        list(open_files(tmp_path / "a.csv", "text", 0.1).texts(None))


def test_a_label_that_is_neither_text_nor_number(tmp_path):
    table = pyarrow.table({"text": ["x"], "label": [datetime.date(2020, 1, 1)]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="row 1: the label is date, not a name"):
        open_task("classification", TaskDataConfig(dev=tmp_path / "a.parquet"))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_row_of_jsonl_is_found_again_by_its_offset(name, tmp_path):
    content = '\ufeff{"text": "ü"}\n\n{"text": "y"}\r\n{"text": "z"}'.encode()
    pack = gzip.compress if name.endswith(".gz") else bytes
    (tmp_path / name).write_bytes(pack(content))
    rows = list(read_rows(tmp_path / name))
    assert [row.cells["text"] for row in rows] == ["ü", "y", "z"]
    chosen = [rows[2], rows[0]]
    found = read_objects_at(tmp_path / name, [row.offset for row in chosen])
    assert [row.cells for row in found] == [row.cells for row in chosen]
    with pytest.raises(InputError, match=r"a\.jsonl(\.gz)?, byte 4, is not JSON"):
        list(read_objects_at(tmp_path / name, [4]))
