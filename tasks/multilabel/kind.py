"""Kind of task: any number of labels for a text or a pair of texts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from model.errors import InputError
from model.losses import cross_entropy, distillation_kl, no_and_yes, weighted_cross_entropy
from tasks.formats.labels import count_sentence, doubts, first_names, in_order
from tasks.kind import Arrays, ClassNames, Mistake, Prediction, Ranking, percent
from tasks.multilabel.examples import LabelColumns
from tasks.multilabel.metrics import f1_over_labels, label_table, micro_f1, subset_accuracy
from tasks.reading import Asked
from tasks.texts.examples import TextExample, unknown_label
from tasks.texts.kind import TextKind, cells_by_flags
from tasks.texts.metrics import combine_windows


@dataclass(frozen=True)
class Multilabel(TextKind):
    """All labels whose probability, each the sigmoid of a logit, is above a threshold."""

    threshold: float = 0.5

    name = "multilabel"
    row = "text, labels"
    problem = "multi_label_classification"
    own = {"title": "your multi-label classification", "metrics": ("micro_f1", "macro_f1")}
    fields = (*TextKind.fields, "label_fields")
    named_outputs = True
    class_target = "label"
    metrics = {
        "micro_f1": micro_f1,
        "macro_f1": f1_over_labels,
        "subset_accuracy": subset_accuracy,
    }
    titles = {
        "micro_f1": "micro F1",
        "macro_f1": "macro F1",
        "subset_accuracy": "exact match of all labels",
    }
    ranking = Ranking("The errors it was surest of", "probability", "{:.3f}")
    collapse = "all texts are given the same labels"
    noun = "a classifier with any number of labels"
    asks = ("pair", "top", "threshold")

    def columns(self, fields: Mapping[str, Any]) -> LabelColumns:
        """The list is under `label` or, as it has several, `labels`."""
        cells, several = cells_by_flags(fields), fields["label_fields"]
        if cells["label"] == ("label",):
            cells["label"] = ("label", "labels")
        return LabelColumns(**cells, several=several)

    def classes(self, examples: Sequence[TextExample]) -> ClassNames:
        """Numbers by their size, others by the alphabet."""
        return in_order(chain.from_iterable(map(self.classes_of, examples)))

    def classes_of(self, example: Any) -> tuple[str, ...]:
        return example.label or ()

    def check_examples(self, examples: Sequence[TextExample], labels: ClassNames) -> None:
        if len({frozenset(self.classes_of(example)) for example in examples}) == 1:
            raise InputError("all examples have the same labels: there is nothing to learn")

    def remarks(self, examples: Sequence[TextExample], labels: ClassNames) -> tuple[str, ...]:
        """The number of examples with each label and without any, and labels without a choice."""
        counts = Counter(chain.from_iterable(map(self.classes_of, examples)))
        none = sum(not self.classes_of(example) for example in examples)
        found = [count_sentence({name: counts[name] for name in labels}, "labels")]
        if none:
            found.append(f"{none:,} of {len(examples):,} have no label")
        for which, count in (("no example has", 0), ("all examples have", len(examples))):
            if same := [name for name in labels if counts[name] == count]:
                found.append(f"{which} {first_names(same)}, of which nothing can be learned")
        return (*found, *doubts(labels))

    def encode_labels(self, examples, labels) -> np.ndarray:
        for example in examples:
            for name in self.classes_of(example):
                if name not in labels:
                    raise unknown_label(name, labels, f"example {example.id}")
        return label_table([e.label for e in examples], labels).astype(np.int32)

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"label": jax.ShapeDtypeStruct((outputs,), jnp.int32)}

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, " rows"]:
        """The mean of the binary cross-entropies of all labels."""
        return jnp.mean(cross_entropy(no_and_yes(output["logits"]), batch["label"]), axis=-1)

    def class_loss(self, output, batch, weights, smoothing) -> Float[Array, " rows"]:
        logits = no_and_yes(output["logits"])
        losses = weighted_cross_entropy(logits, batch["label"], weights, smoothing)
        return jnp.mean(losses, axis=-1)

    def class_counts(self, targets, outputs) -> np.ndarray:
        """Of every label how many examples do not have it, and how many have it."""
        given = targets.sum(axis=0)
        return np.stack([len(targets) - given, given], axis=-1)

    def soft_loss(self, output: Arrays, batch: Arrays, temperature: float) -> Float[Array, " rows"]:
        """The mean over the labels of T^2 KL, each of two classes: given or not."""
        student, teacher = (no_and_yes(z) for z in (output["logits"], batch["teacher_logits"]))
        return jnp.mean(distillation_kl(student, teacher, temperature), axis=-1)

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each with the `probabilities` of all labels."""
        from scipy.special import expit  # scipy takes a second to import

        logits = combine_windows(np.stack(fetched["logits"]), windows.example)
        found = [dict(zip(labels, map(float, row), strict=True)) for row in expit(logits)]
        return [
            {
                "prediction": [name for name, share in shares.items() if share > self.threshold],
                "probabilities": shares,
            }
            for shares in found
        ]

    def gold(self, example: TextExample) -> list[str] | None:
        return None if example.label is None else list(self.classes_of(example))

    def measure(self, names, labels, gold, predicted) -> dict[str, float]:
        """Also `collapsed`, 1 where all examples got the same labels."""
        right, guessed = (label_table(side, labels) for side in (gold, predicted))
        values = super().measure(names, labels, right, guessed)
        return {**values, "collapsed": float((guessed == guessed[0]).all())}

    def breakdown(self, labels, predictions) -> dict[str, float]:
        gold, predicted = ([p[side] for p in predictions] for side in ("gold", "prediction"))
        tables = (label_table(side, labels) for side in (gold, predicted))
        return {"subset_accuracy": subset_accuracy(*tables)}

    def items(self, answers: Sequence[Sequence[str]]) -> Iterable[tuple[str, int]]:
        return ((name, place) for place, names in enumerate(answers) for name in names)

    def mistake(self, prediction: Prediction) -> Mistake:
        """As bad as the surest of the labels that are wrong or missing."""
        gold, found, shares = (prediction[n] for n in ("gold", "prediction", "probabilities"))
        sure = [shares[n] if n in found else 1 - shares[n] for n in {*gold} ^ {*found}]
        texts = (", ".join(names) or "(no label)" for names in (gold, found))
        return Mistake(max(sure, default=0.0), *texts)

    def as_asked(self, asked: Asked) -> "Multilabel":
        return self if asked.threshold is None else replace(self, threshold=asked.threshold)

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        """Also the likeliest others, up to `top` in all."""
        ranked = sorted(prediction["probabilities"].items(), key=lambda pair: -pair[1])
        given = [name for name, _ in ranked if name in prediction["prediction"]]
        shown = ranked if asked.top is None else ranked[: max(asked.top, len(given))]
        return {"labels": given, "probabilities": dict(shown)}

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        for label, probability in description["probabilities"].items():
            mark = "yes" if label in description["labels"] else "no "
            yield f"  {mark} {percent(probability)}  {label}"
