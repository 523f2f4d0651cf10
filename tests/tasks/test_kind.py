"""Every kind of task, asked for everything that the protocol names, from a user's file to a text.

A new kind needs an entry in each table here and a loss by hand.
"""

import json
import re
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import expit, log_softmax

from data.vocabulary import Vocabulary
from data.wordpiece import train_wordpiece
from tasks.buckets import BucketBatches, bucket_lengths
from tasks.catalogue import TASKS
from tasks.kind import Kind
from tasks.kinds import KINDS
from tasks.open import TaskDataConfig, open_task
from tasks.predict import predictor
from tasks.reading import Asked, Reading
from tasks.score import score, score_in_full
from tasks.task import Task
from tasks.windows import Windows
from tests import runs
from tests.small import build

FILES = {
    "classification": ("own.csv", "text,label\nthe old cat,bad\na red bird,good\na dog,good\n"),
    "documents in windows": (
        "own.csv",
        "text,label\nthe old cat sees a dog or a bird,bad\na red bird,good\n",
    ),
    "regression": ("own.tsv", "text\tlabel\nthe old cat\t0.5\na red bird\t2\na dog\t-1\n"),
    "several values": ("own.csv", "text,x,y\nthe old cat,0.5,3\na red bird,2,2\na dog,-1,1.5\n"),
    "multilabel": (
        "own.jsonl",
        '{"text": "the old cat", "labels": ["old", "animal"]}\n'
        '{"text": "a tree", "labels": []}\n{"text": "a dog", "labels": ["animal"]}\n',
    ),
    "labels in columns": ("own.csv", "text,b,a\nthe old cat,1,1\na tree,0,0\na dog,true,0\n"),
    "tags": ("own.conll", "the O\nold O\ncat B-animal\n\na O\nred B-colour\nbird B-animal\n"),
    "plain tags": ("own.conll", "the DET\nold ADJ\ncat NOUN\n\na DET\nred ADJ\nbird NOUN\n"),
    "answers": (
        "own.jsonl",
        '{"question": "a dog", "context": "old small cat", "answer": "cat", "answer_start": 10}\n'
        '{"question": "the tree", "context": "old red bird", "answer": "", "answer_start": 0}\n',
    ),
    "choices": (
        "own.jsonl",
        '{"text": "the old cat", "choices": ["sees a dog", "likes", "hears"], "label": 1}\n'
        '{"text": "a red bird", "choices": ["finds the tree", "sees"], "label": 0}\n',
    ),
    "embeddings": (
        "own.jsonl",
        '{"query": "a dog", "document": "old cat", "negatives": ["a tree", "the bird"]}\n'
        '{"query": "a dog", "document": "red tree"}\n'
        '{"query": "the cat", "document": "old cat", "negatives": ["red tree"]}\n',
    ),
    "similar embeddings": ("own.csv", "text,document,score\na dog,old cat,2\nred tree,a tree,4\n"),
    "extractive": (
        "own.jsonl",
        '{"text": "A dog. The old cat. A bird", "summary": "An old cat."}\n'
        '{"text": ["the tree", "a red bird hears the cat"], "summary": ["a cat", "the bird hears"],'
        ' "labels": [1, 0]}\n',
    ),
    "translation": (
        "own.jsonl",
        '{"source": "a dog sees", "target": "the old cat hears a bird"}\n'
        '{"source": "the red tree", "target": ["a small dog likes the tree", "a dog or a cat"]}\n',
    ),
    "summaries": (
        "own.jsonl",
        '{"text": "A dog. The old cat. A bird", "summary": "an old cat", "title": "cat"}\n'
        '{"text": ["the tree", "a red bird hears the cat"], "summary": ["a cat", "a bird"],'
        ' "title": "bird"}\n',
    ),
}
ASKED = {
    "answers": Asked(question="a dog", null_threshold=0.0, top=2),
    "choices": Asked(choices=("sees a tree", "likes"), top=2),
    "embeddings": Asked(pair="old bird"),
}
VARIANTS = {
    "documents in windows": ("classification", {}),
    "several values": ("regression", {"label_fields": ("x", "y")}),
    "labels in columns": ("multilabel", {"label_fields": ("b", "a")}),
    "plain tags": ("tags", {}),
    "similar embeddings": ("embeddings", {}),
    "summaries": ("summaries", {}),
}
LINES = {
    "classification": r"  +\d+\.\d %  (good|bad)",
    "documents in windows": r"  +\d+\.\d %  (good|bad)",
    "regression": r"  -?\d+\.\d{3}",
    "several values": r"  -?\d+\.\d{3}  (x|y)",
    "multilabel": r"  (yes|no ) +\d+\.\d %  (old|animal)",
    "labels in columns": r"  (yes|no ) +\d+\.\d %  (a|b)",
    "tags": r"  (no entities|(animal|colour): .+  \[\d+:\d+\])",
    "plain tags": r"  (DET|ADJ|NOUN): (the|red|cat)  \[\d+:\d+\]",
    "answers": r"  +\d+\.\d %  (no answer|.+  \[\d+:\d+\])",
    "choices": r"  +\d+\.\d %  (sees a tree|likes)",
    "embeddings": r"  -?\d\.\d{3}",
    "similar embeddings": r"  -?\d\.\d{3}",
    "extractive": r"  +\d+\.\d %  the red cat",
    "translation": r"  .*",
    "summaries": r"  .*",
}
READING = Reading(max_length=16, max_question=4, max_target=8)
READINGS = {
    "documents in windows": Reading(max_length=8, overlap=2, long="hierarchy", most_windows=2)
}


class Case(NamedTuple):
    """A kind with a task of it, its data as windows, a model, and a batch with a filler row."""

    kind: Kind
    task: Task
    examples: tuple[Any, ...]
    windows: Windows
    model: Any
    batch: dict[str, jax.Array]
    vocabulary: Vocabulary
    name: str
    reading: Reading


@pytest.fixture(scope="module", params=[*KINDS, *VARIANTS])
def case(request, tmp_path_factory) -> Case:
    name, content = FILES[request.param]
    file = tmp_path_factory.mktemp(request.param) / name
    file.write_text(content)
    own, fields = VARIANTS.get(request.param, (request.param, {}))
    data = open_task(own, TaskDataConfig(train=file, dev=file, **fields))
    reading = READINGS.get(request.param, READING)
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
    task, examples = data.task.of_reading(reading), data.splits["train"]
    task = replace(task, kind=task.kind.of_vocabulary(vocabulary))
    shape = runs.MODEL.replace(vocab_size=vocabulary.size)
    shape = shape.replace(labels=task.outputs) if task.outputs else shape
    model = build(task.kind.new_model, task.kind.to_config(shape))
    task.kind.before_training(model, 16)
    windows = task.to_windows(examples, vocabulary, task.labels, reading)
    lengths = bucket_lengths(windows.extents, most=1)
    batch = BucketBatches(windows, lengths, batch_size=len(windows) + 1, seed=0).batch(0)
    rows = {name: jnp.asarray(array[0]) for name, array in batch.items()}
    name = request.param
    return Case(task.kind, task, examples, windows, model, rows, vocabulary, name, reading)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def by_hand(case: Case, logits: dict[str, np.ndarray]) -> float:
    """The sum of the loss over all examples, from the texts and the tokenizer."""
    total = 0.0
    for row in np.flatnonzero(case.batch["valid"]):
        example = case.examples[int(case.batch["row"][row])]
        scores = {name: np.asarray(array[row], np.float64) for name, array in logits.items()}
        if case.kind.name == "classification":
            total -= log_softmax(scores["logits"])[case.task.labels.index(example.label)]
        elif case.kind.name == "regression":
            right = example.label if case.kind.named_outputs else {"LABEL_0": example.label}
            off = [z - right[n] for n, z in zip(case.task.outputs, scores["logits"], strict=True)]
            total += float(np.mean(np.square(off)))
        elif case.kind.name == "multilabel":
            signs = [1 if name in example.label else -1 for name in case.task.labels]
            total -= float(np.mean(np.log(expit(signs * scores["logits"]))))
        elif case.kind.name == "tags":
            encoding = case.vocabulary.tokenizer.encode(list(example.words), is_pretokenized=True)
            for place, tag in enumerate(example.tags):
                of_word = log_softmax(scores["logits"][encoding.word_ids.index(place)])
                total -= of_word[case.task.labels.index(tag)]
        elif case.name == "embeddings":
            right = {e.document for e in case.examples if e.query == example.query}
            texts = [scores["vectors"][1]]
            for other in np.flatnonzero(case.batch["valid"]):
                theirs = case.examples[int(case.batch["row"][other])]
                for place, text in enumerate((theirs.document, *theirs.negatives), 1):
                    if text not in right:
                        texts.append(np.asarray(logits["vectors"][other][place], np.float64))
            total -= log_softmax([cosine(scores["vectors"][0], v) / 0.05 for v in texts])[0]
        elif case.name == "similar embeddings":
            total += (cosine(*scores["vectors"]) - example.score / 4) ** 2
        elif case.kind.name == "answers":
            encoding = case.vocabulary.tokenizer.encode(example.question, example.context)
            ends = (0, 0)
            if example.answers:
                [(text, start)] = example.answers
                places = (start, start + len(text) - 1)
                ends = tuple(encoding.char_to_token(place, 1) for place in places)
            for side, place in zip(("start", "end"), ends, strict=True):
                total -= log_softmax(scores[side][: len(encoding.ids)])[place] / 2
        elif case.kind.name == "extractive":
            sentences = case.vocabulary.tokenizer.encode_batch(list(example.sentences))
            right = (1,) if example.chosen is None else example.chosen
            start = 0
            for place, sentence in enumerate(sentences):
                total -= log_softmax(scores["logits"][start])[int(place in right)]
                start += len(sentence.ids)
        elif case.kind.writes:
            encode = case.vocabulary.tokenizer.encode
            source = encode(case.kind.quote(example)).ids
            target = encode(example.references[0]).ids[: READING.max_target]
            before = jnp.array([target[:-1]])
            output = case.model(jnp.array([source]), decoder_input_ids=before).logits[0]
            for place, token in enumerate(target[1:]):
                total -= log_softmax(np.asarray(output[place], np.float64))[token]
        elif case.kind.name == "choices":
            total -= log_softmax(scores["logits"][: len(example.choices)])[example.label]
        else:
            raise AssertionError(f"write the loss of {case.kind.name} by hand")
    return total


def test_the_task_of_own_files_is_of_the_kind(case):
    name = case.kind.name
    known = TASKS[name].kind
    assert TASKS[name].own_files and (name == "summaries" or known is KINDS[name])
    kind = known.of_labels(case.task.labels).of_examples(case.examples)
    assert kind.of_reading(case.reading) == case.kind
    assert set(case.task.metrics) <= case.kind.metrics.keys() <= case.kind.titles.keys()
    assert [other for other, kind in KINDS.items() if kind.of_model(case.model)] == [
        "translation" if case.kind.writes else name
    ]
    for field in case.kind.asks:
        assert hasattr(Asked(), field)
    assert all(hasattr(READING, field) for field in case.kind.reads)
    if case.kind.named_outputs:
        assert case.task.labels == case.task.outputs
        if not VARIANTS.get(case.name, ("", {}))[1]:  # of columns the names are those of the flags
            assert case.kind.classes(case.examples) == case.task.labels


@pytest.mark.long
def test_the_losses(case):
    kind, batch, length = case.kind, case.batch, case.batch["input_ids"].shape[1]
    outputs = len(case.task.outputs)
    for name, target in kind.targets(length, outputs).items():
        column = batch[name]
        if kind.writes:  # in batches targets have a length of their own
            assert column.shape[1] <= target.shape[0] and column.dtype == target.dtype
            continue
        assert (column.shape[1:], column.dtype) == (target.shape, target.dtype), name

    @jax.jit
    def losses(params):
        model = nnx.merge(graphdef, params)
        output, fetched = kind.forward(model, batch), kind.fetch(model, batch)
        losses = [kind.loss(output, batch)]
        for factor in () if kind.writes else (1, 2):  # a teacher alike, and one that is surer
            teacher = {f"teacher_{name}": factor * array for name, array in fetched.items()}
            losses.append(kind.soft_loss(output, {**batch, **teacher}, 2.0))
        return [jnp.sum(jnp.where(kind.where(batch), loss, 0)) for loss in losses], fetched

    graphdef, params = nnx.split(case.model)
    (loss, *others), fetched = losses(params)
    shapes = kind.fetched(length, outputs, case.model.config.hidden_size)
    assert {name: (a.shape[1:], a.dtype) for name, a in fetched.items()} == {
        name: (shape.shape, shape.dtype) for name, shape in shapes.items()
    }
    assert jnp.isfinite(loss)
    np.testing.assert_allclose(loss, by_hand(case, fetched), rtol=1e-5)
    if others:
        same, far = others
        np.testing.assert_allclose(same, 0, atol=1e-6)
        assert far > 1e-4


def test_predictions_metrics_and_mistakes(case):
    kind = case.kind
    fetched = predictor(kind, case.windows, rows=2)(case.model)
    predictions, metrics = score(case.task, case.examples, case.windows, fetched, case.task.labels)
    assert [p["id"] for p in predictions] == [example.id for example in case.examples]
    assert ["score", *case.task.metrics] == list(metrics)[: 1 + len(case.task.metrics)]
    mean = np.mean([metrics[name] for name in case.task.metrics])
    np.testing.assert_allclose(metrics["score"], mean, rtol=1e-6)
    json.dumps(predictions)
    gold, predicted = ([p[side] for p in predictions] for side in ("gold", "prediction"))
    assert gold == [kind.gold(example) for example in case.examples]
    perfect = (
        [answers[0] if answers else "" for answers in gold]
        if kind.writes or kind.name in ("answers", "extractive")
        else gold
    )
    best = kind.measure(list(kind.metrics), case.task.labels, gold, perfect)
    assert {name: best[name] for name in kind.metrics} == pytest.approx(
        dict.fromkeys(kind.metrics, 1.0)
    )
    scores = score_in_full(case.task, predictions)
    found = [name.split(" of ")[0] for name in kind.breakdown(case.task.labels, predictions)]
    assert {*found} <= kind.titles.keys()
    assert metrics.items() <= scores.metrics.items() and set(kind.unscaled) <= kind.titles.keys()
    assert bool(scores.classes) == bool(kind.class_target)
    for example, prediction, right in zip(case.examples, predictions, perfect, strict=True):
        mistake = kind.mistake(prediction)
        assert mistake.badness >= 0 and mistake.right and mistake.predicted
        assert kind.mistake(prediction | {"prediction": right}).badness == 0
        assert kind.quote(example).strip() and "\n" not in kind.quote(example)
    if predicted != perfect:
        assert any(kind.mistake(prediction).badness > 0 for prediction in predictions)
    title, measure, number = kind.ranking
    assert title and measure and number.format(0.5)


def test_a_text_for_a_person(case):
    asked, text = ASKED.get(case.kind.name, Asked()), "the red cat"
    kind = case.kind.as_asked(asked)
    example = kind.example("0", text, asked, case.vocabulary)
    length = kind.longest_window or 16
    windows = kind.to_windows([example], case.vocabulary, case.task.labels, length, case.reading)
    fetched = predictor(kind, windows, rows=1)(case.model)
    [prediction] = kind.predict([example], windows, fetched, case.task.labels)
    description = kind.describe(prediction, text, asked, case.vocabulary)
    json.dumps(description)
    lines = list(kind.lines(description))
    assert lines and kind.noun.startswith("a ")
    for line in lines:
        assert re.fullmatch(LINES[case.name], line), line
