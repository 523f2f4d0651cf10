"""The kind of multiple choice, against every choice read alone and sums by hand."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax, softmax

from data.wordpiece import train_wordpiece
from model.errors import InputError
from model.pretrained import save
from model.tasks import MultipleChoice
from tasks.buckets import BucketBatches
from tasks.choices.examples import ChoiceExample
from tasks.choices.kind import Choices
from tasks.predict import predictor
from tasks.reading import Asked, Reading
from tasks.score import score
from tasks.task import Task
from tests import runs
from tests.small import build, call
from train.objectives.finetuning import TaskLoss, TaskObjective
from train.objectives.objective import LossInputs

VOCABULARY = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
BERT = runs.MODEL.replace(
    vocab_size=VOCABULARY.size, hidden_dropout=0.0, attention_dropout=0.0, classifier_dropout=0.0
)
SHAPES = {"bert": BERT, "distilbert": BERT.distilled(2)}


def make_examples(count: int, most: int = 5) -> tuple[ChoiceExample, ...]:
    """Of two to `most` choices."""
    random = np.random.default_rng(0)

    def text(longest: int) -> str:
        return " ".join(random.choice(runs.WORDS, size=random.integers(1, longest)))

    examples = []
    for number in range(count):
        choices = tuple(text(6) for _ in range(random.integers(2, most + 1)))
        label = int(random.integers(len(choices)))
        examples.append(ChoiceExample(str(number), text(9), choices, label))
    return tuple(examples)


EXAMPLES = make_examples(12)
TASK = Task("choices", kind=Choices(most=5), **Choices.own)
WINDOWS = TASK.to_windows(EXAMPLES, VOCABULARY, (), Reading(max_length=16))


def model_of(architecture: str) -> MultipleChoice:
    return build(MultipleChoice, SHAPES[architecture])


def alone(model: MultipleChoice, examples: Sequence[ChoiceExample]) -> list[np.ndarray]:
    """The logits of the choices of each example, every choice as a row of its own."""
    pairs = [(example.context, choice) for example in examples for choice in example.choices]
    rows = np.zeros((3, len(pairs), 1, 16), np.int32)
    for place, encoding in enumerate(VOCABULARY.tokenizer.encode_batch(pairs)):
        columns = encoding.ids, encoding.attention_mask, encoding.type_ids
        rows[:, place, 0, : len(encoding.ids)] = columns
    logits = call(model, *rows[: 3 if model.config.type_vocab_size else 2]).logits[:, 0]
    ends = np.cumsum([len(example.choices) for example in examples])
    return np.split(np.asarray(logits, np.float64), ends[:-1])


@pytest.mark.parametrize("architecture", list(SHAPES))
def test_choices_side_by_side_score_as_each_alone(architecture):
    model = model_of(architecture)
    fetched = predictor(TASK.kind, WINDOWS, rows=4)(model)
    predictions, metrics = score(TASK, EXAMPLES, WINDOWS, fetched, ())
    expected = alone(model, EXAMPLES)
    for number, prediction in enumerate(predictions):
        logits, choices = expected[number], EXAMPLES[number].choices
        np.testing.assert_allclose(fetched["logits"][number][: len(choices)], logits, atol=1e-5)
        np.testing.assert_allclose(prediction["probabilities"], softmax(logits), atol=1e-5)
        assert prediction["prediction"] == logits.argmax()
        assert prediction["choices"] == list(choices)
    right = [p["prediction"] == e.label for p, e in zip(predictions, EXAMPLES, strict=True)]
    assert metrics["accuracy"] == metrics["score"] == np.mean(right)


@pytest.fixture(scope="module")
def learner():
    """A model, and a function of parameters and batch: the loss, its terms, and the gradient."""
    model = model_of("bert")
    graphdef, params = nnx.split(model)
    objective = TaskObjective(graphdef, TASK.kind, TaskLoss(0.3, 0.7, 3.0))
    one = {"task": jnp.ones(()), "soft": jnp.ones(())}

    def loss(params, batch):
        return objective.loss(LossInputs(params, {}, batch, nnx.Rngs(), {}, one))

    return model, params, jax.jit(jax.value_and_grad(loss, has_aux=True))


def test_the_losses_and_that_the_missing_choices_have_no_part_in_them(learner):
    model, params, learn = learner
    random = np.random.default_rng(1)
    batch = WINDOWS.gather(np.arange(len(EXAMPLES)), 16)
    there = batch["attention_mask"][:, 0]
    teacher = np.where(there, random.normal(size=there.shape), -1e9).astype(np.float32)
    batch |= {"valid": np.arange(len(EXAMPLES)) < 10, "teacher_logits": teacher}
    arrays = {name: jnp.asarray(array) for name, array in batch.items()}
    (value, terms), gradient = learn(params, arrays)
    hard = soft = 0.0
    of_each = zip(EXAMPLES[:10], teacher, alone(model, EXAMPLES), strict=False)
    for example, scores, logits in of_each:
        count = len(example.choices)
        hard -= log_softmax(logits)[example.label]
        p, q = (log_softmax(side / 3) for side in (scores[:count].astype(float), logits))
        soft += 9 * (np.exp(p) * (p - q)).sum()
    np.testing.assert_allclose(terms["task"], hard, rtol=1e-5)
    np.testing.assert_allclose(terms["soft"], soft, rtol=1e-5)
    np.testing.assert_allclose(value, hard + soft, rtol=1e-5)
    # Whatever stands where there is no choice: nothing changes, and there is no NaN.
    ids = jnp.where(arrays["attention_mask"], arrays["input_ids"], 7)
    (again, _), other = learn(params, {**arrays, "input_ids": ids})
    np.testing.assert_allclose(again, value, rtol=1e-6)
    for left, right in zip(jax.tree.leaves(gradient), jax.tree.leaves(other), strict=True):
        assert np.all(np.isfinite(left))
        np.testing.assert_allclose(left, right, atol=1e-5)


def test_it_learns_which_choice_is_right(learner):
    """Always the one with a tree in it; the teacher says nothing, as all its logits are alike."""
    _, params, learn = learner
    examples = tuple(
        replace(e, choices=tuple(
            "a tree" if n == e.label else c.replace("tree", "cat") for n, c in enumerate(e.choices)
        ))
        for e in EXAMPLES
    )  # fmt: skip
    windows = TASK.to_windows(examples, VOCABULARY, (), Reading(max_length=16))
    batch = windows.gather(np.arange(len(examples)), 16)
    there = batch["attention_mask"][:, 0]
    batch |= {"valid": np.ones(len(examples), bool)}
    batch |= {"teacher_logits": np.where(there, 0, -1e9).astype(np.float32)}
    arrays = {name: jnp.asarray(array) for name, array in batch.items()}
    losses = []
    for _ in range(30):
        (_, terms), gradient = learn(params, arrays)
        losses.append(float(terms["task"]))
        params = jax.tree.map(lambda p, g: p - 0.02 * g, params, gradient)
    assert losses[-1] < 0.5 * losses[0], losses


def test_the_tokens_of_an_update_are_those_of_all_choices():
    batches = BucketBatches(WINDOWS, (16,), batch_size=5, seed=0)
    for step in range(3):
        batch = batches.batch(step)
        assert batches.tokens(step) == batch["attention_mask"][batch["valid"]].sum()


def test_collapse_is_that_all_take_the_same_place():
    for predicted, expected in (([1, 1, 1], 1.0), ([1, 0, 1], 0.0)):
        found = TASK.kind.measure(("accuracy",), (), [1, 0, 1], predicted)
        assert found == {"accuracy": np.mean(np.equal([1, 0, 1], predicted)), "collapsed": expected}


def test_a_mistake_names_both_choices():
    row = {"gold": 0, "prediction": 1, "choices": ["a", "b"], "probabilities": [0.2, 0.8]}
    assert TASK.kind.mistake(row) == (0.8, "0: a", "1: b")
    assert TASK.kind.quote(ChoiceExample("0", "c", ("a", "b"))) == "c [0] a [1] b"


def test_the_places_of_the_right_choice_are_counted():
    [remark] = TASK.kind.remarks(EXAMPLES, ())
    counts = [sum(e.label == place for e in EXAMPLES) for place in range(5)]
    shown = ", ".join(f"{place} {count}" for place, count in enumerate(counts))
    assert remark == f"5 places of the right choice: {shown}"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ((), "this model compares choices: give two or more with --choices"),
        (("a",), "give two or more"),
        (("a", "b", "a"), "--choices has 'a' 2 times"),
    ],
)
def test_what_cannot_be_asked(choices, message):
    with pytest.raises(InputError, match=message):
        TASK.kind.as_asked(Asked(choices=choices))


@pytest.mark.oracle
@pytest.mark.parametrize("architecture", list(SHAPES))
def test_loss_and_answers_are_those_of_transformers(architecture, tmp_path):
    """Of 50 examples, each a call with the labels; the model is our export."""
    import torch
    from transformers import AutoModelForMultipleChoice

    examples, model = make_examples(50), model_of(architecture)
    windows = TASK.to_windows(examples, VOCABULARY, (), Reading(max_length=16))
    save(model, tmp_path)
    theirs = AutoModelForMultipleChoice.from_pretrained(tmp_path).eval()
    name = "BertForMultipleChoice" if architecture == "bert" else "DistilBertForMultipleChoice"
    assert type(theirs).__name__ == name
    fetched = predictor(TASK.kind, windows, lengths=(16,))(model)
    predictions = TASK.kind.predict(examples, windows, fetched, ())
    logits = np.stack(fetched["logits"])
    label = jnp.asarray(windows.values["label"])
    losses = TASK.kind.loss({"logits": jnp.asarray(logits)}, {"label": label})
    for number, example in enumerate(examples):
        count = len(example.choices)
        inputs = {
            name: torch.tensor(column[number][:, :count].T[None].astype(np.int64))
            for name, column in {
                "input_ids": windows.input_ids,
                **{name: column for name, (column, _) in windows.tokens.items()},
            }.items()
            if name != "token_type_ids" or architecture == "bert"
        }
        with torch.no_grad():
            output = theirs(**inputs, labels=torch.tensor([example.label]))
        np.testing.assert_allclose(logits[number, :count], output.logits[0], atol=1e-5)
        np.testing.assert_allclose(losses[number], output.loss, atol=1e-5)
        assert predictions[number]["prediction"] == output.logits[0].argmax()
