"""Kinds of task: a value for a text or a pair of texts, and several values by name."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from model.config import EncoderConfig
from tasks.kind import Arrays, ClassNames, Mistake, Prediction, Ranking
from tasks.texts.kind import TextKind, cells_by_flags
from tasks.texts.metrics import combine_windows, errors, pearson, spearman
from tasks.values.examples import ValueColumns


class Regression(TextKind):
    """A value for each text, learned by squared error."""

    name = "regression"
    row = "text, perhaps pair, label"
    problem = "regression"
    own = {"title": "your regression", "metrics": ("pearson", "spearman")}
    fields = (*TextKind.fields, "label_fields")
    metrics = {"pearson": pearson, "spearman": spearman}
    titles = {
        "pearson": "Pearson correlation",
        "spearman": "Spearman correlation",
        "mae": "mean absolute error",
        "rmse": "root mean squared error",
        "r2": "R²",
    }
    unscaled = ("mae", "rmse", "r2")
    ranking = Ranking("The values that are farthest off", "difference", "{:.3f}")
    noun = "a model of values"
    asks = ("pair",)

    def columns(self, fields: Mapping[str, Any]) -> ValueColumns:
        cells, several = cells_by_flags(fields), fields["label_fields"]
        if len(several) == 1:
            cells, several = {**cells, "label": several}, ()
        return ValueColumns(**cells, several=several)

    def of_labels(self, labels: ClassNames) -> "Regression":
        return SeveralValues() if len(labels) > 1 else Regression()

    def encode_labels(self, examples, labels) -> np.ndarray:
        return np.array([example.label for example in examples], np.float32)

    def outputs(self, labels: ClassNames) -> ClassNames:
        """The one output, numbered as transformers does it where it has no name."""
        return labels or ("LABEL_0",)

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"label": jax.ShapeDtypeStruct((), jnp.float32)}

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, " rows"]:
        return jnp.square(output["logits"][..., 0] - batch["label"])

    def soft_loss(self, output: Arrays, batch: Arrays, temperature: float) -> Float[Array, " rows"]:
        """Squared difference of both models, averaged over the outputs, at any temperature."""
        return jnp.mean(jnp.square(output["logits"] - batch["teacher_logits"]), axis=-1)

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        values = combine_windows(np.stack(fetched["logits"]), windows.example)[:, 0]
        return [{"prediction": float(value)} for value in values]

    def breakdown(self, labels, predictions) -> dict[str, float]:
        return errors(*([p[side] for p in predictions] for side in ("gold", "prediction")))

    def mistake(self, prediction: Prediction) -> Mistake:
        gold, value = prediction["gold"], prediction["prediction"]
        return Mistake(abs(value - gold), f"{gold:.3f}", f"{value:.3f}")

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        return {"value": prediction["prediction"]}

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        yield f"  {description['value']:.3f}"


class SeveralValues(Regression):
    """Several values for each text, matched by name; all count the same in the squared error."""

    named_outputs = True

    def serves(self, config: EncoderConfig) -> bool:
        return super().serves(config) and config.num_labels > 1

    def encode_labels(self, examples, labels) -> np.ndarray:
        return np.array([[e.label[name] for name in labels] for e in examples], np.float32)

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"label": jax.ShapeDtypeStruct((outputs,), jnp.float32)}

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, " rows"]:
        return jnp.mean(jnp.square(output["logits"] - batch["label"]), axis=-1)

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        rows = combine_windows(np.stack(fetched["logits"]), windows.example)
        return [{"prediction": dict(zip(labels, map(float, row), strict=True))} for row in rows]

    def measure(self, names, labels, gold, predicted) -> dict[str, float]:
        """The mean over the values of each."""
        pairs = [_of_both(name, gold, predicted) for name in labels]
        return {name: fmean(self.metrics[name](*pair) for pair in pairs) for name in names}

    def breakdown(self, labels, predictions) -> dict[str, float]:
        """The mean R², and of every value the error, whose unit is its own."""
        gold, predicted = ([p[side] for p in predictions] for side in ("gold", "prediction"))
        found = {name: errors(*_of_both(name, gold, predicted)) for name in labels}
        shares = [each["r2"] for each in found.values() if "r2" in each]
        mean = {"r2": fmean(shares)} if shares else {}
        return mean | {f"mae of {name}": each["mae"] for name, each in found.items()}

    def mistake(self, prediction: Prediction) -> Mistake:
        gold, found = prediction["gold"], prediction["prediction"]
        texts = (", ".join(f"{name} {s[name]:.3f}" for name in gold) for s in (gold, found))
        return Mistake(max(abs(found[name] - gold[name]) for name in gold), *texts)

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        return {"values": prediction["prediction"]}

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        for name, value in description["values"].items():
            yield f"  {value:.3f}  {name}"


def _of_both(
    name: str, gold: Sequence[Mapping[str, float]], predicted: Sequence[Mapping[str, float]]
) -> tuple[list[float], list[float]]:
    return [values[name] for values in gold], [values[name] for values in predicted]
