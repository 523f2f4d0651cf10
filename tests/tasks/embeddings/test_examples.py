import json
from pathlib import Path
from typing import Any

import pytest

from model.errors import InputError
from tasks.catalogue import TASKS
from tasks.embeddings.examples import PairExample
from tasks.embeddings.kind import Pairs, Similarity
from tasks.open import TaskData, TaskDataConfig, open_task


def opened(folder: Path, *rows: dict, **fields: Any) -> TaskData:
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_task("embeddings", TaskDataConfig(dev=file, **fields), splits=("dev",))


def test_a_query_with_its_document(tmp_path):
    data = opened(
        tmp_path,
        {"query": "a", "document": "b", "negatives": ["c", "d", "c"], "key": 7, "id": "x"},
        {"text": "e", "document": "f", "score": None},
        {"query": "a", "document": "g", "negative": "h"},
        {"query": "i", "document": "j", "negatives": None, "negatives_of": 1, "key": "7"},
    )
    assert data.splits["dev"] == (
        PairExample("x", "a", "b", ("c", "d"), key="7"),
        PairExample("1", "e", "f"),
        PairExample("2", "a", "g", ("h",)),
        PairExample("3", "i", "j", key="7"),
    )
    assert data.task.kind == Pairs(negatives=2, answers=2)


def test_the_kind_is_as_large_as_the_examples_need():
    rows = [
        PairExample("0", "a", "b", ("x", "y")),
        PairExample("1", "a", "c"),
        PairExample("2", "d", "e", key="k"),
        PairExample("3", "f", "g", key="k"),
        PairExample("4", "h", "i", key="k"),
    ]
    assert Pairs().of_examples(rows) == Pairs(negatives=2, answers=3)


def test_with_scores_the_kind_is_another(tmp_path):
    data = opened(
        tmp_path,
        *({"text": f"a{n}", "second": f"b{n}", "label": str(n)} for n in range(4)),
        pair_field="second",
    )
    assert data.task.kind == Similarity(scale=3.0)
    assert data.task.metrics == ("spearman", "pearson")
    assert TASKS["embeddings"].metrics == ("right_at_1", "reciprocal_rank_at_10")
    zeros = [PairExample("0", "a", "b", score=0.0)]
    with pytest.raises(InputError, match="all scores are 0: there is nothing to learn"):
        Pairs().of_examples(zeros)


PAIR = {"query": "a", "document": "b"}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"query": "a"}, "has no 'document' but 'query': name the right one with --data.pair-fiel"),
        ({"document": "a"}, "has no 'text' or 'query' but 'document': name the right one with --d"),
        ({"query": "a", "document": " "}, "the text of 'document' is empty"),
        ({**PAIR, "negatives": ["b"]}, "a negative is the text of the query or of the document"),
        ({**PAIR, "negative": "a"}, "a negative is the text of the query or of the document"),
        ({**PAIR, "negatives": [""]}, "one of the negatives is empty: leave it out"),
        ({**PAIR, "negatives": "c"}, "'negatives' is 'c', and should be a list of texts"),
        ({**PAIR, "negatives": [3]}, "'negatives' is [3], and should be a list of texts"),
        ({**PAIR, "negative": "c", "negatives": []}, "there are 'negative' and 'negatives'"),
        ({**PAIR, "score": "high"}, "the score 'high' is not a finite number"),
        ({**PAIR, "grade": True}, "the score True is not a finite number"),
        ({**PAIR, "label": float("inf")}, "the score inf is not a finite number"),
    ],
)
def test_rows_that_say_nothing_sound_are_refused(tmp_path, row, sentence):
    with pytest.raises(InputError) as error:
        opened(tmp_path, row)
    assert f"{tmp_path / 'pairs.jsonl'}, line 1" in str(error.value)
    assert sentence in str(error.value)


STS = "index\tgenre\tsentence1\tsentence2\tscore\n0\tnews\tA cat.\tA dog.\t2.500\n"
OWN = 'news\tx\t2012\t4\t2.500\tA cat.\tA dog.\nnews\tx\t2012\t5\t5\t"B"\tC d.\tx\ty\n'


def test_the_sts_benchmark_in_both_forms(tmp_path):
    glue, own = tmp_path / "glue/STS-B", tmp_path / "own"
    for folder, name, content in [
        (glue, "train.tsv", STS),
        (glue, "original_sts-test.tsv", OWN),
        (own, "sts-train.csv", OWN),
        (own, "sts-test.csv", OWN),
    ]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    first = PairExample("0", "A cat.", "A dog.", score=2.5)
    second = PairExample("1", '"B"', "C d.", score=5.0)
    for root, train in ((tmp_path / "glue", (first,)), (own, (first, second))):
        found = open_task("sts", TaskDataConfig(root=root), splits=("test",)).splits["test"]
        assert found == (first, second)
        config = TaskDataConfig(root=root, dev_share=0.5)
        splits = open_task("sts", config, splits=("train",)).splits
        assert set(splits["train"]) <= {*train}


def test_a_short_line_of_the_sts_benchmark_is_named(tmp_path):
    (tmp_path / "original_sts-test.tsv").write_text(OWN + "news\tA cat.\tA dog.\n")
    with pytest.raises(InputError, match=r"sts-test.tsv, line 3, has 3 columns instead of 7: genr"):
        open_task("sts", TaskDataConfig(root=tmp_path), splits=("test",))
