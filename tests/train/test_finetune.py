"""Fine-tuning as a whole, on a few rows and narrow models: what it leaves, and how it resumes."""

import csv
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sklearn.utils.class_weight import compute_class_weight

from data.tokenizer import load_vocabulary, save_vocabulary
from eval.run import TaskEvaluation, evaluate_task
from model.errors import InputError
from model.pretrained import load, save
from model.tasks import (
    DocumentClassification,
    Embedder,
    MultipleChoice,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from report.naming import NAMES
from tasks.buckets import BucketBatches
from tasks.catalogue import TASKS
from tasks.cross_lingual import CROSS_LINGUAL
from tasks.open import TaskDataConfig, open_task
from tests import runs
from tests.hub_server import hub
from train.command.cli import choose
from train.command.signals import Stopped
from train.config import FinetuneConfig, RunConfig
from train.finetune import chosen_task, finetune, prepare
from train.loop.learner import one_model
from train.loop.metric_log import MetricLog
from train.objectives.finetuning import TaskLoss, TaskObjective
from train.recipes import FINETUNE

COLOURS = ("red", "green")
SEEN = (*COLOURS, "long")


def write_rows(path: Path, rows: list[dict]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model, and for each kind of task a file from which it can be learned in a few steps."""
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    random = np.random.default_rng(0)
    texts = [random.choice(runs.WORDS, size=random.integers(3, 12)) for _ in range(90)]
    kept = [list(words) for words in texts if len({*words} & {*COLOURS}) == 1]
    colour = [next(word for word in words if word in COLOURS) for words in kept]
    write_rows(
        folder / "colours.csv",
        [{"text": " ".join(w), "label": c} for w, c in zip(kept, colour, strict=True)],
    )
    write_rows(
        folder / "lengths.csv",
        [{"text": " ".join(words), "label": len(words) / 10} for words in kept],
    )
    several = [
        {"text": " ".join(words), "labels": [c, *["long"] * (len(words) > 6)]}
        for words, c in zip(kept, colour, strict=True)
    ]
    (folder / "seen.jsonl").write_text("".join(json.dumps(row) + "\n" for row in several))
    write_rows(
        folder / "seen.csv",
        [
            {"text": row["text"], **{name: int(name in row["labels"]) for name in SEEN}}
            for row in several
        ],
    )
    lines = []
    for words in kept:
        tags = ["B-colour" if word in COLOURS else "O" for word in words]
        lines += [*(f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True)), ""]
    (folder / "colours.conll").write_text("\n".join(lines) + "\n")
    questions = []
    for number, (words, answer) in enumerate(zip(kept, colour, strict=True)):
        context = " ".join(words)
        found = {"text": answer, "answer_start": context.index(answer)}
        asked = {"id": str(number), "question": "a tree", "answers": [found]}
        questions.append({"context": context, "qas": [asked]})
    squad = {"version": "1.1", "data": [{"title": "colours", "paragraphs": questions}]}
    (folder / "colours.json").write_text(json.dumps(squad))
    rows = []
    for words, answer in zip(kept, colour, strict=True):
        others = [word for word in runs.WORDS if word not in COLOURS]
        choices = random.choice(others, size=random.integers(2, 5), replace=False).tolist()
        label = int(random.integers(len(choices)))
        choices[label] = answer
        rows.append({"text": " ".join(words), "choices": choices, "label": label})
    (folder / "colours.jsonl").write_text("\n".join(map(json.dumps, rows)))
    other = dict(zip(runs.WORDS, runs.WORDS[7:] + runs.WORDS[:7], strict=True))  # another language
    pairs = [
        {"query": " ".join(other[word] for word in words), "document": " ".join(words)}
        for words in map(list, texts)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    plain, documents = [word for word in runs.WORDS if word not in COLOURS], []
    for number in range(40):
        sentences = [" ".join(random.choice(plain, size=4)) for _ in range(3)]
        told = sentences[number % 3] = "red " + sentences[number % 3]
        documents.append({"text": sentences, "summary": told})
    (folder / "summaries.jsonl").write_text("\n".join(map(json.dumps, documents)))
    return folder


FILES = {
    "classification": "colours.csv",
    "multilabel": "seen.jsonl",
    "regression": "lengths.csv",
    "several values": "seen.csv",
    "tags": "colours.conll",
    "answers": "colours.json",
    "choices": "colours.jsonl",
    "embeddings": "pairs.jsonl",
    "extractive": "summaries.jsonl",
    "hierarchy": "colours.csv",
}
RECIPES = {"several values": "regression", "hierarchy": "classification"}


def config(home: Path, task: str = "classification", **changes) -> FinetuneConfig:
    recipe = FINETUNE[RECIPES.get(task, task)]()
    fields = SEEN if task == "several values" else ()
    config = replace(
        recipe,
        output=home / "run",
        model=str(home / "teacher"),
        data=TaskDataConfig(train=home / FILES[task], dev_share=0.2, label_fields=fields),
        reading=replace(recipe.reading, max_length=16),
        optimizer=replace(recipe.optimizer, learning_rate=1e-2),
        batch_size=8,
        steps=12,
        evaluate_every=12,
        buckets=1,
        run=RunConfig(checkpoint_every=3, devices=1),
    )
    if task == "embeddings":
        reading = replace(config.reading, max_question=16)
        config = replace(config, reading=reading, batch_size=16)
    if task == "answers":
        reading = replace(config.reading, doc_stride=4, max_question=4)
        config = replace(config, reading=reading)
    if task == "hierarchy":  # six words a window
        reading = replace(config.reading, max_length=8, overlap=2, long="hierarchy")
        config = replace(config, reading=reading)
    return replace(config, **changes)


@pytest.mark.long
@pytest.mark.parametrize(
    ("task", "head"),
    [("classification", SequenceClassification),
     pytest.param("answers", QuestionAnswering, marks=pytest.mark.long),
     pytest.param("choices", MultipleChoice, marks=pytest.mark.slow),
     pytest.param("multilabel", SequenceClassification, marks=pytest.mark.slow),
     pytest.param("regression", SequenceClassification, marks=pytest.mark.slow),
     pytest.param("several values", SequenceClassification, marks=pytest.mark.slow),
     pytest.param("tags", TokenClassification, marks=pytest.mark.slow),
     pytest.param("embeddings", Embedder, marks=pytest.mark.slow),
     pytest.param("extractive", TokenClassification, marks=pytest.mark.slow),
     pytest.param("hierarchy", DocumentClassification, marks=pytest.mark.slow)],
)  # fmt: skip
def test_every_kind_of_task_is_learned_and_then_taught(home, task, head):
    output = home / f"run-{task}"
    [results] = finetune(config(home, task, output=output, steps=60))
    rows = [row for row in runs.metrics(output) if row["kind"] == "heldout"]
    assert results["score"] > max(rows[0]["score"], 0.5)
    model = load(output / "model")
    assert type(model) is head
    assert json.loads((output / "results.json").read_text())["seeds"]["1"] == results
    metric = TASKS[config(home, task).task].metrics[0]
    assert f"| {NAMES.get(metric, metric)} |" in (output / "results.md").read_text()
    assert f"| {NAMES.get(metric, metric)} |" in (output / "model" / "README.md").read_text()

    about = json.loads((output / "model" / "config.json").read_text())
    assert about.get("unanswerable") == (False if task == "answers" else None)

    student = replace(config(home, task, output=home / f"student-{task}"), layers="first")
    finetune(replace(student, teacher=str(output / "model"), model=str(output / "model")))
    losses = [row for row in runs.metrics(student.output) if row["kind"] == "train"]
    assert losses[-1]["soft"] < losses[0]["soft"]
    assert load(student.output / "model").config.architecture == "distilbert"


@pytest.mark.long
def test_labels_of_columns_are_learned_and_exported_by_name(home, capsys):
    """With a teacher that has them in another order, and has learned lists of them."""
    first = config(home, "multilabel", output=home / "lists", steps=1)
    finetune(first)
    assert "train: 3 labels: green " in capsys.readouterr().out
    teacher = load(first.output / "model")
    assert teacher.config.labels == tuple(sorted(SEEN))
    second = config(home, "multilabel", output=home / "columns", steps=2, label_smoothing=0.1,
                    class_weights="balanced", teacher=str(first.output / "model"))  # fmt: skip
    columns = TaskDataConfig(train=home / "seen.csv", dev_share=0.2, label_fields=SEEN)
    second = replace(second, data=columns)
    [results] = finetune(second)
    assert {"micro_f1", "macro_f1"} < results.keys()
    about = json.loads((second.output / "model" / "config.json").read_text())
    assert about["problem_type"] == "multi_label_classification"
    assert about["id2label"] == dict(zip("012", SEEN, strict=True))
    text = (second.output / "results.md").read_text()
    assert "| micro F1 |" in text and "## Classes on the development set" in text

    scored = TaskEvaluation(
        model=str(second.output / "model"),
        task="multilabel",
        data=TaskDataConfig(test=home / "seen.jsonl"),
        threshold=0.0,
        output=home / "columns-scored",
    )
    metrics = evaluate_task(scored)["test"]
    assert metrics["collapsed"] == 1  # above 0 is everything
    assert "test: all texts are given the same labels" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"has the problem_type multi_label_class.* takes a class"):
        finetune(config(home, output=home / "refused", teacher=str(first.output / "model")))


@pytest.mark.long
def test_lower_layers_may_stay_as_they_are_and_rare_classes_weigh_more(home, monkeypatch):
    """The model has two layers."""
    run = config(home, output=home / "settings", steps=1, frozen_layers=1, layer_decay=0.5,
                 class_weights="balanced", label_smoothing=0.2)  # fmt: skip
    run = replace(run, optimizer=replace(run.optimizer, warmup_share=0.0))
    objectives, compiled = [], []

    def objective(*arguments, **settings):
        objectives.append(settings)
        return TaskObjective(*arguments, **settings)

    def learner(*arguments, **settings):
        compiled.append(settings)
        return one_model(*arguments, **settings)

    monkeypatch.setattr("train.finetune.TaskObjective", objective)
    monkeypatch.setattr("train.finetune.one_model", learner)
    finetune(run)
    examples: Any = open_task("classification", run.data).splits["train"]
    labels = [example.label for example in examples]
    weights = compute_class_weight("balanced", classes=np.array(["green", "red"]), y=labels)
    assert objectives == [{"class_weights": pytest.approx(list(weights)), "smoothing": 0.2}]
    assert compiled[0]["layer_decay"] == 0.5

    before, after = load(home / "teacher").backbone, load(run.output / "model").backbone
    kernels = [
        [layer.feed_forward.down.kernel[...] for layer in model.encoder.layers]
        for model in (before, after)
    ]
    same = [np.array_equal(one, other) for one, other in zip(*kernels, strict=True)]
    words = [model.embeddings.word.embedding[...] for model in (before, after)]
    assert same == [True, False] and np.array_equal(*words)


@pytest.mark.parametrize(
    "changes", [{"class_weights": "balanced"}, {"label_smoothing": 0.1}], ids=str
)
def test_weights_of_classes_are_refused_where_there_are_none(home, changes):
    flag = f"--{next(iter(changes)).replace('_', '-')}"
    for task in ("regression", "answers"):
        with pytest.raises(InputError, match=f"{flag} .*: {task} has no loss of classes"):
            finetune(config(home, task, output=home / "refused", **changes))


@pytest.mark.slow
def test_a_fine_tuning_with_the_best_of_some_rates(home, capsys):
    """Its choice alone is tested in test_tuning.py."""
    several = config(home, output=home / "tuned", seed=3, steps=3, tune=(1e-9, 1e-2))
    [result] = finetune(several)
    record = json.loads((several.output / "results.json").read_text())
    about = json.loads((several.output / "config.json").read_text())
    best = max(record["tuned"], key=record["tuned"].get)
    assert (about["seed"], about["optimizer"]["learning_rate"]) == (3, float(best))
    assert f"The learning rate is {float(best):g}, the best of 1e-09 (" in capsys.readouterr().out
    assert finetune(several) == [result]


@pytest.mark.long
def test_a_name_on_the_hub_is_looked_up_once_and_its_files_are_read_once(
    home, tmp_path, monkeypatch
):
    files = {file.name: file.read_bytes() for file in (home / "teacher").iterdir()}
    read, read_text = [], Path.read_text

    def counted(self, *args, **options):
        read.append(self)
        return read_text(self, *args, **options)

    monkeypatch.setattr(Path, "read_text", counted)
    with hub({("me/mine", "main"): files}, tmp_path, monkeypatch) as looked_up:
        output = home / "from-the-hub"
        finetune(config(home, model="me/mine", output=output, steps=1, seeds=2))
    assert looked_up == {"me/mine": 1}
    cached = [path.name for path in read if path.is_relative_to(tmp_path)]
    assert sorted(cached) == ["config.json", "tokenizer.json", "tokenizer_config.json"]


@pytest.mark.long
def test_labels_have_names_in_the_exported_model(home):
    output = home / "named"
    finetune(config(home, output=output, steps=1))
    about = json.loads((output / "model" / "config.json").read_text())
    assert about["id2label"] == {"0": "green", "1": "red"}


@pytest.fixture(
    scope="module",
    params=["classification",
            pytest.param("extractive", marks=pytest.mark.slow),
            pytest.param("hierarchy", marks=pytest.mark.slow)],
)  # fmt: skip
def undisturbed(home, request):
    """Two seeds, each with the model of its best step."""
    output = home / f"whole-{request.param}"
    changes = {"evaluate_every": 6, "seeds": 2, "report": "best"}
    whole = config(home, request.param, output=output, **changes)
    return whole, finetune(whole)


@pytest.mark.long
@pytest.mark.parametrize(("row", "step"), [(5, 6), (12, 12)])
def test_a_stopped_fine_tuning_resumes_bit_by_bit(home, undisturbed, monkeypatch, row, step):
    """After the last update of a seed, too: the next seed does not begin."""
    whole, results = undisturbed
    write = MetricLog.step

    def interrupted(self, now, metrics, tokens, **more):
        write(self, now, metrics, tokens, **more)
        if now == row:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = replace(whole, output=home / f"{whole.output.name}-stopped-{row}")
    with monkeypatch.context() as patch:
        patch.setattr(MetricLog, "step", interrupted)
        with pytest.raises(Stopped, match=f"stopped at step {step} of 12"):
            finetune(stopped)
    assert not (stopped.output / "seed-2").exists()
    assert finetune(stopped) == results
    for seed in ("seed-1", "seed-2"):
        ours, theirs = stopped.output / seed, whole.output / seed
        assert runs.weights(ours) == runs.weights(theirs)
        assert runs.metrics(ours) == runs.metrics(theirs)


def test_the_padding_of_an_update_is_that_of_its_batch(undisturbed):
    whole, _ = undisturbed
    prepared = prepare(whole)
    batches = BucketBatches(prepared.train, prepared.lengths, batch_size=8, seed=1)
    for row in runs.metrics(whole.output / "seed-1"):
        if row["kind"] == "train":
            batch = batches.batch(row["step"] - 1)
            padding = 1 - batch["attention_mask"][batch["valid"]].sum() / batch["input_ids"].size
            assert row["padding"] == pytest.approx(padding)


@pytest.mark.long
@pytest.mark.parametrize(
    ("task", "parallel"),
    [("classification", "jit"),
     pytest.param("classification", "pmap", marks=pytest.mark.slow),
     *(pytest.param(task, parallel, marks=pytest.mark.slow)
       for task in ("choices", "extractive", "hierarchy") for parallel in ("jit", "pmap"))],
)  # fmt: skip
def test_devices_and_accumulation_change_nothing(home, task, parallel):
    calm = home / "calm"
    if not calm.exists():
        model = runs.MODEL.replace(
            hidden_dropout=0.0, attention_dropout=0.0, classifier_dropout=0.0
        )
        runs.write_teacher(calm, model)
    one = config(home, task, model=str(calm), output=home / f"one-{task}-{parallel}", steps=6)
    many = replace(
        one,
        output=home / f"four-{task}-{parallel}",
        micro_batches=2,
        run=RunConfig(parallel=parallel, devices=4),
    )
    for run in (one, many):
        finetune(run)
    losses = [
        [row["loss"] for row in runs.metrics(run.output) if row["kind"] == "train"]
        for run in (one, many)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.slow
def test_bfloat16_learns_nearly_the_same(home):
    losses = []
    for dtype in ("float32", "bfloat16"):
        run = config(home, output=home / dtype, steps=6, dtype=dtype)
        finetune(run)
        losses.append([row["loss"] for row in runs.metrics(run.output) if row["kind"] == "train"])
    assert losses[0] != losses[1]
    np.testing.assert_allclose(*losses, rtol=0.05)
    assert load(home / "bfloat16" / "model").classifier.dense.kernel.dtype == jnp.float32


@pytest.mark.long
def test_seeds_are_reported_one_by_one_and_together(home, capsys):
    several = config(home, output=home / "seeds", steps=2, seeds=3, report="best")
    results = finetune(several)
    assert len(results) == 3
    printed = capsys.readouterr().out
    assert "standard deviation" in printed and "…" not in printed  # nothing is cut off
    assert "seed 2, 2 of 3" in printed
    assert "held out: score" in printed and "collapsed 0" not in printed
    record = json.loads((several.output / "results.json").read_text())
    assert list(record["seeds"]) == ["1", "2", "3"]
    text = (several.output / "results.md").read_text()
    for word in ("median", "mean", "standard deviation", "the best step", "seed 3"):
        assert word in text
    (several.output / "seed-2" / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match=r"all rows from step 0 on are needed.* remove .*seed-2 "):
        finetune(several)  # which of its steps was the best cannot be known


@pytest.mark.long
def test_a_collapsed_seed_is_reported(home, capsys):
    rows = write_rows(home / "alike.csv", [{"text": "a cat", "label": c} for c in COLOURS] * 9)
    alike = TaskDataConfig(train=rows, dev=rows)
    [results] = finetune(config(home, output=home / "collapsed", steps=1, data=alike))
    assert results["collapsed"] == 1
    assert "Seed 1 collapsed" in capsys.readouterr().out


@pytest.mark.long
def test_a_head_for_other_classes_is_drawn_anew(home, caplog):
    first = config(home, output=home / "colours", steps=1)
    finetune(first)
    rows = [{"text": "the cat", "label": "cat"}, {"text": "the dog", "label": "dog"}] * 10
    write_rows(home / "animals.csv", rows)
    second = replace(
        config(home, output=home / "animals", steps=1),
        model=str(first.output / "model"),
        data=TaskDataConfig(train=home / "animals.csv"),
    )
    finetune(second)
    assert "a new one is drawn" in caplog.text
    model = load(second.output / "model")
    assert model.config.labels == ("cat", "dog")


def write_classifier(home: Path, name: str, labels: tuple[str, ...], **changes: Any) -> Path:
    """A classifier of others, with random weights."""
    vocabulary = load_vocabulary(home / "teacher")
    shape = runs.MODEL.replace(labels=labels, vocab_size=vocabulary.size, **changes)
    save(SequenceClassification(shape, rngs=nnx.Rngs(0)), home / name)
    save_vocabulary(vocabulary, home / name)
    return home / name


@pytest.mark.long
def test_a_head_for_another_kind_of_task_is_drawn_anew_though_its_classes_are_the_same(
    home, caplog
):
    several = {"problem_type": "multi_label_classification"}
    theirs = write_classifier(home, "several", ("green", "red"), **several)
    output = home / "one-of-several"
    finetune(config(home, model=str(theirs), output=output, steps=1))
    assert "several has a head for another kind of task: a new one is drawn" in caplog.text
    assert load(output / "model").config.problem_type == "single_label_classification"
    with pytest.raises(InputError, match=r"several has no head whose classes it could name"):
        finetune(config(home, model=str(theirs), output=home / "refused", labels=("green", "red")))


@pytest.mark.long
def test_a_model_keeps_its_own_order_of_classes(home):
    theirs = write_classifier(home, "theirs", ("red", "green"))
    output = home / "goes-on"
    finetune(config(home, model=str(theirs), output=output, steps=1))
    assert load(output / "model").config.labels == ("red", "green")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "--seeds is 0"),
        ({"buckets": 0}, "--buckets is 0"),
        ({"steps": 0}, "--steps is 0: give a number from 1"),
        ({"run": RunConfig(checkpoint_every=0)}, "--run.checkpoint-every is 0"),
        ({"loss": TaskLoss(soft=0.0)}, "--loss.* needs a teacher: name one with --teacher"),
        ({"loss": TaskLoss(0.0, 0.0), "teacher": "any"}, "--loss.task and --loss.soft are 0"),
        ({"loss": TaskLoss(temperature=0.0)}, "--loss.temperature is 0.0: give a number from 0.01"),
        ({"batch_size": 7, "micro_batches": 2}, "--batch-size 7 is not a multiple of 2"),
        ({"teacher": "{home}/teacher"}, "has no head for"),
        ({"patience": 3}, "--patience 3 waits for a better score, .*: add --report best"),
        ({"patience": 0, "report": "best"}, "--patience is 0"),
        ({"frozen_layers": 3}, "--frozen-layers 3: the model has 2 layers"),
        ({"layer_decay": 0.0}, "--layer-decay is 0.0: give a number above 0"),
        ({"tune": (1e-3,), "seed": 0}, "--seed is 0, and --tune tries rates with the seed before"),
        ({"tune": (0.0,)}, "--tune is 0.0: give a number above 0"),
        ({"label_smoothing": 1.0}, "--label-smoothing is 1.0: give a number from 0 to 0.99"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(home, changes, message):
    changes = {
        name: value.format(home=home) if isinstance(value, str) else value
        for name, value in changes.items()
    }
    with pytest.raises(InputError, match=message):
        finetune(config(home, output=home / "refused", **changes))


def test_an_order_of_classes_that_are_not_those_of_the_task(home):
    theirs = write_classifier(home, "numbered", ("LABEL_0", "LABEL_1"))
    numbered = config(home, model=str(theirs), output=home / "refused")
    with pytest.raises(InputError, match=r"only numbered .*--labels green red"):
        finetune(numbered)
    with pytest.raises(InputError, match=r"--labels red blue: .* has the classes green, red"):
        finetune(replace(numbered, labels=("red", "blue")))


def test_an_order_that_names_nothing(home):
    bare = config(home, output=home / "refused", labels=("red", "green"))
    with pytest.raises(InputError, match=r"has no head whose classes it could name: leave it out"):
        finetune(bare)
    with pytest.raises(InputError, match=r"the head is new, and takes the order of the task"):
        finetune(replace(bare, layers="0"))


@pytest.mark.long
def test_an_order_names_the_classes_of_the_one_that_only_numbers_them(home):
    """The model calls its classes by name, and has them the other way round."""
    model = write_classifier(home, "by-name", ("red", "green"))
    teacher = write_classifier(home, "by-number", ("LABEL_0", "LABEL_1"))
    taught = config(home, model=str(model), teacher=str(teacher), labels=("green", "red"))
    finetune(replace(taught, output=home / "both", steps=1))
    assert load(home / "both" / "model").config.labels == ("red", "green")


def test_a_task_without_training_examples():
    with pytest.raises(
        InputError, match=r"ax has no training examples: .* eval.run MODEL --task ax"
    ):
        chosen_task(["ax"])


def with_test(config: FinetuneConfig, file: Path) -> FinetuneConfig:
    return replace(config, data=replace(config.data, test=file))


@pytest.mark.long
def test_the_model_that_is_left_is_scored_on_the_test_examples(home, monkeypatch, capsys):
    """As eval.run scores it."""
    monkeypatch.setattr("eval.run.write_confusion", lambda *_, **__: None)
    run = config(home, output=home / "tested", steps=3, evaluate_every=1, report="best")
    [result] = finetune(with_test(run, home / "colours.csv"))
    printed, text = capsys.readouterr().out, (run.output / "results.md").read_text()
    splits = json.loads((run.output / "results.json").read_text())["splits"]["1"]
    assert splits["dev"]["metrics"]["score"] == result["score"]
    once_more = TaskEvaluation(
        model=str(run.output / "model"),
        task="classification",
        data=TaskDataConfig(test=home / "colours.csv"),
        reading=run.reading,
        output=home / "tested-again",
    )
    evaluate_task(once_more)
    again = json.loads((home / "tested-again" / "results.json").read_text())["splits"]["test"]
    assert again.pop("remarks") == [] and again == splits["test"]
    for part in (printed, text):
        assert f"your classification, test set, {again['examples']} examples" in part
    assert "## Classes on the test set\n\n|  | precision | recall | F1 | examples |" in text


def test_test_examples_without_labels_are_refused(home):
    write_rows(home / "unlabelled.csv", [{"text": "the cat"}, {"text": "a dog"}])
    unknown = with_test(config(home, output=home / "refused"), home / "unlabelled.csv")
    with pytest.raises(InputError, match=r"2 of 2 examples have no label.* eval.run MODEL --task"):
        finetune(unknown)


def test_a_maximum_length_above_the_positions(home, capsys):
    long = config(home, output=home / "refused")
    with pytest.raises(InputError, match=r"--reading.max-length 17 is above the 16 positions"):
        finetune(replace(long, reading=replace(long.reading, max_length=17)))
    rows = [{"text": "the cat " * 20, "label": label} for label in "ab" * 4]
    write_rows(home / "long.csv", rows)
    data = replace(long.data, train=home / "long.csv")
    reading = replace(long.reading, max_length=None)
    prepared = prepare(replace(long, data=data, reading=reading))
    assert "windows have 16 tokens, as " in capsys.readouterr().out
    assert prepared.lengths == (16,)


@pytest.mark.long
def test_every_task_with_training_data_is_a_recipe_with_help(capsys):
    untaught = {task.name for tasks in CROSS_LINGUAL.values() for task in tasks}
    assert TASKS.keys() - FINETUNE.keys() == {"ax", *untaught}
    for name in FINETUNE:
        with pytest.raises(SystemExit):
            choose(FINETUNE, "train.finetune", [name, "--help"])
        assert "--data.root" in capsys.readouterr().out


@pytest.mark.oracle
@pytest.mark.parametrize("task", sorted(FILES.keys() - {"embeddings", "hierarchy"}))
def test_transformers_loads_what_comes_out_and_says_the_same(home, task):
    import torch
    import transformers

    output = home / f"exported-{task}"
    finetune(config(home, task, output=output, steps=2))
    ours = load(output / "model")
    loader = {
        "tags": transformers.AutoModelForTokenClassification,
        "extractive": transformers.AutoModelForTokenClassification,
        "answers": transformers.AutoModelForQuestionAnswering,
        "choices": transformers.AutoModelForMultipleChoice,
    }.get(task, transformers.AutoModelForSequenceClassification)
    theirs, report = loader.from_pretrained(output / "model", output_loading_info=True)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys"))
    text = "the red cat sees a green bird"
    tokenizer = transformers.AutoTokenizer.from_pretrained(output / "model")
    inputs = tokenizer(text, return_tensors="pt")
    ids = load_vocabulary(output / "model").tokenizer.encode(text).ids
    assert inputs["input_ids"][0].tolist() == ids
    rows = jnp.array([ids])
    if task == "choices":  # which are an axis of their own
        inputs, rows = {name: array[None] for name, array in inputs.items()}, rows[None]
    with torch.no_grad():
        expected = theirs.eval()(**inputs)
    output = ours(rows)
    names = ("start_logits", "end_logits") if task == "answers" else ("logits",)
    for name in names:
        np.testing.assert_allclose(getattr(output, name), getattr(expected, name), atol=1e-5)
    if task != "answers":
        assert theirs.config.id2label == dict(enumerate(ours.config.labels))
    problem_types = {
        "multilabel": "multi_label_classification",
        "regression": "regression",
        "several values": "regression",
    }
    assert theirs.config.problem_type == problem_types.get(task)


@pytest.mark.oracle
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression", "several values"])
def test_transformers_learns_the_same_from_the_same_batches(home, task, capsys):
    """Without dropout the losses are equal; with it both are trained and compared."""
    from eval.against_torch import compare_with_torch

    both = config(home, task, output=home / f"torch-{task}", steps=4, seeds=2, buckets=2)
    both = replace(both, optimizer=replace(both.optimizer, learning_rate=1e-3))
    record = compare_with_torch(both)
    losses = record["losses"]
    np.testing.assert_allclose(losses["ours"], losses["torch"], rtol=1e-5, atol=1e-6)
    assert losses["ours"][0] != losses["ours"][-1]
    assert [run["seed"] for run in record["seeds"]] == [1, 2]
    assert "examples a second" in capsys.readouterr().out
