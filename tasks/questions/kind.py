"""Kind of task: the answer to a question, as a part of a context, or that there is none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from data.rows import Row, table_suffix
from data.vocabulary import Vocabulary
from model.config import EncoderConfig
from model.errors import InputError
from model.losses import cross_entropy, distillation_kl
from model.tasks import QuestionAnswering, read_batch
from tasks.formats.rows import text_cell
from tasks.formats.squad import squad_rows
from tasks.kind import NEVER, Arrays, Kind, Mistake, Prediction, Ranking, percent
from tasks.questions.answers import predict_answers
from tasks.questions.encode import encode_questions
from tasks.questions.examples import QuestionColumns, QuestionExample
from tasks.questions.squad import exact_match, squad_breakdown, squad_f1
from tasks.reading import Asked

SHOWN = 3  # answers to each question, if nobody says how many


@dataclass(frozen=True)
class Answers(Kind):
    """The part of the context whose start and end have the highest sum of logits."""

    null_threshold: float | None = None
    """Predict "no answer" when its score exceeds the best answer's by more than this; None where
    every question has an answer. A user's own examples decide, see `of_examples`."""
    language: str | None = None
    """The language of the texts, where answers are compared by MLQA's rules; None: by SQuAD's."""

    name = "answers"
    row = "context, question, answers, or SQuAD's json"
    own = {
        "title": "your question answering",
        "metrics": ("exact_match", "squad_f1"),
        "learning_rate": 5e-5,
        "max_length": 384,
    }
    formats = {".json": (squad_rows, QuestionColumns())}
    model = QuestionAnswering
    per_token = True
    metrics = {"exact_match": exact_match, "squad_f1": squad_f1}
    titles = {
        "exact_match": "exact match",
        "squad_f1": "F1 of words",
        "has_answer_exact_match": "exact match where there is an answer",
        "has_answer_squad_f1": "F1 of words where there is an answer",
        "no_answer_exact_match": "right where there is none",
    }
    ranking = Ranking("The wrong answers it was surest of", "probability", "{:.3f}")
    collapse = "no question is given an answer"
    noun = "a question answerer"
    asks = ("question", "top", "null_threshold")
    reads = ("doc_stride", "max_question")
    shares = "context"
    longest_window = 384  # as in training
    to_windows = staticmethod(encode_questions)

    def columns(self, fields: Mapping[str, Any]) -> QuestionColumns:
        return QuestionColumns()

    def group(self, example: QuestionExample) -> str:
        return example.context

    def classes_of(self, example: QuestionExample) -> tuple[str, ...]:
        return ("an answer" if example.answers else "no answer",)

    def of_examples(self, examples: Sequence[QuestionExample]) -> "Answers":
        """With SQuAD 2.0's threshold if some questions have no answer."""
        unanswerable = any(example.answers == () for example in examples)
        return replace(self, null_threshold=0.0 if unanswerable else None)

    def to_config(self, config: EncoderConfig) -> EncoderConfig:
        return config.replace(unanswerable=self.null_threshold is not None)

    def of_config(self, config: EncoderConfig) -> "Answers":
        if config.unanswerable is None:
            return self
        return replace(self, null_threshold=0.0 if config.unanswerable else None)

    def forward(self, model, batch, rngs=None) -> dict[str, Any]:
        output = read_batch(model, batch, rngs=rngs)
        return {"start": output.start_logits, "end": output.end_logits}

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        places = {side: jax.ShapeDtypeStruct((), jnp.int32) for side in ("start", "end")}
        return {**places, "context": jax.ShapeDtypeStruct((length,), jnp.bool_)}

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, " rows"]:
        """The mean of the cross-entropies of start and end, which are tokens of the text."""
        start, end = (
            cross_entropy(jnp.where(batch["attention_mask"], output[side], NEVER), batch[side])
            for side in ("start", "end")
        )
        return (start + end) / 2

    def soft_loss(self, output: Arrays, batch: Arrays, temperature: float) -> Float[Array, " rows"]:
        """The mean of both KL, over where an answer may start (or end), and [CLS] for none.

        The original (`run_squad_w_distillation.py`) compares the logits of padding too.
        """
        allowed = batch["context"].at[:, 0].set(True)
        start, end = (
            distillation_kl(
                jnp.where(allowed, output[side], NEVER),
                jnp.where(allowed, batch[f"teacher_{side}"], NEVER),
                temperature,
            )
            for side in ("start", "end")
        )
        return (start + end) / 2

    def fetched(self, length: int, outputs: int, width: int) -> dict[str, jax.ShapeDtypeStruct]:
        logits = jax.ShapeDtypeStruct((length,), jnp.float32)
        return {"start": logits, "end": logits}

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each with `start`, the score of `no_answer` above the best answer's, and `candidates`."""
        start, end, threshold = fetched["start"], fetched["end"], self.null_threshold
        best = predict_answers(start, end, windows, examples, null_threshold=threshold)
        return [
            {
                "prediction": found.answer.text,
                "start": found.answer.start,
                "no_answer": found.no_answer,
                "candidates": [
                    {"text": c.text, "start": c.start, "probability": c.probability}
                    for c in found.candidates
                ],
            }
            for found in best
        ]

    def gold(self, example: QuestionExample) -> list[str] | None:
        answers = example.answers
        return None if answers is None else [answer.text for answer in answers]

    def measure(self, names, labels, gold, predicted) -> dict[str, float]:
        """Also `collapsed`, 1 where all predicted answers are empty, and not all right ones."""
        collapsed = any(gold) and not any(predicted)
        values = {name: self.metrics[name](gold, predicted, self.language) for name in names}
        return {**values, "collapsed": float(collapsed)}

    def breakdown(self, labels, predictions) -> dict[str, float]:
        gold, predicted = ([p[side] for p in predictions] for side in ("gold", "prediction"))
        return squad_breakdown(gold, predicted, self.language)

    def mistake(self, prediction: Prediction) -> Mistake:
        gold, text = prediction["gold"], prediction["prediction"]
        wrong = exact_match([gold], [text], self.language) == 0
        best = (text, prediction["start"])
        sure = sum(
            c["probability"] for c in prediction["candidates"] if (c["text"], c["start"]) == best
        )
        right = " / ".join(dict.fromkeys(gold)) or "(no answer)"
        return Mistake(sure if wrong else 0.0, right, text or "(no answer)")

    def quote(self, example: QuestionExample) -> str:
        return f"{example.question} <- {example.context}"

    def as_asked(self, asked: Asked) -> "Answers":
        if asked.question is None:
            raise InputError("this model answers questions about texts: ask one with --question")
        threshold = self.null_threshold if asked.null_threshold is None else asked.null_threshold
        return replace(self, null_threshold=threshold)

    def rows(self, file: Path) -> Iterator[Row]:
        """Those of SQuAD's JSON, too."""
        return squad_rows(file, "") if table_suffix(file) == ".json" else super().rows(file)

    def ask(self, row: Row, asked: Asked) -> tuple[str, Asked]:
        """The context, and a question of its own unless one is asked about all."""
        context = text_cell(row, ("context",))
        if asked.question is not None and "question" not in row.cells:
            return context, asked
        return context, asked.of_row(row, "question", text_cell(row, ("question",)))

    def example(self, id: str, text: str, asked: Asked, vocabulary: Vocabulary) -> QuestionExample:
        return QuestionExample(id, asked.question or "", text)

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        """The best answer, which a threshold may make another than the likeliest, and the next."""
        best = (prediction["prediction"], prediction["start"])
        ranked = sorted(prediction["candidates"], key=lambda c: (c["text"], c["start"]) != best)
        return {
            "answers": [
                {**c, "end": c["start"] + len(c["text"])} for c in ranked[: asked.top or SHOWN]
            ]
        }

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        for answer in description["answers"]:
            place = f"{answer['text']}  [{answer['start']}:{answer['end']}]"
            yield f"  {percent(answer['probability'])}  {place if answer['text'] else 'no answer'}"
