"""The tasks of GLUE (Wang et al. 2019), in the order of its paper, and its diagnostic set.

Of the learning rates that Devlin et al. tried, 2e-5 to 5e-5, all have 3e-5. Labels have the names
that the hub gives them; files have numbers for some.
"""

from collections.abc import Mapping
from typing import Any

from tasks.formats.published import PublishedFiles
from tasks.formats.table import Table
from tasks.task import Task
from tasks.texts.examples import TextColumns
from tasks.texts.kind import Classification
from tasks.values.examples import ValueColumns
from tasks.values.kind import Regression

_MNLI_SPLITS = {
    "train": "train",
    "dev": "dev_matched",
    "dev_mismatched": "dev_mismatched",
    "test": "test_matched",
    "test_mismatched": "test_mismatched",
}
_ID = ("index", "id", "idx")
_BINARY = ("0", "1")
_SENTENCES = {"text": ("sentence1",), "pair": ("sentence2",), "id": _ID}
_COLA_HEADER = ("source", "label", "mark", "sentence")


def _files(names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The files of each split, from its name in theirs."""
    return {split: (f"{name}.tsv", f"{name}.jsonl") for split, name in names.items()}


_FILES = _files({split: split for split in ("train", "dev", "test")})


def _task(name: str, title: str, labels: tuple[str, ...], **settings: Any) -> Task:
    """A task that is like most."""
    like_most: dict[str, Any] = {
        "kind": Classification(),
        "metrics": ("accuracy",),
        "published": PublishedFiles((title,), _FILES, Table()),
        "hub": f"nyu-mll/glue:{name}",
    }
    return Task(name, title, labels=labels, **{**like_most, **settings})


COLA = _task(
    "cola",
    "CoLA",
    ("unacceptable", "acceptable"),
    metrics=("matthews",),
    columns=TextColumns(("sentence",), codes=_BINARY, id=_ID),
    published=PublishedFiles(
        ("CoLA",), _FILES, Table(header={"train": _COLA_HEADER, "dev": _COLA_HEADER})
    ),
)
SST2 = _task(
    "sst2",
    "SST-2",
    ("negative", "positive"),
    columns=TextColumns(("sentence",), codes=_BINARY, id=_ID),
)
MRPC = _task(
    "mrpc",
    "MRPC",
    ("not_equivalent", "equivalent"),
    metrics=("accuracy", "f1"),
    columns=TextColumns(
        ("#1 String", "sentence1"),
        ("#2 String", "sentence2"),
        ("Quality", "label"),
        codes=_BINARY,
        id=_ID,
    ),
)
STSB = _task(
    "stsb",
    "STS-B",
    (),
    kind=Regression(),
    metrics=("pearson", "spearman"),
    columns=ValueColumns(**_SENTENCES, label=("score", "label")),
)
QQP = _task(
    "qqp",
    "QQP",
    ("not_duplicate", "duplicate"),
    metrics=("accuracy", "f1"),
    columns=TextColumns(
        ("question1",), ("question2",), ("is_duplicate", "label"), codes=_BINARY, id=_ID
    ),
    # A few questions with line breaks in them; the hub's copy has none of these rows either.
    incomplete="cut or empty as published",
)
MNLI = _task(
    "mnli",
    "MNLI",
    ("entailment", "neutral", "contradiction"),
    columns=TextColumns(
        ("sentence1", "premise", "Premise"),
        ("sentence2", "hypothesis", "Hypothesis"),
        ("gold_label", "label", "Label"),
        id=_ID,
    ),
    published=PublishedFiles(("MNLI",), _files(_MNLI_SPLITS), Table()),
    hub_splits={s: name.replace("dev", "validation") for s, name in _MNLI_SPLITS.items()},
)
QNLI = _task(
    "qnli",
    "QNLI",
    ("entailment", "not_entailment"),
    columns=TextColumns(("question",), ("sentence",), id=_ID),
)
RTE = _task("rte", "RTE", ("entailment", "not_entailment"), columns=TextColumns(**_SENTENCES))
WNLI = _task(
    "wnli",
    "WNLI",
    ("not_entailment", "entailment"),
    columns=TextColumns(**_SENTENCES, codes=_BINARY),
)
# To evaluate a model of MNLI with: there is nothing to train on.
AX = _task(
    "ax",
    "the GLUE diagnostic set",
    MNLI.labels,
    metrics=("matthews",),
    columns=MNLI.columns,
    published=PublishedFiles(
        ("diagnostic", "AX"), {"test": ("diagnostic-full.tsv", "diagnostic.tsv", "AX.tsv")}, Table()
    ),
    hub_splits={"test": "test"},
    learned_from="mnli",
)

GLUE = (COLA, SST2, MRPC, STSB, QQP, MNLI, QNLI, RTE, WNLI, AX)
AVERAGED: tuple[str, ...] = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli")
"""The tasks of Table 1 of Sanh et al. 2019, in its order."""


def glue_average(scores: Mapping[str, float], *, wnli: bool = True) -> float | None:
    """The macro average over the nine tasks, or the eight without WNLI; None if one is missing.

    WNLI is often left out: nothing but guessing the majority has been learned from its 635 pairs.
    """
    tasks = [task for task in AVERAGED if wnli or task != "wnli"]
    if not scores.keys() >= set(tasks):
        return None
    return sum(scores[task] for task in tasks) / len(tasks)
