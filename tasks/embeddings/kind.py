"""Kinds of task: queries near their documents, and texts as near as they are alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from data.rows import Row
from data.vocabulary import Vocabulary
from model.config import EncoderConfig
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.losses import distillation_kl
from model.tasks import Embedder, backbone
from tasks.embeddings.encode import ABSENT, encode_pairs
from tasks.embeddings.examples import PairColumns, PairExample
from tasks.embeddings.forward import vectors_side_by_side
from tasks.embeddings.losses import (
    contrast,
    margin_error,
    of_length_one,
    own_similarity,
    similarity,
    vector_distance,
)
from tasks.embeddings.metrics import rank, reciprocal_rank_at_10, right_at_1
from tasks.embeddings.teacher import is_cross_encoder, pair_scores, text_vectors
from tasks.formats.rows import text_cell
from tasks.kind import Arrays, Kind, Mistake, Prediction, Ranking
from tasks.reading import QUESTION, Asked, Reading
from tasks.texts.metrics import pearson, spearman
from tasks.windows import Windows


@dataclass(frozen=True)
class Pairs(Kind):
    """A vector for each text, so that a query is nearer to its document than to all others."""

    query_length: int | None = QUESTION
    """Tokens of a query, at most; None: as many as of a document."""
    negatives: int = 0
    """Negatives of an example, at most. A user's own examples decide, see `of_examples`."""
    answers: int = 1
    """Documents that are right for a query, at most, likewise."""
    form: str = "kl"
    """What is learned from a teacher, of `forms`."""

    name = "embeddings"
    row = "query, document, perhaps negatives or a score"
    own = {
        "title": "your embeddings",
        "metrics": ("right_at_1", "reciprocal_rank_at_10"),
        "learning_rate": 2e-5,
        "batch_size": 64,
    }
    fields = ("text_field", "pair_field", "label_field")
    model = Embedder
    has_head = False
    inputs = ("input_ids", "attention_mask")
    forms = ("kl", "margin", "vectors")
    translated: ClassVar[bool] = False
    """True if a document is its query in another language, which a teacher need not know."""
    compares = ("vectors", "documents", "valid", "teacher_vectors")
    metrics = {"right_at_1": right_at_1, "reciprocal_rank_at_10": reciprocal_rank_at_10}
    titles = {
        "right_at_1": "accuracy@1",
        "reciprocal_rank_at_10": "MRR@10",
        "pearson": "Pearson correlation",
        "spearman": "Spearman correlation",
    }
    ranking = Ranking("The queries whose document comes last", "others before it", "{:.0f}")
    noun = "a sentence embedder"
    asks = ("pair",)
    reads = ("max_question",)
    shares = "query"

    def columns(self, fields: Mapping[str, Any]) -> PairColumns:
        """`query`, `document` and `score`, or the columns that the flags name."""
        text, pair, label = (fields[name] for name in self.fields)
        return PairColumns(
            (text, "query"), (pair,) if pair else ("document",), (label, "score", "grade"), own=True
        )

    def of_examples(self, examples: Sequence[PairExample]) -> "Pairs":
        """A kind that learns scores, where there are some."""
        scores = [abs(example.score) for example in examples if example.score is not None]
        if scores:
            if not max(scores):
                raise InputError("all scores are 0: there is nothing to learn")
            return Similarity(scale=max(scores))
        documents: dict[str, set[str]] = {}
        for example in examples:
            documents.setdefault(example.group, set()).add(example.document)
        return replace(
            self,
            negatives=max(len(example.negatives) for example in examples),
            answers=max(map(len, documents.values())),
        )

    def of_reading(self, reading: Reading) -> "Pairs":
        return replace(self, query_length=reading.max_question or QUESTION)

    def to_windows(self, examples, vocabulary, labels, length, reading) -> Windows:
        return encode_pairs(examples, vocabulary, length, self.query_length)

    def outputs(self, labels) -> tuple[str, ...]:
        return ()

    def new_model(
        self, config: EncoderConfig, checkpoint: Checkpoint | None = None, *, rngs: nnx.Rngs
    ) -> Embedder:
        """An embedder that pools as the checkpoint does."""
        settings = checkpoint.read_embedder()._asdict() if checkpoint else {}
        return Embedder(backbone(config, rngs=rngs), **settings)

    def before_training(self, model: Embedder, length: int) -> None:
        super().before_training(model, length)
        if model.max_length is None:
            model.max_length = length

    def of_form(self, form: str) -> "Pairs":
        return replace(self, form=form)

    def ask_teacher(self, checkpoint, examples, model, length) -> dict[str, np.ndarray]:
        """`teacher_scores` of a cross-encoder, [examples, documents], or `teacher_vectors`."""
        name, width = checkpoint.name, model.config.hidden_size
        if self.form == "margin" and not self.negatives:
            raise InputError("--loss.form margin needs negatives, and no example has one")
        if is_cross_encoder(checkpoint):
            if self.form != "margin":
                raise InputError(
                    f"the teacher {name} is a cross-encoder, which scores pairs and has no "
                    "vectors: give --loss.form margin"
                )
            return {"teacher_scores": pair_scores(checkpoint, examples, length)}
        theirs = checkpoint.config.hidden_size
        if self.form == "vectors" and theirs != width:
            raise InputError(
                f"--loss.form vectors: the teacher {name} is {theirs} wide and the student "
                f"{width}: give kl, for which widths may differ"
            )
        vectors = text_vectors(checkpoint, examples, length, translated=self.translated)
        return {"teacher_vectors": vectors}

    def window_length(self, model: Embedder) -> int:
        return model.max_length or super().window_length(model)

    def forward(self, model, batch, rngs=None) -> dict[str, Any]:
        """The `vectors` of query, document and negatives, [rows, texts, width]."""
        return {"vectors": vectors_side_by_side(model, batch, self.query_length, rngs)}

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        texts = length, 2 + self.negatives
        return {
            "input_ids": jax.ShapeDtypeStruct(texts, jnp.int32),
            "attention_mask": jax.ShapeDtypeStruct(texts, jnp.bool_),
            "documents": jax.ShapeDtypeStruct((1 + self.negatives,), jnp.int32),
            "right": jax.ShapeDtypeStruct((self.answers,), jnp.int32),
        }

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, " rows"]:
        """The contrast with all documents of the batch."""
        scores = self._scores(output["vectors"], {**output, **batch}, "vectors")
        numbers = batch.get("all_documents", batch["documents"])
        rows, texts = batch["documents"].shape
        own = batch.get("place", jnp.arange(rows)) * texts
        return contrast(scores, own, numbers.reshape(-1), batch["right"])

    def soft_loss(self, output: Arrays, batch: Arrays, temperature: float) -> Float[Array, " rows"]:
        """The loss of the `form`: T^2 KL of all scores, error of the margins, or of the vectors."""
        vectors, there = of_length_one(output["vectors"]), batch["documents"] != ABSENT
        if self.form == "vectors":
            queries = jnp.ones_like(there[:, :1])
            there = jnp.concatenate([queries, there], axis=1)
            return vector_distance(vectors, batch["teacher_vectors"], there)
        if self.form == "margin":
            scores = batch.get("teacher_scores")
            if scores is None:
                scores = own_similarity(batch["teacher_vectors"])
            return margin_error(own_similarity(vectors), scores, there)
        student = self._scores(output["vectors"], {**output, **batch}, "vectors")
        teacher = self._scores(batch["teacher_vectors"], batch, "teacher_vectors")
        return distillation_kl(student, teacher, temperature)

    def _scores(self, own: Array, batch: Arrays, name: str) -> Float[Array, "rows all"]:
        """The scores of each query with the documents and negatives of the whole batch."""
        vectors, documents, valid = (
            batch.get(f"all_{each}", batch[each]) for each in (name, "documents", "valid")
        )
        usable = (documents != ABSENT) & valid[:, None]
        # The teacher's vectors have the length 1 already.
        as_unit = of_length_one if name == "vectors" else lambda array: array
        documents = as_unit(vectors[:, 1:]).reshape(-1, vectors.shape[-1])
        return similarity(as_unit(own[:, 0]), documents, usable.reshape(-1))

    def fetched(self, length: int, outputs: int, width: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"vectors": jax.ShapeDtypeStruct((2 + self.negatives, width), jnp.float32)}

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each the rank of the document, with what comes first, by its cosine."""
        ranks, first = rank(examples, fetched["vectors"])
        return [
            {"prediction": int(place), "document": example.document, "first": text}
            for example, place, text in zip(examples, ranks, first, strict=True)
        ]

    def gold(self, example: PairExample) -> Any:
        """The best rank."""
        return 1

    def mistake(self, prediction: Prediction) -> Mistake:
        before = prediction["prediction"] - prediction["gold"]
        return Mistake(before, prediction["document"], prediction["first"])

    def group(self, example: PairExample) -> str:
        return example.group

    def quote(self, example: PairExample) -> str:
        return f"{example.query} / {example.document}"

    def as_asked(self, asked: Asked) -> "Similarity":
        """A kind that says how much two texts are alike.

        Raises:
            InputError: there is no second text.
        """
        if asked.pair is None:
            raise InputError(
                "this model compares texts: give a second one with --pair, or a file for their "
                "vectors with --embed"
            )
        return Similarity()

    def ask(self, row: Row, asked: Asked) -> tuple[str, Asked]:
        text, asked = super().ask(row, asked)
        if asked.pair is not None and "pair" not in row.cells:
            return text, asked
        return text, asked.of_row(row, "pair", text_cell(row, ("pair",)))

    def example(self, id: str, text: str, asked: Asked, vocabulary: Vocabulary) -> PairExample:
        return PairExample(id, text, asked.pair or "")

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        return {"cosine": prediction["prediction"]}

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        yield f"  {description['cosine']:.3f}"


@dataclass(frozen=True)
class Similarity(Pairs):
    """A vector for each text, so that the cosine of two is how much they are alike."""

    query_length: int | None = None
    scale: float = 1.0
    """The score of two texts that mean the same."""

    own = {**Pairs.own, "metrics": ("spearman", "pearson")}
    metrics = {"spearman": spearman, "pearson": pearson}
    ranking = Ranking("The pairs whose cosine is farthest off", "difference", "{:.3f}")
    reads = ()

    def of_examples(self, examples: Sequence[PairExample]) -> "Pairs":
        return self

    def of_reading(self, reading: Reading) -> "Similarity":
        return self

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {**super().targets(length, outputs), "score": jax.ShapeDtypeStruct((), jnp.float32)}

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, " rows"]:
        """The squared difference of cosine and score, the latter over `scale`."""
        query, document = jnp.moveaxis(of_length_one(output["vectors"][:, :2]), 1, 0)
        cosine = jnp.sum(query * document, axis=-1)
        return jnp.square(cosine - batch["score"] / self.scale)

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each the cosine of the two texts, times `scale`."""
        vectors = np.stack([each[:2] for each in fetched["vectors"]]).astype(np.float64)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
        cosines = np.sum(vectors[:, 0] * vectors[:, 1], axis=-1)
        return [{"prediction": self.scale * float(cosine)} for cosine in cosines]

    def gold(self, example: PairExample) -> float | None:
        return example.score

    def mistake(self, prediction: Prediction) -> Mistake:
        gold, found = prediction["gold"], prediction["prediction"]
        return Mistake(abs(found - gold), f"{gold:.3f}", f"{found:.3f}")
