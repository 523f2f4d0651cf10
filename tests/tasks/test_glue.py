"""GLUE's files as they were published, in rows written by hand."""

from pathlib import Path

import pytest

from model.errors import InputError
from tasks.glue import AVERAGED, glue_average
from tasks.open import TaskDataConfig, open_task
from tasks.texts.examples import TextExample

BOM = "\ufeff"

# Of each task a training file and what its last row should be.
TRAIN = {
    "cola": (
        "CoLA",
        "gj04\t1\t\tIt went.\ngj04\t0\t*\tWent it.\n",
        "Went it.",
        None,
        "unacceptable",
    ),
    "sst2": (
        "SST-2",
        'sentence\tlabel\nbad \t0\n" so "good \t1\n',
        '" so "good ',
        None,
        "positive",
    ),
    "mrpc": (
        "MRPC",
        f"{BOM}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tA\tB\n"
        '1\t3\t4\t" He said .\tC "\n',
        '" He said .',
        'C "',
        "equivalent",
    ),
    "stsb": (
        "STS-B",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\t2012\t0001\tnone\tnone\tA\tB\t5.000\n1\tg\tf\t2012\t0004\tnone\tnone\tC\tD\t3.8\n",
        "C",
        "D",
        3.8,
    ),
    "qqp": (
        "QQP",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n7\t1\t2\tA\tB\t0\n1\t3\t4\tC\tD\t1\n",
        "C",
        "D",
        "duplicate",
    ),
    "mnli": (
        "MNLI",
        "index\tpromptID\tsentence1\tsentence2\tlabel1\tgold_label\n"
        "0\t1n\tA\tB\tneutral\tneutral\n1\t2e\tC\tD\tneutral\tentailment\n",
        "C",
        "D",
        "entailment",
    ),
    "qnli": (
        "QNLI",
        "index\tquestion\tsentence\tlabel\n0\tA\tB\tentailment\n1\tC\tD\tnot_entailment\n",
        "C",
        "D",
        "not_entailment",
    ),
    "rte": (
        "RTE",
        "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n1\tC\tD\tnot_entailment\n",
        "C",
        "D",
        "not_entailment",
    ),
    "wnli": (
        "WNLI",
        "index\tsentence1\tsentence2\tlabel\n0\tA\tB\t0\n1\tC\tD\t1\n",
        "C",
        "D",
        "entailment",
    ),
}


def write(file: Path, content: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8", newline="")
    return file


def split_of(root: Path, task: str, split: str) -> tuple:
    return open_task(task, TaskDataConfig(root=root), splits=(split,)).splits[split]


@pytest.mark.parametrize("task", TRAIN)
def test_published_training_files(task, tmp_path):
    folder, content, text, pair, label = TRAIN[task]
    write(tmp_path / folder / "train.tsv", content)
    of_all, of_its_own = (split_of(root, task, "train") for root in (tmp_path, tmp_path / folder))
    assert len(of_all) == 2
    assert of_all[-1] == TextExample("1", text, pair, label)
    assert of_its_own == of_all


def test_windows_line_ends_change_nothing_and_other_separators_are_text(tmp_path):
    content = TRAIN["sst2"][1].replace("so ", "so\x85\u2028 ")
    write(tmp_path / "a" / "train.tsv", content)
    write(tmp_path / "b" / "train.tsv", content.replace("\n", "\r\n"))
    assert split_of(tmp_path / "a", "sst2", "train") == split_of(tmp_path / "b", "sst2", "train")


def test_test_sets_have_no_labels_and_keep_their_index(tmp_path):
    write(tmp_path / "CoLA" / "test.tsv", "index\tsentence\n5\tIt went.\n")
    assert split_of(tmp_path, "cola", "test") == (TextExample("5", "It went."),)


def test_mnli_has_two_development_sets_in_either_format(tmp_path):
    write(tmp_path / "dev_matched.tsv", TRAIN["mnli"][1])
    write(
        tmp_path / "dev_mismatched.jsonl",
        '{"premise": "A", "hypothesis": "B", "label": "contradiction"}\n',
    )
    data = open_task("mnli", TaskDataConfig(root=tmp_path))
    assert list(data.splits) == ["dev", "dev_mismatched"]
    assert data.splits["dev_mismatched"] == (TextExample("0", "A", "B", "contradiction"),)


def test_the_diagnostic_set_with_gold_labels_and_without(tmp_path):
    write(tmp_path / "diagnostic" / "diagnostic.tsv", "index\tsentence1\tsentence2\n0\tA\tB\n")
    assert split_of(tmp_path, "ax", "test") == (TextExample("0", "A", "B"),)
    write(
        tmp_path / "diagnostic" / "diagnostic-full.tsv",
        "Logic\tDomain\tPremise\tHypothesis\tLabel\nNegation\t\tA\tB\tcontradiction\n",
    )
    assert split_of(tmp_path, "ax", "test") == (TextExample("0", "A", "B", "contradiction"),)
    with pytest.raises(InputError, match=r"diagnostic set has no dev split, only test"):
        split_of(tmp_path, "ax", "dev")


def test_cut_rows_of_qqp_are_left_out_and_counted(tmp_path):
    cut = '8\t5\t6\tWho\n"\tWas\t0\n9\t5\t6\t\tEmpty\t0\n'
    write(tmp_path / "QQP" / "train.tsv", TRAIN["qqp"][1] + cut)
    data = open_task("qqp", TaskDataConfig(root=tmp_path))
    assert len(data.splits["train"]) == 2
    assert data.notes[0] == "train: 3 of 5 left out: cut or empty as published"


HEADER = "index\tsentence1\tsentence2\tlabel\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0\tA\tB\n", "line 3, has 3 columns instead of 4: index, sentence1, sentence2, label"),
        ("0\tA\tB\t1\tC\n", "line 3, has 5 columns instead of 4"),
        ("1\tA\tB\tmaybe\n", "line 3: the label 'maybe' is none of entailment, not_entailment"),
        ("1\tA\tB\t\n", "line 3: the label is empty"),
        ("1\t \tB\tentailment\n", "line 3: the text of 'sentence1' is empty"),
        ("1\tA\t\tentailment\n", "line 3: the text of 'sentence2' is empty"),
        ("0\tA\tB\tentailment\n", "line 3: there was an example with the id '0' before"),
        ("1\tA\t\udcff\tentailment\n", "line 3, is not UTF-8 text"),
    ],
)
def test_a_bad_row_is_named(rows, message, tmp_path):
    file = tmp_path / "RTE" / "train.tsv"
    file.parent.mkdir()
    content = f"{HEADER}0\tC\tD\tentailment\n{rows}"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        split_of(tmp_path, "rte", "train")
    assert str(file) in str(caught.value) and message in str(caught.value)


def test_numbers_are_offered_where_files_have_numbers(tmp_path):
    write(tmp_path / "train.tsv", "sentence\tlabel\nfine\t2\n")
    with pytest.raises(InputError, match=r"line 2: the label '2' is none of 0, 1"):
        split_of(tmp_path, "sst2", "train")


@pytest.mark.parametrize("score", ["nan", "inf", "high", ""])
def test_a_score_is_a_finite_number(score, tmp_path):
    write(tmp_path / "train.tsv", f"index\tsentence1\tsentence2\tscore\n0\tA\tB\t{score}\n")
    with pytest.raises(InputError, match=r"line 2: the label '.*' is not a finite number"):
        split_of(tmp_path, "stsb", "train")


def test_training_rows_need_labels(tmp_path):
    write(tmp_path / "train.tsv", "index\tsentence1\tsentence2\n0\tA\tB\n")
    with pytest.raises(InputError, match=r"line 2, has no 'label' but 'index', 'sentence1'"):
        split_of(tmp_path, "rte", "train")


def test_another_sets_folder_is_noticed(tmp_path):
    write(tmp_path / "MRPC" / "train.tsv", TRAIN["mrpc"][1])
    with pytest.raises(InputError, match=r"has no 'sentence' but 'Quality'"):
        split_of(tmp_path / "MRPC", "sst2", "train")


# Table 1 of Sanh et al. 2019 (v4), DistilBERT's row, in its order.
DISTILBERT = dict(
    zip(AVERAGED, (51.3, 82.2, 87.5, 89.2, 88.5, 59.9, 91.3, 86.9, 56.3), strict=True)
)


def test_glue_averages_are_the_papers():
    assert glue_average(DISTILBERT) == pytest.approx(77.0, abs=0.05)
    assert glue_average(DISTILBERT, wnli=False) == pytest.approx(79.6, abs=0.05)
    others = {name: value for name, value in DISTILBERT.items() if name != "wnli"}
    assert glue_average(others) is None
    assert glue_average(others, wnli=False) == glue_average(DISTILBERT, wnli=False)
