"""Tasks in many languages: their files, and their rules for answers."""

import json
from pathlib import Path

import pytest

from model.errors import InputError
from tasks.catalogue import find_task
from tasks.open import TaskDataConfig, open_task

HEADER = "language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpairID\n"


def xnli(file: Path, *rows: tuple[str, ...]) -> None:
    lines = (f"{lang}\t{label}\t\t{a}\t{b}\t7\n" for lang, label, a, b in rows)
    file.write_text(HEADER + "".join(lines), encoding="utf-8")


def read(root: Path, task: str, split: str) -> tuple:
    return open_task(task, TaskDataConfig(root=root), splits=(split,)).splits[split]


def test_a_file_holds_all_languages_and_one_is_read(tmp_path):
    rows = [
        ("ar", "neutral", "وقال", "نعم"),
        ("de", "contradiction", 'Er sagte: "Nein', "Ja."),
        ("de", "entailment", "Und er sagte, Mama.", "Er sprach."),
    ]
    xnli(tmp_path / "xnli.test.tsv", *rows)
    examples = read(tmp_path, "xnli-de", "test")
    assert [(e.id, e.text, e.pair, e.label) for e in examples] == [
        ("0", 'Er sagte: "Nein', "Ja.", "contradiction"),
        ("1", "Und er sagte, Mama.", "Er sprach.", "entailment"),
    ]
    assert [e.label for e in read(tmp_path, "xnli-ar", "test")] == ["neutral"]
    with pytest.raises(InputError, match=r"there are no examples in xnli.test.tsv or"):
        read(tmp_path, "xnli-sw", "test")
    (tmp_path / "xnli.test.tsv").write_text("gold_label\tsentence1\nneutral\ta\n")
    with pytest.raises(InputError, match=r"line 2, has no 'language' but 'gold_label', "):
        read(tmp_path, "xnli-de", "test")


@pytest.mark.parametrize(
    ("task", "split", "path"),
    [
        ("xquad-de", "dev", "xquad/xquad.de.json"),
        ("mlqa-de-en", "dev", "MLQA_V1/dev/dev-context-de-question-en.json"),
        ("mlqa-de-en", "test", "test-context-de-question-en.json"),
    ],
)
def test_questions_are_found_where_their_authors_put_them(task, split, path, tmp_path):
    asked = {"id": "q", "question": "Where?", "answers": [{"text": "Köln", "answer_start": 3}]}
    content = {"data": [{"paragraphs": [{"context": "In Köln.", "qas": [asked]}]}]}
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(json.dumps(content))
    [example] = read(tmp_path, task, split)
    assert example.answers[0].text == "Köln"


@pytest.mark.parametrize(
    ("task", "gold", "predicted", "exact", "f1"),
    [
        # SQuAD's rules: a word is what stands between spaces.
        ("xquad-th", "กรุงเทพมหานคร", "กรุงเทพ", 0, 0),
        ("xquad-th", "กรุงเทพ มหานคร", "กรุงเทพ", 0, 2 / 3),
        ("xquad-zh", "北京奥运会", "北京", 0, 0),
        ("xquad-de", "der Dom", "Dom", 0, 2 / 3),
        ("xquad-de", "the Dom", "Dom", 1, 1),
        # MLQA's: characters in Chinese, the language's articles, all of Unicode's punctuation.
        ("mlqa-zh-en", "北京奥运会", "北京", 0, 4 / 7),
        ("mlqa-zh-de", "《红楼梦》", "红楼梦", 1, 1),
        ("mlqa-zh-zh", "2008年8月", "2008年 8月", 1, 1),
        ("mlqa-de-de", "„Der Dom“", "dom", 1, 1),
        ("mlqa-de-de", "the Dom", "Dom", 0, 2 / 3),
        ("mlqa-ar-ar", "القاهرة", "قاهرة؟", 1, 1),
        ("mlqa-hi-en", "राष्ट्रपति।", "राष्ट्रपति", 1, 1),
        ("mlqa-en-de", "the Dome", "Dome", 1, 1),
    ],
)
def test_answers_are_compared_as_their_authors_do_it(task, gold, predicted, exact, f1):
    kind = find_task(task).kind
    values = kind.measure(("exact_match", "squad_f1"), (), [[gold]], [predicted])
    assert values == {"exact_match": exact, "squad_f1": pytest.approx(f1), "collapsed": 0}
    row = {"gold": [gold], "prediction": predicted, "start": 0}
    candidate = {"text": predicted, "start": 0, "probability": 0.5}
    wrong = kind.mistake({**row, "candidates": [candidate]})
    assert wrong.badness == (0.0 if exact else 0.5)
