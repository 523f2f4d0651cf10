"""Kind of task: a value for a text or a pair of texts."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from model.config import EncoderConfig
from tasks.kind import Arrays, ClassNames, Mistake, Prediction, Ranking
from tasks.texts.kind import TextKind
from tasks.texts.metrics import combine_windows, errors, pearson, spearman


class Regression(TextKind):
    """A value for each text, learned by squared error."""

    name = "regression"
    problem = "regression"
    own = {"title": "your regression", "metrics": ("pearson", "spearman")}
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

    def outputs(self, labels: ClassNames) -> ClassNames:
        """The one output, numbered as transformers does it."""
        return ("LABEL_0",)

    def serves(self, config: EncoderConfig) -> bool:
        return config.problem == "regression" and config.num_labels == 1

    def targets(self, length: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"label": jax.ShapeDtypeStruct((), jnp.float32)}

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, " rows"]:
        return jnp.square(output["logits"][..., 0] - batch["label"])

    def soft_loss(self, output: Arrays, batch: Arrays, temperature: float) -> Float[Array, " rows"]:
        """Squared difference of the two values, whatever the temperature."""
        return jnp.square(output["logits"][..., 0] - batch["teacher_logits"][..., 0])

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
