"""Held-out masked-LM quality of a checkpoint, and how far a student is from its teacher.

    python -m eval.masked_lm assets/bert-tiny-pydocs --data.sequence-length 64
    python -m eval.masked_lm runs/distill-tiny/model --teacher assets/bert-tiny-pydocs
    python -m eval.masked_lm google-bert/bert-base-uncased --data.corpus my-texts/

Masks are uniform and always the same. Beside the model stands the unigram floor, which knows only
how often each token occurs.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from jaxtyping import Array, Float32
from rich.console import Console
from rich.table import Table

from data.batches import heldout_batches
from data.config import DataConfig
from data.masking import MaskingConfig, mask_tokens, token_log_weights
from data.pipeline import Data, open_data
from data.sequences import Sequences
from data.tokenizer import SpecialIds, check_same_vocabulary, load_tokenizer, special_ids
from eval.naming import FLOORS, NAMES, written
from model.errors import InputError, at_least_one
from model.pretrained import load
from model.student import check_fit
from model.tasks import MaskedLM
from train.losses import cosine_distance, cross_entropy, distillation_kl, masked_sum
from train.provenance import provenance, write_json_atomic
from train.view import gather_positions

# Held-out masks are uniform and always the same: with the frequency-weighted masks of training the
# loss would be another quantity.
MASKING = MaskingConfig(group_rows=1)
MASK_SEED = 0

Sums = dict[str, tuple[Float32[Array, ""], Float32[Array, ""]]]


class HeldOut:
    """Held-out sequences with fixed uniform masks.

    Metrics are means over all predicted tokens (`hidden_cosine`: over all attended tokens); the
    last batch is filled up with rows that do not count.

    masked_lm_loss, masked_lm_accuracy: cross-entropy in nats, and share of right first guesses.
    exp_masked_lm_loss: its exponential; not the pseudo-perplexity of Salazar et al. 2020.
    unigram_loss, unigram_accuracy: the floor, a model that knows only how often tokens occur in the
        training text (add-one smoothed) and always guesses the most frequent.
    kl_to_teacher, top1_agreement: KL(teacher || student) at temperature 1, and the share of tokens
        where both guess the same.
    hidden_cosine: the cosine of the last hidden states, where both are equally wide.
    """

    def __init__(
        self,
        sequences: Sequences,
        counts: np.ndarray,
        special: SpecialIds,
        *,
        rows: int,
        limit: int | None = None,
    ):
        self.sequences = sequences
        self.rows = rows
        self.limit = limit
        self.special = special
        self.log_weights = token_log_weights(counts, special, smoothing=0.0)
        # The floor never guesses what is never asked for.
        frequencies = np.where(np.isfinite(self.log_weights), counts + 1.0, 0.0)
        with np.errstate(divide="ignore"):
            log_unigram = np.log(frequencies / frequencies.sum())
        self.log_unigram = log_unigram.astype(np.float32)

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        return heldout_batches(
            self.sequences, rows=self.rows, pad_id=self.special.pad, limit=self.limit
        )

    def evaluator(
        self,
        student: nnx.GraphDef,
        teacher: nnx.GraphDef | None = None,
        place: Callable[[dict[str, np.ndarray]], Any] = lambda batch: batch,
    ) -> Callable[[Any, Any], dict[str, float]]:
        """A function from the parameters of student and teacher to the metrics.

        `place` puts a batch onto the devices.
        """
        sums = jax.jit(lambda *inputs: self.sums(student, teacher, *inputs))

        def evaluate(params: Any, teacher_params: Any = None) -> dict[str, float]:
            return means(self.total(lambda batch: sums(params, teacher_params, place(batch))))

        return evaluate

    def total(self, sums: Callable[[dict[str, np.ndarray]], Any]) -> Any:
        """What `sums` makes of each batch, added up."""
        parts = map(sums, self.batches())
        total = next(parts)  # `prepare` refuses an empty split
        for part in parts:
            total = jax.tree.map(jnp.add, total, part)
        return total

    def sums(
        self,
        student_graphdef: nnx.GraphDef,
        teacher_graphdef: nnx.GraphDef | None,
        params: Any,
        teacher_params: Any,
        batch: dict[str, Any],
    ) -> Sums:
        """Every metric of a batch but the exponential, as sum and count."""
        student = nnx.merge(student_graphdef, params)
        teacher = None
        if teacher_graphdef is not None:
            teacher = nnx.merge(teacher_graphdef, teacher_params)
        masked = mask_tokens(
            jax.random.key(MASK_SEED, impl="threefry2x32"),
            batch["input_ids"],
            batch["attention_mask"],
            batch["row"],
            jnp.asarray(self.log_weights),
            config=MASKING,
            mask_id=self.special.mask,
        )
        inputs = masked.input_ids, batch["attention_mask"]
        hidden = student.backbone(*inputs).last_hidden
        logits = student.predict_tokens(gather_positions(hidden, masked.positions))
        guess = jnp.argmax(logits, axis=-1)
        values = {
            "masked_lm_loss": cross_entropy(logits, masked.labels),
            "masked_lm_accuracy": guess == masked.labels,
            "unigram_loss": -jnp.asarray(self.log_unigram)[masked.labels],
            "unigram_accuracy": masked.labels == int(self.log_unigram.argmax()),
        }
        if teacher is None:
            return {
                name: masked_sum(v.astype(jnp.float32), masked.valid) for name, v in values.items()
            }
        teacher_hidden = teacher.backbone(*inputs).last_hidden
        teacher_logits = teacher.predict_tokens(gather_positions(teacher_hidden, masked.positions))
        values |= {
            "kl_to_teacher": distillation_kl(logits, teacher_logits, 1.0),
            "top1_agreement": guess == jnp.argmax(teacher_logits, axis=-1),
        }
        sums = {name: masked_sum(v.astype(jnp.float32), masked.valid) for name, v in values.items()}
        if hidden.shape != teacher_hidden.shape:
            return sums
        cosine = 1.0 - cosine_distance(hidden, teacher_hidden)
        return sums | {"hidden_cosine": masked_sum(cosine, batch["attention_mask"])}


def means(total: Sums) -> dict[str, float]:
    """The metrics of what `HeldOut.total` added up."""
    each = {name: float(value / count) for name, (value, count) in total.items()}
    if "masked_lm_loss" in each:
        each["exp_masked_lm_loss"] = math.exp(min(each["masked_lm_loss"], 700.0))
    return each


@dataclass(frozen=True)
class Evaluation:
    """Score a masked-LM checkpoint on held-out text, in float32."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT or DistilBERT with its masked-LM head."""
    teacher: str | None = None
    """The model it is compared with."""
    data: DataConfig = DataConfig()
    batch_size: int = 32
    """Sequences that are read at a time; changes the speed and nothing else."""
    heldout_sequences: int | None = None
    """At most so many held-out sequences, evenly spread (1024 in the recipes); by default all."""
    json: Path | None = None
    """A file for the metrics, with where they come from."""


def evaluate_checkpoint(config: Evaluation) -> dict[str, float]:
    """The metrics of `HeldOut`, printed, and written to a file if one is named.

    Raises:
        InputError: model, teacher, tokenizer and data do not fit.
    """
    at_least_one(config, "batch_size", "heldout_sequences")
    names = {"model": config.model} | ({"teacher": config.teacher} if config.teacher else {})
    models = {role: load(name, MaskedLM) for role, name in names.items()}
    for role, model in models.items():
        if config.data.sequence_length > model.config.max_positions:
            raise InputError(
                f"--data.sequence-length {config.data.sequence_length} is above the "
                f"{model.config.max_positions} positions of {names[role]}"
            )
    if config.teacher:
        check_fit(models["teacher"].config, models["model"].config)
    data = open_data(replace(config.data, tokenizer=config.data.tokenizer or config.model))
    check_vocabularies(config, data, models)

    heldout = HeldOut(
        data.heldout,
        data.train.counts,
        special_ids(data.tokenizer),
        rows=config.batch_size,
        limit=config.heldout_sequences,
    )
    student, params = nnx.split(models["model"])
    teacher, teacher_params = nnx.split(models["teacher"]) if config.teacher else (None, None)
    metrics = heldout.evaluator(student, teacher)(params, teacher_params)
    sequences = min(len(data.heldout), config.heldout_sequences or len(data.heldout))
    title = f"{config.model} on {sequences:,} held-out sequences of {data.corpus.name}"
    Console(highlight=False).print(table(metrics, title))
    if config.json is not None:
        record = {"settings": config, "sequences": sequences, "corpus": data.corpus.fingerprint}
        write_json_atomic(config.json, {**record, "metrics": metrics, "provenance": provenance()})
    return metrics


def check_vocabularies(config: Evaluation, data: Data, models: dict[str, MaskedLM]) -> None:
    """Raises InputError unless every model knows the tokens that the text is made of."""
    pieces = data.tokenizer.get_vocab_size()
    size = models["model"].config.vocab_size
    if size != pieces:
        raise InputError(
            f"{config.model} has a vocabulary of {size} and the tokenizer "
            f"{config.data.tokenizer or config.model} of {pieces}: give the model's own with "
            "--data.tokenizer"
        )
    if config.teacher:
        check_same_vocabulary(load_tokenizer(config.teacher), data.tokenizer)


def table(metrics: dict[str, float], title: str) -> Table:
    """The metrics, and beside them the floor of those that have one."""
    result = Table(title=title)
    result.add_column("")
    result.add_column("held out", justify="right")
    result.add_column("unigram floor", justify="right")
    for name, value in metrics.items():
        if name not in FLOORS.values():
            floor = metrics.get(FLOORS.get(name, ""))
            label = NAMES.get(name, name)
            result.add_row(
                label, written(name, value), "" if floor is None else written(name, floor)
            )
    return result


if __name__ == "__main__":
    from train.cli import main

    main(
        lambda: evaluate_checkpoint(
            tyro.cli(Evaluation, prog="python -m eval.masked_lm", description=__doc__)
        )
    )
