"""Tasks in many languages, to score models with that were fine-tuned in English.

`xnli-de` has pairs in German, for a model of `mnli`; `xquad-de` has questions and texts in German,
and `mlqa-de-en` English questions about German texts, for a model of `squad`. There is nothing to
train on.

XQuAD is scored by SQuAD's own rules in all languages, as its authors do ("Training and evaluation"
in the README of google-deepmind/xquad, commit 1b99b75) and XTREME after them (evaluate.py of
google-research/xtreme, commit 0918248). A word is what stands between spaces, so that most Chinese
and Thai answers are one word: right as a whole, or not at all. MLQA has rules for each of its
languages, which `tasks.questions.squad` states.
"""

from collections.abc import Mapping

from tasks.formats.published import PublishedFiles
from tasks.formats.squad import squad_rows
from tasks.formats.table import Table
from tasks.glue import MNLI
from tasks.questions.examples import QuestionColumns
from tasks.questions.kind import Answers
from tasks.task import Task

_XNLI = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
_XQUAD = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
_MLQA = ("ar", "de", "en", "es", "hi", "vi", "zh")
_DEV_AND_TEST = {"dev": "validation", "test": "test"}

XNLI_PUBLISHED: Mapping[str, tuple[float, float]] = {
    "en": (82.1, 78.2),
    "es": (74.6, 69.1),
    "zh": (69.1, 64.0),
    "de": (72.3, 66.3),
    "ar": (66.4, 59.1),
    "ur": (58.5, 54.7),
}
"""Accuracies of multilingual BERT (cased) and DistilmBERT on the test sets, fine-tuned in English:
README of the distillation code, huggingface/transformers at 4aa4342, and the model card of
distilbert-base-multilingual-cased at 1a01b38."""


def _xnli(language: str) -> Task:
    pair = XNLI_PUBLISHED.get(language)
    return Task(
        f"xnli-{language}",
        f"XNLI ({language})",
        MNLI.kind,
        MNLI.metrics,
        labels=MNLI.labels,
        columns=MNLI.columns,
        published=PublishedFiles(
            ("XNLI-1.0", "XNLI"),
            {split: (f"xnli.{split}.tsv", f"xnli.{split}.jsonl") for split in ("dev", "test")},
            Table(only={"language": language}),
        ),
        hub=f"facebook/xnli:{language}",
        hub_splits=_DEV_AND_TEST,
        learned_from="mnli",
        published_scores="test: multilingual BERT {}, DistilmBERT {}".format(*pair) if pair else "",
    )


def _xquad(language: str) -> Task:
    return Task(
        f"xquad-{language}",
        f"XQuAD ({language})",
        Answers(),
        ("exact_match", "squad_f1"),
        columns=QuestionColumns(),
        published=PublishedFiles(("xquad",), {"dev": (f"xquad.{language}.json",)}, squad_rows),
        hub=f"google/xquad:xquad.{language}",
        hub_splits={"dev": "validation"},
        max_length=384,
        learned_from="squad",
    )


def _mlqa(context: str, question: str) -> Task:
    return Task(
        f"mlqa-{context}-{question}",
        f"MLQA (texts {context}, questions {question})",
        Answers(language=context),
        ("exact_match", "squad_f1"),
        columns=QuestionColumns(),
        published=PublishedFiles(
            ("MLQA_V1", "MLQA"),
            {
                split: tuple(
                    f"{folder}{split}-context-{context}-question-{question}.json"
                    for folder in ("", f"{split}/")
                )
                for split in ("dev", "test")
            },
            squad_rows,
        ),
        hub=f"google/xtreme:MLQA.{context}.{question}",  # facebook/mlqa is a script
        hub_splits=_DEV_AND_TEST,
        max_length=384,
        learned_from="squad",
    )


CROSS_LINGUAL: Mapping[str, tuple[Task, ...]] = {
    "xnli-LANGUAGE": tuple(map(_xnli, _XNLI)),
    "xquad-LANGUAGE": tuple(map(_xquad, _XQUAD)),
    "mlqa-TEXTS-QUESTIONS": tuple(_mlqa(texts, asked) for texts in _MLQA for asked in _MLQA),
}
"""The tasks by the form of their names, in which languages have codes of two letters."""
