from itertools import product

import pytest

from model.errors import InputError
from tasks.catalogue import TASKS, find_task
from train.recipes import FINETUNE

XNLI = ["ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"]
XQUAD = ["ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"]
MLQA = ["ar", "de", "en", "es", "hi", "vi", "zh"]
METRICS = {
    "cola": "matthews",
    "sst2": "accuracy",
    "mrpc": "accuracy f1",
    "stsb": "pearson spearman",
    "qqp": "accuracy f1",
    "mnli": "accuracy",
    "qnli": "accuracy",
    "rte": "accuracy",
    "wnli": "accuracy",
    "ax": "matthews",
    "imdb": "accuracy",
    "20newsgroups": "accuracy macro_f1",
    "ag_news": "accuracy",
    "conll2003": "entity_f1",
    "wnut17": "entity_f1",
    "squad": "exact_match squad_f1",
    "squad2": "exact_match squad_f1",
    "swag": "accuracy",
    **{f"xnli-{language}": "accuracy" for language in XNLI},
    **{f"xquad-{language}": "exact_match squad_f1" for language in XQUAD},
    **{f"mlqa-{a}-{b}": "exact_match squad_f1" for a, b in product(MLQA, MLQA)},
    "sts": "spearman pearson",
    **dict.fromkeys(
        (
            *("scitldr", "cnn_dailymail", "extractive"),
            *("scitldr-abstractive", "cnn_dailymail-abstractive", "summaries"),
        ),
        "rouge1 rouge2 rougeL rougeLsum",
    ),
    **dict.fromkeys(("multi30k-de-en", "multi30k-en-de", "translation"), "bleu"),
    "classification": "accuracy macro_f1",
    "multilabel": "micro_f1 macro_f1",
    "regression": "pearson spearman",
    "tags": "entity_f1",
    "answers": "exact_match squad_f1",
    "choices": "accuracy",
    "embeddings": "right_at_1 reciprocal_rank_at_10",
    "parallel": "text_right_at_1 translation_right_at_1",
}


def test_every_task_is_scored_as_its_paper_does_it():
    assert {name: " ".join(task.metrics) for name, task in TASKS.items()} == METRICS


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_an_entry_is_whole(task):
    assert TASKS[task.name] is task
    assert set(task.metrics) <= task.kind.metrics.keys()
    assert task.own_files == (task.published is None) == (task.hub is None)
    assert task.recipe in FINETUNE and bool(task.learned_from) == (task.name not in FINETUNE)
    assert (task.kind, task.labels) == (TASKS[task.recipe].kind, TASKS[task.recipe].labels) or (
        task.name.startswith("mlqa")
    )
    if task.published:
        assert task.published.files.keys() == task.hub_splits.keys()
    if not task.kind.named_outputs or task.own_files:
        assert task.labels == ()
    else:
        assert len(set(task.labels)) == len(task.labels) >= 2
    if task.metrics[-1] == "f1":
        assert len(task.labels) == 2 and task.labels[0] == f"not_{task.labels[1]}"  # of the second


@pytest.mark.parametrize(
    ("typo", "nearest"),
    [("sst-2", "sst2"), ("SST2", "sst2"), ("mnil", "mnli"), ("sqaud", "squad"), ("", "")],
)
def test_a_typo_is_answered_with_the_nearest_name(typo, nearest):
    with pytest.raises(InputError, match=f"did you mean {nearest}"):
        find_task(typo)


def test_the_list_of_tasks_has_forms_for_those_in_many_languages():
    with pytest.raises(InputError) as caught:
        find_task("xnli-xx")
    assert len(str(caught.value)) < 500 and "xnli-LANGUAGE" in str(caught.value)
