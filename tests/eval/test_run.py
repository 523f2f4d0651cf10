"""Scores of checkpoints on tasks, and the files that are left, against counting by hand."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from scipy.special import softmax

from data.tokenizer import load_vocabulary, save_vocabulary
from data.wordpiece import train_wordpiece
from eval.run import TaskEvaluation, evaluate_task
from model.errors import InputError
from model.pretrained import load, save
from model.tasks import MaskedLM, QuestionAnswering, SequenceClassification, TokenClassification
from report.predictions.confusion import draw_confusion, write_confusion
from report.predictions.submission import FILES, write_submission
from tasks.catalogue import TASKS, find_task
from tasks.open import TaskDataConfig
from tasks.reading import Reading
from tests import runs
from tests.small import build, call

random = np.random.default_rng(0)
TEXTS = [" ".join(random.choice(runs.WORDS, size=random.integers(3, 9))) for _ in range(30)]
PAIRS = list(zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True))
NLI = ("entailment", "neutral", "contradiction")
Rows = Sequence[tuple[str, ...]]
MODELS = {
    "sst2": (SequenceClassification, ("positive", "negative")),  # not in the order of the task
    "numbered": (SequenceClassification, ("LABEL_0", "LABEL_1")),
    "shouting": (SequenceClassification, ("NEGATIVE", "POSITIVE")),
    "mnli": (SequenceClassification, NLI[::-1]),
    "value": (SequenceClassification, ("LABEL_0",)),
    "colours": (SequenceClassification, ("blue", "green", "red")),
    "tags": (TokenClassification, ("O", "B-a", "I-a", "B-b", "I-b")),
    "answers": (QuestionAnswering, ("LABEL_0", "LABEL_1")),
    "masks": (MaskedLM, ("LABEL_0", "LABEL_1")),
}


def logits(model, vocabulary, rows: Rows) -> np.ndarray:
    """What a classifier says about texts or pairs of texts, all padded alike."""
    encodings = [vocabulary.tokenizer.encode(*row) for row in rows]
    for encoding in encodings:
        encoding.pad(24)
    columns = (
        [getattr(e, name) for e in encodings] for name in ("ids", "attention_mask", "type_ids")
    )
    ids, mask, types = (np.array(column, np.int32) for column in columns)
    return np.asarray(call(model, ids, mask.astype(bool), types).logits, np.float64)


def write_tsv(path: Path, *columns: tuple) -> None:
    """Columns, each with its name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in zip(*columns, strict=True)))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A checkpoint of random numbers for every kind of task, and some rows of data."""
    folder = tmp_path_factory.mktemp("home")
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, 80)
    size = vocabulary.size
    for name, (kind, labels) in MODELS.items():
        config = runs.MODEL.replace(vocab_size=size, max_positions=24, labels=labels)
        model = build(kind, config.replace(initializer_range=0.6))
        if kind is SequenceClassification:  # so that random numbers do not choose one class only
            bias = model.classifier.dense.bias
            bias[...] -= np.median(logits(model, vocabulary, [(text,) for text in TEXTS]), axis=0)
        save(model, folder / name)
        save_vocabulary(vocabulary, folder / name)
    index = ("index", *range(30))
    first, second = (("sentence1", *(p[0] for p in PAIRS)), ("sentence2", *(p[1] for p in PAIRS)))
    glue = folder / "glue"
    codes = ("label", *(number % 2 for number in range(30)))
    write_tsv(glue / "SST-2" / "dev.tsv", ("sentence", *TEXTS), codes)
    write_tsv(glue / "SST-2" / "test.tsv", index, ("sentence", *TEXTS))
    names = ("gold_label", *(NLI[number % 3] for number in range(30)))
    for half in ("matched", "mismatched"):
        write_tsv(glue / "MNLI" / f"dev_{half}.tsv", index, first, second, names)
        write_tsv(glue / "MNLI" / f"test_{half}.tsv", index, first, second)
    write_tsv(glue / "diagnostic" / "diagnostic.tsv", index, first, second)
    scores = ("score", *(number / 10 for number in range(30)))
    write_tsv(glue / "STS-B" / "dev.tsv", index, first, second, scores)
    with (folder / "colours.csv").open("w", newline="") as file:
        rows = ((text, ("red", "green")[number % 2]) for number, text in enumerate(TEXTS))
        csv.writer(file).writerows([("text", "label"), *rows])
    words = [text.split() for text in TEXTS]
    tagged = ["".join(f"{w}\t{'B-a' if w == 'cat' else 'O'}\n" for w in line) for line in words]
    (folder / "a.conll").write_text("\n".join(tagged))
    asked = [
        {"context": text, "qas": [{"id": str(n), "question": "a tree", "answers": [
            {"text": text.split()[-1], "answer_start": text.rindex(text.split()[-1])}]}]}
        for n, text in enumerate(TEXTS)
    ]  # fmt: skip
    (folder / "a.json").write_text(json.dumps({"data": [{"paragraphs": asked}]}))
    return folder


def evaluate(home, model: str, task: str, **settings):
    settings.setdefault("data", TaskDataConfig(root=home / "glue"))
    reading = Reading(max_length=24)
    if task == "answers":
        reading = replace(reading, doc_stride=4, max_question=4)
    settings.setdefault("reading", reading)
    settings.setdefault("output", home / f"out-{model}-{task}")
    metrics = evaluate_task(TaskEvaluation(model=str(home / model), task=task, **settings))
    return metrics, settings["output"]


def predictions(output: Path, split: str) -> list[dict]:
    lines = (output / f"predictions-{split}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def by_hand(folder: Path, rows: Rows) -> list[dict[str, float]]:
    """The probabilities that the model itself gives, by the names in its configuration."""
    shares = softmax(logits(load(folder), load_vocabulary(folder), rows), axis=-1)
    names = json.loads((folder / "config.json").read_text())["id2label"]
    return [{names[str(place)]: share for place, share in enumerate(row)} for row in shares]


@pytest.mark.long
def test_classes_go_by_name(home, capsys):
    metrics, output = evaluate(home, "sst2", "sst2")
    rows = predictions(output, "dev")
    expected = by_hand(home / "sst2", [(text,) for text in TEXTS])
    gold = [("negative", "positive")[number % 2] for number in range(30)]
    right = 0
    for row, shares, answer in zip(rows, expected, gold, strict=True):
        assert row["probabilities"] == pytest.approx(shares, rel=1e-4)
        assert row["prediction"] == max(shares, key=shares.__getitem__)
        assert row["gold"] == answer
        right += row["prediction"] == answer
    assert len({row["prediction"] for row in rows}) == 2
    positive = [row["prediction"] == "positive" for row in rows]
    hits = sum(guess and answer == "positive" for guess, answer in zip(positive, gold, strict=True))
    wins = [
        row["positive"] > other["positive"] for row in expected[1::2] for other in expected[::2]
    ]
    assert metrics["dev"] == pytest.approx(
        {"score": right / 30, "accuracy": right / 30, "collapsed": 0.0,
         "f1": 2 * hits / (sum(positive) + 15), "auc": np.mean(wins)}
    )  # fmt: skip

    printed = " ".join(capsys.readouterr().out.split())
    assert "sst2 on SST-2" in printed and "examples 30" in printed
    record = json.loads((output / "results.json").read_text())
    split = record["splits"]["dev"]
    assert (split["examples"], split["remarks"], split["metrics"]) == (30, [], metrics["dev"])
    scores = {"precision": hits / sum(positive), "recall": hits / 15, "f1": metrics["dev"]["f1"]}
    assert split["classes"]["positive"] == pytest.approx(scores | {"count": 15})
    assert "precision recall F1 examples" in printed
    half = split["intervals"]["accuracy"]
    assert half == pytest.approx(
        stats.t.ppf(0.975, 29) * (right / 30 * (1 - right / 30) / 29) ** 0.5
    )
    assert f"accuracy {100 * right / 30:.1f} % ± {100 * half:.1f}" in printed
    assert record["settings"]["task"] == "sst2"
    assert record["data"]["source"] == str(home / "glue")
    assert record["provenance"]["versions"]
    assert not list(output.glob("*.tsv"))
    with Image.open(output / "confusion-dev.png") as picture:
        assert min(picture.size) > 200


def test_scores_go_into_the_card_if_that_is_asked_for(home, tmp_path):
    shutil.copytree(home / "sst2", tmp_path / "sst2")
    data = TaskDataConfig(root=home / "glue")
    config = TaskEvaluation(
        model=str(tmp_path / "sst2"), task="sst2", data=data, output=tmp_path / "out"
    )
    metrics = evaluate_task(config)
    card = tmp_path / "sst2" / "README.md"
    assert "## Scores on SST-2" not in card.read_text()
    evaluate_task(replace(config, card=True))
    assert "## Scores on SST-2" in card.read_text()
    assert f"value: {metrics['dev']['accuracy']:.6f}".rstrip("0") in card.read_text()
    with pytest.raises(InputError, match="--card writes into the model's folder, and owner/name"):
        evaluate_task(replace(config, model="owner/name", card=True))


def test_the_errors_it_was_surest_of(home):
    _, output = evaluate(home, "sst2", "sst2")
    wrong = [row for row in predictions(output, "dev") if row["prediction"] != row["gold"]]
    wrong.sort(key=lambda row: -row["probabilities"][row["prediction"]])
    text = (output / "errors-dev.md").read_text()
    assert f"SST-2, dev: {len(wrong)} of 30 are not right" in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| 0.")]
    assert [row[-1].rstrip(" |") for row in rows] == [row["id"] for row in wrong[:20]]
    surest = wrong[0]
    share = surest["probabilities"][surest["prediction"]]
    assert rows[0][:4] == [
        f"| {share:.3f}", surest["gold"], surest["prediction"], TEXTS[int(surest["id"])]
    ]  # fmt: skip


@pytest.mark.parametrize("model", ["numbered", "shouting"])
def test_classes_that_have_no_names_or_others(home, model):
    """All three models have the same weights, and `sst2` the classes the other way round."""
    _, output = evaluate(home, "sst2", "sst2")
    expected = [row["probabilities"]["positive"] for row in predictions(output, "dev")]
    _, output = evaluate(home, model, "sst2", labels=("negative", "positive"))
    rows = [row["probabilities"]["negative"] for row in predictions(output, "dev")]
    assert rows == pytest.approx(expected, rel=1e-5)
    if model == "numbered":
        with pytest.raises(InputError, match="--labels negative positive"):
            evaluate(home, model, "sst2")


@pytest.mark.long
def test_both_halves_of_mnli_and_its_diagnostic_set(home):
    metrics, _ = evaluate(home, "mnli", "mnli")
    assert list(metrics) == ["dev", "dev_mismatched"]
    _, output = evaluate(home, "mnli", "mnli", split=("test", "test_mismatched"))
    guesses = [max(shares, key=shares.__getitem__) for shares in by_hand(home / "mnli", PAIRS)]
    assert len(set(guesses)) > 1
    lines = ["index\tprediction", *(f"{number}\t{guess}" for number, guess in enumerate(guesses))]
    for name in ("MNLI-m.tsv", "MNLI-mm.tsv"):
        assert (output / name).read_text() == "\n".join(lines) + "\n"
    metrics, output = evaluate(home, "mnli", "ax")
    assert metrics == {"test": {}}
    assert (output / "AX.tsv").read_text() == "\n".join(lines) + "\n"
    assert not list(output.glob("confusion*")) and not list(output.glob("errors*"))


def test_a_model_is_scored_in_another_language_beside_published_scores(home, tmp_path, capsys):
    languages = ("language", *("de", "ur") * 15)
    first, second = (("sentence1", *(p[0] for p in PAIRS)), ("sentence2", *(p[1] for p in PAIRS)))
    names = ("gold_label", *(NLI[number % 3] for number in range(30)))
    write_tsv(tmp_path / "xnli.test.tsv", languages, names, first, second)
    data = TaskDataConfig(root=tmp_path)
    metrics, output = evaluate(home, "mnli", "xnli-de", data=data, split=("test",))
    shares = by_hand(home / "mnli", PAIRS[::2])
    right = [max(s, key=s.__getitem__) == gold for s, gold in zip(shares, names[1::2], strict=True)]
    assert metrics["test"]["accuracy"] == pytest.approx(sum(right) / 15)
    beside = "test: multilingual BERT 72.3, DistilmBERT 66.3"
    assert f"published, {beside}" in capsys.readouterr().out
    assert json.loads((output / "results.json").read_text())["published"] == beside
    with pytest.raises(InputError, match=r"has no head for xnli-de: .* with train.finetune mnli"):
        evaluate(home, "masks", "xnli-de", data=data, split=("test",))


def test_a_development_set_that_is_not_there_is_reported(home, tmp_path, capsys):
    shutil.copytree(home / "glue" / "MNLI", tmp_path, dirs_exist_ok=True)
    (tmp_path / "dev_mismatched.tsv").unlink()
    metrics, output = evaluate(home, "mnli", "mnli", data=TaskDataConfig(root=tmp_path))
    assert list(metrics) == ["dev"]
    assert "dev_mismatched is left out" in capsys.readouterr().out
    [note] = json.loads((output / "results.json").read_text())["data"]["notes"]
    assert "looked for dev_mismatched.tsv" in note


def test_a_test_set_without_answers_is_written_to_be_handed_in(home):
    metrics, output = evaluate(home, "sst2", "sst2", split=("test",))
    assert metrics == {"test": {}}
    rows = by_hand(home / "sst2", [(text,) for text in TEXTS])
    expected = [f"{n}\t{int(row['positive'] > row['negative'])}" for n, row in enumerate(rows)]
    text = (output / "SST-2.tsv").read_text()
    assert text == "\n".join(["index\tprediction", *expected]) + "\n"


@pytest.mark.parametrize(
    ("task", "predicted", "written"),
    [
        ("cola", ["acceptable", "unacceptable"], ["1", "0"]),
        ("mrpc", ["equivalent", "not_equivalent"], ["1", "0"]),
        ("stsb", [-0.2, 2.71828, 5.1], ["0.000", "2.718", "5.000"]),
        ("qqp", ["duplicate", "not_duplicate"], ["1", "0"]),
        ("qnli", ["entailment", "not_entailment"], ["entailment", "not_entailment"]),
        ("rte", ["entailment", "not_entailment"], ["entailment", "not_entailment"]),
        ("wnli", ["entailment", "not_entailment"], ["1", "0"]),
    ],
)
def test_each_submission_has_its_own_way_to_say_it(task, predicted, written, tmp_path):
    rows = [{"id": str(number), "prediction": value} for number, value in enumerate(predicted)]
    write_submission(tmp_path / FILES[task, "test"], find_task(task), rows)
    lines = (tmp_path / FILES[task, "test"]).read_text().splitlines()
    assert lines == ["index\tprediction", *(f"{n}\t{text}" for n, text in enumerate(written))]


def test_every_task_of_glue_has_a_submission():
    tests = {
        (name, split)
        for name, task in TASKS.items()
        if task.hub and task.hub.startswith("nyu-mll/glue")
        for split in (task.published.files if task.published else ())
        if split.startswith("test")
    }
    assert tests == set(FILES)


def test_values(home):
    metrics, output = evaluate(home, "value", "stsb")
    rows = [row["prediction"] for row in predictions(output, "dev")]
    pearson = np.corrcoef(rows, np.arange(30) / 10)[0, 1]
    assert metrics["dev"]["pearson"] == pytest.approx(pearson, rel=1e-4)
    text = (output / "errors-dev.md").read_text()
    off = max(abs(value - number / 10) for number, value in enumerate(rows))
    assert text.splitlines()[0] == "# The values that are farthest off"
    assert f"\n| {off:.3f} | " in text
    assert not list(output.glob("confusion*"))


@pytest.fixture
def several(home, tmp_path):
    """A model for any number of labels, and texts with them in lists and in columns."""
    labels = ("red", "green", "blue")
    model = load(home / "colours")
    model.config = model.config.replace(labels=labels, problem_type="multi_label_classification")
    save(model, tmp_path / "model")
    save_vocabulary(load_vocabulary(home / "colours"), tmp_path / "model")
    gold = [[name for name in ("blue", "green") if name in text] for text in TEXTS]
    rows = [{"text": text, "label": names} for text, names in zip(TEXTS, gold, strict=True)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = [(t, *(int(name in g) for name in labels)) for t, g in zip(TEXTS, gold, strict=True)]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", *labels), *columns])
    return tmp_path, labels, gold


def test_any_number_of_labels(home, several):
    """Nothing is red, which the model knows: lists leave that open, columns say so."""
    folder, labels, gold = several
    data = TaskDataConfig(test=folder / "a.jsonl")
    output = folder / "out"
    metrics, _ = evaluate(home, str(folder / "model"), "multilabel", data=data, output=output)
    rows = [(text,) for text in TEXTS]
    scores = logits(load(folder / "model"), load_vocabulary(folder / "model"), rows)
    table = 1 / (1 + np.exp(-scores)) > 0.5
    right = np.array([[name in names for name in labels] for names in gold])
    found = predictions(output, "test")
    for row, given, names, of_text in zip(found, table, gold, scores, strict=True):
        assert row["prediction"] == [n for n, there in zip(labels, given, strict=True) if there]
        assert row["gold"] == names
        shares = dict(zip(labels, 1 / (1 + np.exp(-of_text)), strict=True))
        assert row["probabilities"] == pytest.approx(shares, rel=1e-4)
    hits, total = (right & table).sum(), right.sum() + table.sum()
    assert metrics["test"]["micro_f1"] == pytest.approx(2 * hits / total)
    wrong = int((right != table).any(1).sum())
    assert metrics["test"]["subset_accuracy"] == pytest.approx(1 - wrong / 30)
    assert f"{wrong} of 30 are not right" in (output / "errors-test.md").read_text()
    assert not list(output.glob("confusion*"))
    record = json.loads((output / "results.json").read_text())["splits"]["test"]
    assert record["classes"]["red"]["count"] == 0

    data = TaskDataConfig(test=folder / "a.csv", label_fields=labels[::-1])
    again, _ = evaluate(home, str(folder / "model"), "multilabel", data=data, output=output)
    assert again["test"] == pytest.approx(metrics["test"])
    assert [row["prediction"] for row in predictions(output, "test")] == [
        row["prediction"] for row in found
    ]
    settings = {"data": data, "output": output, "threshold": 0.999}
    none, _ = evaluate(home, str(folder / "model"), "multilabel", **settings)
    assert none["test"]["collapsed"] == 1 and not predictions(output, "test")[0]["prediction"]


def test_labels_that_do_not_go_together(home, several):
    folder, labels, _ = several
    data = TaskDataConfig(test=folder / "a.csv", label_fields=labels[1:])
    sentence = r"knows the 3 classes red, green, blue, and multilabel has green, blue: it was fine"
    with pytest.raises(InputError, match=sentence):
        evaluate(home, str(folder / "model"), "multilabel", data=data, output=folder / "o")
    data = TaskDataConfig(test=folder / "a.jsonl")
    with pytest.raises(InputError, match=r"--threshold is for any number of labels, and sst2 has"):
        evaluate(home, "sst2", "sst2", threshold=0.5)
    with pytest.raises(InputError, match=r"single_label_classification, and multilabel takes a cl"):
        evaluate(home, "colours", "multilabel", data=data, output=folder / "o")
    model = load(folder / "model")
    model.config = model.config.replace(labels=("LABEL_0", "LABEL_1", "LABEL_2"))
    save(model, folder / "model")
    with pytest.raises(InputError, match=r"are only numbered .*: name them in the model's order"):
        evaluate(home, str(folder / "model"), "multilabel", data=data, output=folder / "o")
    settings = {"data": data, "output": folder / "o", "labels": labels}
    metrics, _ = evaluate(home, str(folder / "model"), "multilabel", **settings)
    assert 0 < metrics["test"]["score"] < 1


def test_tags(home):
    data = TaskDataConfig(dev=home / "a.conll")
    metrics, output = evaluate(home, "tags", "tags", data=data)
    assert list(metrics["dev"]) == ["score", "entity_f1"]
    rows = predictions(output, "dev")
    assert [row["words"] for row in rows] == [text.split() for text in TEXTS]
    text = (output / "errors-dev.md").read_text()
    assert text.startswith("# The sentences with most wrong entities")
    assert "a: cat" in text


def test_answers(home):
    data = TaskDataConfig(dev=home / "a.json")
    metrics, output = evaluate(home, "answers", "answers", data=data)
    rows = predictions(output, "dev")
    right = [row["prediction"] in row["gold"] for row in rows]
    assert metrics["dev"]["exact_match"] == pytest.approx(np.mean(right), abs=0.1)
    lines = (output / "errors-dev.md").read_text().splitlines()
    assert lines[0] == "# The wrong answers it was surest of"
    shares = [float(line.split(" | ")[0][2:]) for line in lines if line.startswith("| 0.")]
    assert len(shares) == 20 and shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("unanswerable", [True, False, None])
def test_a_model_knows_whether_all_its_questions_had_an_answer(
    home, tmp_path, capsys, unanswerable
):
    """A model of others does not: then the questions that are scored decide."""
    model = load(home / "answers")
    model.config = model.config.replace(unanswerable=unanswerable)
    save(model, tmp_path / "model")
    save_vocabulary(load_vocabulary(home / "answers"), tmp_path / "model")
    data = TaskDataConfig(dev=home / "a.json")
    metrics, output = evaluate(tmp_path, "model", "answers", data=data)
    rows = predictions(output, "dev")
    silent = [row["prediction"] == "" for row in rows]
    likelier = [row["no_answer"] > 0 for row in rows]
    assert any(likelier)
    assert silent == (likelier if unanswerable else [False] * len(rows))
    assert metrics["dev"]["collapsed"] == all(silent)
    reported = "dev: no question is given an answer" in capsys.readouterr().out
    assert reported == all(silent)


def test_questions_without_an_answer_are_counted_apart(home, tmp_path, capsys):
    asked = json.loads((home / "a.json").read_text())
    for paragraph in asked["data"][0]["paragraphs"][::2]:
        paragraph["qas"][0]["answers"] = []
    (tmp_path / "b.json").write_text(json.dumps(asked))
    data = TaskDataConfig(dev=tmp_path / "b.json")
    metrics, output = evaluate(home, "answers", "answers", data=data, output=tmp_path)
    nothing = {"", "a", "an", "the"}  # articles do not count
    rows = predictions(output, "dev")
    silent = [row["prediction"] in nothing for row in rows if not row["gold"]]
    assert len(silent) == 15
    assert metrics["dev"]["no_answer_exact_match"] == pytest.approx(np.mean(silent))
    both = [metrics["dev"][f"{kind}_answer_exact_match"] for kind in ("has", "no")]
    assert metrics["dev"]["exact_match"] == pytest.approx(np.mean(both))
    assert "right where there is none" in capsys.readouterr().out

    for threshold, share in ((-1e6, 1), (1e6, 0)):
        settings = {"data": data, "output": tmp_path, "null_threshold": threshold}
        evaluate(home, "answers", "answers", **settings)
        assert np.mean([not row["prediction"] for row in predictions(output, "dev")]) == share


def test_own_examples_need_not_have_every_class(home):
    """There is nothing blue among them."""
    data = TaskDataConfig(test=home / "colours.csv")
    metrics, output = evaluate(home, "colours", "classification", data=data)
    assert list(metrics) == ["test"]
    expected = by_hand(home / "colours", [(text,) for text in TEXTS])
    guesses = [max(shares, key=shares.__getitem__) for shares in expected]
    assert [row["prediction"] for row in predictions(output, "test")] == guesses
    assert "blue" in guesses


def test_long_texts_are_reported(home, capsys):
    _, output = evaluate(home, "sst2", "sst2", reading=Reading(max_length=7))
    longer = sum(len(text.split()) > 5 for text in TEXTS)
    sentence = f"dev: {longer} of 30 are longer than 7 tokens: their beginning is read"
    assert sentence in capsys.readouterr().out
    record = json.loads((output / "results.json").read_text())
    assert record["splits"]["dev"]["remarks"] == [sentence]


def test_the_confusion_matrix_has_counts_and_shares():
    counts = np.array([[8, 2, 0], [0, 0, 0], [1, 1, 2]])
    [axes] = draw_confusion(counts, ("a", "bb", "ccc"), title="matrix").axes
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts[(0, 0)] == "8\n80 %"
    assert texts[(1, 0)] == "2\n20 %"  # of the first row: gold is downwards, predicted across
    assert texts[(2, 2)] == "2\n50 %"
    assert Counter(texts.values())["0"] == 4
    for axis in (axes.xaxis, axes.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["a", "bb", "ccc"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "gold")


def test_many_classes_leave_room_for_counts_only():
    labels = [f"class number {number}" for number in range(20)]
    figure = draw_confusion(np.eye(20, dtype=int) * 7, labels, title="many")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert Counter(texts) == {"7": 20, "": 380}


def test_the_confusion_of_too_many_classes_to_draw_is_a_table(tmp_path):
    labels = [f"class {number}" for number in range(41)]
    pairs = [("class 1", "class, 2"), ("class 1", "class, 2"), ("class 40", "class 40")]
    write_confusion(tmp_path, "dev", pairs, labels, title="many")
    assert [path.name for path in tmp_path.iterdir()] == ["confusion-dev.csv"]
    with (tmp_path / "confusion-dev.csv").open(newline="") as file:
        rows = [*csv.reader(file)]
    assert rows[1:] == [["class 1", "class, 2", "2"], ["class 40", "class 40", "1"]]


@pytest.mark.parametrize(
    ("model", "task", "settings", "message"),
    [
        ("sst2", "sst3", {}, "there is no task 'sst3': did you mean sst2"),
        ("sst2", "sst2", {"split": ("tset",)}, "has no tset split, only train, dev, test"),
        ("sst2", "sst2", {"split": ("train",)}, "looked for train.tsv"),
        ("sst2", "sst2", {"data": TaskDataConfig(root=Path("nowhere"))}, "nowhere is no folder"),
        ("sst2", "cola", {}, "does not hold the dev split of CoLA"),
        ("mnli", "sst2", {}, "mnli knows the 3 classes .* it was fine-tuned for something else"),
        ("sst2", "sst2", {"labels": ("good", "bad")}, "--labels good bad: sst2 has the classes"),
        ("masks", "sst2", {}, "has no head for sst2: fine-tune it first"),
        ("tags", "sst2", {}, "has no head for sst2: fine-tune it first"),
        ("nowhere", "sst2", {}, "nowhere"),
        ("sst2", "sst2", {"null_threshold": 0.0}, "--null-threshold is for questions, and sst2"),
        ("sst2", "sst2", {"reading": Reading(max_length=128)}, "128 is above the 24 positions"),
        ("sst2", "classification", {"data": TaskDataConfig()}, "reads your own files"),
    ],
)
def test_what_cannot_be_scored_is_refused(home, model, task, settings, message):
    with pytest.raises(InputError, match=message):
        evaluate(home, model, task, **settings)


def test_a_head_of_another_problem_type_is_not_read_as_a_classifier(home, tmp_path):
    model = load(home / "sst2")
    model.config = model.config.replace(problem_type="multi_label_classification")
    save(model, tmp_path)
    sentence = r"has the problem_type multi_label_classification, and sst2 takes a classifier: fine"
    with pytest.raises(InputError, match=sentence):
        evaluate(home, str(tmp_path), "sst2")


def test_several_values_need_the_names_of_their_columns(home, tmp_path):
    model = load(home / "mnli")
    model.config = model.config.replace(problem_type="regression")
    save(model, tmp_path)
    save_vocabulary(load_vocabulary(home / "mnli"), tmp_path)
    (tmp_path / "a.csv").write_text("text,label\na cat,1.5\n")
    data = TaskDataConfig(dev=tmp_path / "a.csv")
    sentence = r"gives 3 values, .*: .* in --data.label-fields contradiction neutral entailment"
    with pytest.raises(InputError, match=sentence):
        evaluate(home, str(tmp_path), "regression", data=data)


def test_own_classes_that_the_model_does_not_know(home):
    data = TaskDataConfig(dev=home / "colours.csv")
    sentence = r"colours.csv, line 2: the label 'red' is none of contradiction, neutral, entail"
    with pytest.raises(InputError, match=sentence):
        evaluate(home, "mnli", "classification", data=data)


@pytest.mark.parametrize(
    ("model", "task", "name", "text"),
    [
        ("colours", "classification", "one.csv", "text,label\nthe cat,red\na dog,red\n"),
        ("tags", "tags", "one.conll", "the O\ncat O\n"),
    ],
)
def test_own_examples_may_all_have_the_same_class(home, tmp_path, model, task, name, text):
    (tmp_path / name).write_text(text)
    data = TaskDataConfig(test=tmp_path / name)
    metrics, _ = evaluate(home, model, task, data=data, output=tmp_path / "out")
    assert 0 <= metrics["test"]["score"] <= 1


def test_own_examples_with_an_empty_column_of_labels_are_predicted(home, tmp_path):
    (tmp_path / "open.csv").write_text("text,label\nthe cat,\na dog,\n")
    data = TaskDataConfig(test=tmp_path / "open.csv")
    metrics, output = evaluate(home, "colours", "classification", data=data, output=tmp_path / "o")
    assert metrics == {"test": {}}
    assert len(predictions(output, "test")) == 2
    (tmp_path / "open.csv").write_text("text,label\nthe cat,\na dog,red\n")
    with pytest.raises(InputError, match="1 of 2 examples have a label: either all have or none"):
        evaluate(home, "colours", "classification", data=data)
    (tmp_path / "open.csv").write_text("text,label\nthe cat,\na dog,\n")
    metrics, _ = evaluate(home, "tags", "tags", data=data, output=tmp_path / "tags")
    assert metrics == {"test": {}}


def test_an_order_of_classes_against_the_models_own(home):
    """By name and never by position: what it calls its own classes counts."""
    assert MODELS["sst2"][1] == ("positive", "negative")
    sentence = r"--labels negative positive: .*sst2 itself calls its classes positive, negative, in"
    with pytest.raises(InputError, match=sentence):
        evaluate(home, "sst2", "sst2", labels=("negative", "positive"))
    same, _ = evaluate(home, "sst2", "sst2")
    assert evaluate(home, "sst2", "sst2", labels=("positive", "negative"))[0] == same
    sentence = r"--labels a b: stsb has no classes, leave it out"
    with pytest.raises(InputError, match=sentence):
        evaluate(home, "value", "stsb", labels=("a", "b"))


def test_windows_are_as_long_as_the_model_allows(home, tmp_path, capsys):
    shutil.copytree(home / "sst2", tmp_path / "model")
    run = {"kind": "finetune", "task": "sst2", "reading": asdict(Reading())}
    (tmp_path / "config.json").write_text(json.dumps(run))
    data = TaskDataConfig(root=home / "glue")
    settings = {"model": str(tmp_path / "model"), "task": "sst2", "data": data}
    found = []
    for name, reading in {"a": Reading(), "b": Reading(max_length=24)}.items():
        evaluation = TaskEvaluation(**settings, reading=reading, output=tmp_path / name)
        found.append(evaluate_task(evaluation))
        printed = capsys.readouterr().out
        remark = f"windows have 24 tokens, as {tmp_path / 'model'} has no more positions: those of"
        assert (f"{remark} sst2 have 128 otherwise" in printed) == (name == "a")
        assert "was fine-tuned" not in printed
    assert found[0] == found[1]
    with pytest.raises(InputError, match=r"--reading.max-length 25 is above the 24 positions"):
        evaluate_task(TaskEvaluation(**settings, reading=Reading(max_length=25)))


@pytest.mark.long
def test_texts_read_otherwise_than_in_training_are_reported(home, tmp_path, capsys):
    shutil.copytree(home / "sst2", tmp_path / "model")
    then = asdict(Reading(max_length=7, long="head+tail", max_question=9))
    run = {"kind": "finetune", "task": "sst2", "reading": then}
    (tmp_path / "config.json").write_text(json.dumps(run))
    flags = {"reading": Reading(max_length=7), "output": tmp_path / "out"}
    data = TaskDataConfig(root=home / "glue")
    evaluation = TaskEvaluation(model=str(tmp_path / "model"), task="sst2", data=data, **flags)
    evaluate_task(evaluation)
    assert "model was fine-tuned with --reading.long head+tail: give" in capsys.readouterr().out
    evaluate_task(replace(evaluation, reading=Reading(max_length=7, long="head+tail")))
    assert "was fine-tuned with" not in capsys.readouterr().out
    then = asdict(Reading(max_length=7, long="windows", overlap=2))  # matters to windows alone
    (tmp_path / "config.json").write_text(json.dumps(run | {"reading": then}))
    evaluate_task(evaluation)
    sentence = "with --reading.long windows --reading.overlap 2: give"
    assert sentence in capsys.readouterr().out
    then = asdict(Reading(max_length=7, long="windows"))
    (tmp_path / "config.json").write_text(json.dumps(run | {"reading": then}))
    reading = Reading(max_length=7, long="windows", overlap=2)
    evaluate_task(replace(evaluation, reading=reading))
    assert "was fine-tuned with no --reading.overlap: give" in capsys.readouterr().out


def test_without_flags_texts_are_read_as_in_training(home, tmp_path, capsys):
    shutil.copytree(home / "sst2", tmp_path / "model")
    then = asdict(Reading(max_length=7, long="head+tail"))
    run = {"kind": "finetune", "task": "sst2", "reading": then}
    (tmp_path / "config.json").write_text(json.dumps(run))
    data = TaskDataConfig(root=home / "glue")
    evaluation = TaskEvaluation(
        model=str(tmp_path / "model"), task="sst2", data=data, output=tmp_path / "out"
    )
    evaluate_task(evaluation)
    sentence = "was fine-tuned: --reading.max-length 7 --reading.long head+tail"
    assert sentence in capsys.readouterr().out
    _, output = evaluate(home, "sst2", "sst2", reading=Reading(max_length=7, long="head+tail"))
    assert predictions(tmp_path / "out", "dev") == predictions(output, "dev")


def test_a_folder_is_of_one_model_and_task_and_of_its_last_evaluation(home, monkeypatch):
    monkeypatch.chdir(home)
    data = TaskDataConfig(root=home / "glue")
    long = Reading(max_length=24)
    for model, folder in (("sst2", "eval-sst2-sst2"), ("./shouting", "eval-sst2-shouting")):
        labels = ("negative", "positive") if "sh" in model else ()
        once = TaskEvaluation(model=model, task="sst2", data=data, reading=long, labels=labels)
        evaluate_task(once)
        left = sorted(path.name for path in (home / "runs" / folder).iterdir())
        wanted = ["confusion-dev.png", "errors-dev.md", "predictions-dev.jsonl", "results.json"]
        assert left == wanted
    evaluate_task(replace(once, split=("test",)))
    left = sorted(path.name for path in (home / "runs" / folder).iterdir())
    assert [name for name in left if "tsv" not in name] == [
        "predictions-test.jsonl",
        "results.json",
    ]
    with pytest.raises(
        InputError, match=r"eval-sst2-shouting holds the scores of \./shouting on s"
    ):
        evaluate_task(replace(once, model="sst2", output=home / "runs" / folder, labels=()))


def test_own_ids_come_out_again_with_the_texts(home, tmp_path):
    rows = [("id", "text", "label"), ("a7", TEXTS[0], "red"), ("b", TEXTS[1], "green")]
    with (tmp_path / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    data = TaskDataConfig(test=tmp_path / "own.csv")
    _, output = evaluate(home, "colours", "classification", data=data, output=tmp_path / "out")
    found = [(row["id"], row["text"], row["gold"]) for row in predictions(output, "test")]
    assert found == rows[1:]


def test_a_folder_that_cannot_be_written(home):
    (home / "file").write_text("")
    with pytest.raises(InputError, match=r"file is a file: give the name of a folder"):
        evaluate(home, "sst2", "sst2", output=home / "file")


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["BertConfig", "DistilBertConfig"])
def test_models_of_transformers_predict_the_same_here(home, name, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    size = load_vocabulary(home / "sst2").size
    shape = {"vocab_size": size, "id2label": {0: "positive", 1: "negative"}}
    shape |= {"label2id": {"positive": 0, "negative": 1}, "initializer_range": 0.6}
    if name == "BertConfig":
        shape |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        shape |= {"intermediate_size": 24, "max_position_embeddings": 24}
    else:
        shape |= {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
        shape |= {"max_position_embeddings": 24}
    config = getattr(transformers, name)(**shape)
    theirs = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    tokenizer = transformers.BertTokenizer(vocab=str(home / "sst2" / "vocab.txt"))
    tokenizer.save_pretrained(tmp_path)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    batch = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        theirs.classifier.bias -= theirs(**batch).logits.median(dim=0).values
        shares = torch.softmax(theirs(**batch).logits, -1).numpy()
    theirs.save_pretrained(tmp_path)
    _, output = evaluate(home, str(tmp_path), "sst2", output=tmp_path / "out")
    rows = predictions(output, "dev")
    assert [row["prediction"] for row in rows] == [
        config.id2label[place] for place in shares.argmax(-1)
    ]
    assert len({row["prediction"] for row in rows}) == 2
    found = [[row["probabilities"][label] for label in ("positive", "negative")] for row in rows]
    np.testing.assert_allclose(found, shares, rtol=0, atol=1e-5)
