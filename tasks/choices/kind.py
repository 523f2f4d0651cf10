"""Kind of task: the choice that fits a context best, of several that are given."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from data.rows import Row
from data.vocabulary import Vocabulary
from model.errors import InputError
from model.losses import cross_entropy
from model.tasks import MultipleChoice, read_batch
from tasks.choices.encode import encode_choices
from tasks.choices.examples import ChoiceColumns, ChoiceExample
from tasks.formats.labels import count_sentence
from tasks.kind import NEVER, Arrays, ClassNames, Kind, Mistake, Prediction, Ranking, percent
from tasks.reading import Asked
from tasks.texts.metrics import accuracy, collapsed


@dataclass(frozen=True)
class Choices(Kind):
    """The choice with the highest score, each being read with the context as a text of its own.

    Examples may have different numbers of choices: the rest of a batch's row is masked.
    """

    most: int = 4
    """Choices of an example, at most, for the shapes of a plan. A user's own examples decide, see
    `of_examples`."""

    name = "choices"
    row = "text, choices, label"
    own = {
        "title": "your multiple choice",
        "metrics": ("accuracy",),
        "learning_rate": 2e-5,
        "batch_size": 16,
    }
    fields = ("text_field", "label_field")
    model = MultipleChoice
    metrics = {"accuracy": accuracy}
    titles = {"accuracy": "accuracy"}
    ranking = Ranking("The wrong choices it was surest of", "probability", "{:.3f}")
    collapse = "of all examples the choice in the same place is taken"
    noun = "a model of multiple choice"
    asks = ("choices", "top")
    shares = "context"
    to_windows = staticmethod(encode_choices)

    def columns(self, fields: Mapping[str, Any]) -> ChoiceColumns:
        return ChoiceColumns(
            fields["text_field"], label=fields["label_field"], id=("id",), own=True
        )

    def group(self, example: ChoiceExample) -> str:
        return example.context

    def remarks(self, examples: Sequence[ChoiceExample], labels: ClassNames) -> tuple[str, ...]:
        """The number of right choices in each place."""
        counts = Counter(str(e.label) for e in examples)
        places = {str(place): counts[str(place)] for place in range(self.most)}
        return (count_sentence(places, "places of the right choice"),)

    def of_examples(self, examples: Sequence[ChoiceExample]) -> "Choices":
        """With the number of choices of the example that has most."""
        return replace(self, most=max(len(example.choices) for example in examples))

    def forward(self, model, batch, rngs=None) -> dict[str, Any]:
        """The `logits` of all choices, [rows, choices], `NEVER` where there is none."""
        texts = {name: jnp.moveaxis(batch[name], 1, 2) for name in self.inputs}
        logits = read_batch(model, texts, rngs=rngs).logits
        assert logits is not None
        there = batch["attention_mask"][:, 0]  # [CLS] of each choice
        return {"logits": jnp.where(there, logits, NEVER)}

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        types = {"input_ids": jnp.int32, "attention_mask": jnp.bool_, "token_type_ids": jnp.int32}
        texts = {n: jax.ShapeDtypeStruct((length, self.most), types[n]) for n in self.inputs}
        return {**texts, "label": jax.ShapeDtypeStruct((), jnp.int32)}

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, " rows"]:
        return cross_entropy(output["logits"], batch["label"])

    def fetched(self, length: int, outputs: int, width: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"logits": jax.ShapeDtypeStruct((self.most,), jnp.float32)}

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each the place of a choice, with all `choices` and their `probabilities`."""
        from scipy.special import softmax  # scipy takes a second to import

        found = []
        for example, logits in zip(examples, fetched["logits"], strict=True):
            shares = softmax(logits[: len(example.choices)])
            found.append(
                {
                    "prediction": int(shares.argmax()),
                    "choices": list(example.choices),
                    "probabilities": shares.tolist(),
                }
            )
        return found

    def gold(self, example: ChoiceExample) -> int | None:
        return example.label

    def measure(self, names, labels, gold, predicted) -> dict[str, float]:
        """Also `collapsed`, 1 where all predictions are the same place."""
        right, taken = np.array(gold), np.array(predicted)
        values = super().measure(names, labels, right, taken)
        return {**values, "collapsed": float(collapsed(taken))}

    def mistake(self, prediction: Prediction) -> Mistake:
        gold, predicted = prediction["gold"], prediction["prediction"]
        right, taken = (f"{place}: {prediction['choices'][place]}" for place in (gold, predicted))
        badness = 0.0 if predicted == gold else prediction["probabilities"][predicted]
        return Mistake(badness, right, taken)

    def quote(self, example: ChoiceExample) -> str:
        return " ".join([example.context, *(f"[{n}] {c}" for n, c in enumerate(example.choices))])

    def as_asked(self, asked: Asked) -> "Choices":
        """This kind; it raises an InputError for less than two choices, or the same twice."""
        choices = asked.choices or ()
        if len(choices) < 2:
            raise InputError("this model compares choices: give two or more with --choices")
        for text, count in Counter(choices).items():
            if count > 1:
                raise InputError(f"--choices has {text!r} {count} times: give each choice once")
        return self

    def ask(self, row: Row, asked: Asked) -> tuple[str, Asked]:
        """The context, and choices of its own unless the same are given for all."""
        text, asked = super().ask(row, asked)
        columns = ChoiceColumns(own=True)
        if asked.choices is not None and not columns.are_in(row):
            return text, asked
        return text, asked.of_row(row, "choices", columns.choices(row))

    def example(self, id: str, text: str, asked: Asked, vocabulary: Vocabulary) -> ChoiceExample:
        return ChoiceExample(id, text, asked.choices or ())

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        pairs = zip(prediction["choices"], prediction["probabilities"], strict=True)
        ranked = sorted(pairs, key=lambda pair: -pair[1])
        choice, probability = ranked[0]
        return {
            "choice": choice,
            "probability": probability,
            "probabilities": dict(ranked[: asked.top]),
        }

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        for choice, probability in description["probabilities"].items():
            yield f"  {percent(probability)}  {choice}"
