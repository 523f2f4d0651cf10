"""Kinds of task in which a model writes: an encoder reads a text, a decoder writes another.

What a translation and a summary share: examples of a source and its targets, next-token losses over
the vocabulary, a beam search for predictions.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int

from data.vocabulary import Vocabulary
from model.blocks.encoder import EncodedText
from model.config import EncoderConfig
from model.decoder.beams import beam_search, check_search
from model.decoder.seq2seq import Seq2Seq
from model.decoder.settings import GenerationConfig
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.losses import cross_entropy
from tasks.kind import Arrays, ClassNames, Kind, Prediction
from tasks.reading import BeamSettings, Reading
from tasks.texts.encode import all_or_none
from tasks.windows import Windows
from tasks.writing.detokenise import detokenise
from tasks.writing.encode import encode_sources
from tasks.writing.start import new_seq2seq

BEAMS = 4


@dataclass(frozen=True)
class Writing(Kind):
    """A text for a text, searched with beams."""

    form: str = "tokens"
    """What a teacher teaches: its probabilities of all `tokens`, or the `texts` that it writes."""
    max_target: int | None = None
    """Tokens of a text to be written, see `Reading`."""
    decoder_layers: str | None = None
    """Those of the checkpoint that a new decoder starts from; None: all."""
    decoder_depth: int | None = None
    """Layers of a decoder with random weights; None: as many as the encoder has."""
    search: BeamSettings = BeamSettings()
    vocabulary: Vocabulary | None = field(default=None, compare=False, repr=False)

    fields = ("text_field", "pair_field")
    model = Seq2Seq
    writes = True
    inputs = ("input_ids", "attention_mask", "token_type_ids", "target_ids")
    forms = ("tokens", "texts")
    titles: ClassVar[Mapping[str, str]] = {
        "loss_of_target": "loss of the target (nats a token)",
        "perplexity": "perplexity",
    }
    unscaled = ("loss_of_target", "perplexity")
    noun = "a model that writes texts"
    reads = ("long", "max_target")
    collapse = "all texts that are written are the same"
    longest_target: ClassVar[int]
    """Tokens of a text to be written, if nobody says how many."""

    # Examples and windows

    @abstractmethod
    def source(self, example: Any) -> str:
        """The text that is read."""

    def texts(self, example: Any) -> tuple[str, ...]:
        return self.source(example), *(example.references or ())

    def quote(self, example: Any) -> str:
        return " ".join(self.source(example).split())

    def of_reading(self, reading: Reading) -> "Writing":
        return replace(self, max_target=reading.max_target)

    def of_vocabulary(self, vocabulary: Vocabulary) -> "Writing":
        return replace(self, vocabulary=vocabulary)

    def of_form(self, form: str) -> "Writing":
        if form not in self.forms:
            raise InputError(
                f"--loss.form {form}: what writes texts learns from its teacher by tokens or texts"
            )
        return replace(self, form=form)

    def of_decoder(self, layers: str | None, depth: int | None) -> "Writing":
        return replace(self, decoder_layers=layers, decoder_depth=depth)

    def of_search(self, search: BeamSettings) -> "Writing":
        return replace(self, search=search)

    @property
    def target_length(self) -> int:
        """Tokens of a text to be written, at most, with [CLS] and [SEP]."""
        return self.longest_target if self.max_target is None else self.max_target

    def to_windows(
        self,
        examples: Sequence[Any],
        vocabulary: Vocabulary,
        labels: ClassNames,
        length: int,
        reading: Reading,
    ) -> Windows:
        known = [example.references is not None for example in examples]
        return encode_sources(
            [example.id for example in examples],
            [self.source(example) for example in examples],
            [e.references[0] for e in examples] if all_or_none(known, "a target") else None,
            vocabulary,
            length,
            self.target_length,
            reading,
        )

    # Model and losses

    def outputs(self, labels: ClassNames) -> ClassNames:
        return ()

    def new_model(
        self, config: EncoderConfig, checkpoint: Checkpoint | None = None, *, rngs: nnx.Rngs
    ) -> Seq2Seq:
        return new_seq2seq(config, checkpoint, self.decoder_layers, self.decoder_depth, rngs=rngs)

    def before_training(self, model: Seq2Seq, length: int) -> None:
        assert self.vocabulary is not None
        model.generation = self.vocabulary.generation(
            model.decoder.config.vocab_size,
            beams=BEAMS,
            max_new_tokens=self.target_length - 1,
        )
        model.generation = self.search.of(model.generation)
        self.check_target("the model", model)
        check_search(model.decoder, model.generation)

    def check_target(self, name: str, model: Seq2Seq) -> None:
        """Raises InputError if what is to be written has no room in the model of that name."""
        positions = model.decoder.config.max_positions
        if self.target_length > positions:
            raise InputError(
                f"--reading.max-target {self.target_length} is above the {positions} positions of "
                f"the decoder of {name}: give fewer"
            )

    def forward(
        self, model: nnx.Module, batch: Arrays, rngs: nnx.Rngs | None = None
    ) -> dict[str, Any]:
        """The factors of the logits of every next token of the target, as `decoder`."""
        assert isinstance(model, Seq2Seq)
        source = self._read(model, batch, rngs)
        before = jnp.maximum(batch["target_ids"][..., :-1], 0)
        output = model.decoder.backbone(before, source=source, rngs=rngs)
        return {"decoder": model.decoder.decoder(output.last_hidden)}

    def _read(self, model: Seq2Seq, batch: Arrays, rngs: nnx.Rngs | None = None) -> EncodedText:
        types = batch["token_type_ids"] if model.config.type_vocab_size else None
        return model.read(batch["input_ids"], batch["attention_mask"], types, rngs=rngs)

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"target_ids": jax.ShapeDtypeStruct((self.target_length,), jnp.int32)}

    def next_tokens(self, batch: Arrays) -> Int[Array, "*micro rows tokens"]:
        """The tokens that are to be predicted; 0 behind them."""
        return jnp.maximum(batch["target_ids"][..., 1:], 0)

    def where(self, batch: Arrays) -> Bool[Array, "*micro rows tokens"]:
        """The tokens of the target, behind its start."""
        return (batch["target_ids"][..., 1:] >= 0) & batch["valid"][..., None]

    def loss(self, output: Mapping[str, Any], batch: Arrays) -> Float[Array, "rows tokens"]:
        """Cross-entropy of every next token; of one place at a time, as scores are large."""
        decoder = output["decoder"]

        def at(place: tuple[Array, Array]) -> Float32[Array, " rows"]:
            features, labels = place
            return cross_entropy(decoder._replace(features=features).scores(), labels)

        places = jnp.moveaxis(decoder.features, 1, 0), self.next_tokens(batch).T
        return jax.lax.map(at, places).T

    # Predictions and metrics

    def fetch(self, model: nnx.Module, batch: Arrays) -> dict[str, Array]:
        """The best text and its score; where the target is known also the nats that it has."""
        assert isinstance(model, Seq2Seq)
        rows = len(batch["input_ids"])
        found = beam_search(
            model.decoder, self._read(model, batch), self._generation(model), rows=rows
        )
        fetched = {"tokens": found.tokens[:, 0], "score": found.scores[:, :1]}
        if "target_ids" in batch:
            losses = self.loss(self.forward(model, batch), batch)
            there = batch["target_ids"][:, 1:] >= 0
            fetched["nats"] = jnp.sum(jnp.where(there, losses, 0), axis=1, keepdims=True)
            fetched["target_tokens"] = jnp.sum(there, axis=1, keepdims=True)
        return fetched

    def _generation(self, model: Seq2Seq) -> GenerationConfig:
        if model.generation is None:
            raise InputError(
                "the model does not say which token begins a text: give its folder a "
                "generation_config.json with decoder_start_token_id and eos_token_id"
            )
        return self.search.of(model.generation)

    def fetched(self, length: int, outputs: int, width: int) -> dict[str, jax.ShapeDtypeStruct]:
        shapes = {
            "tokens": (self.target_length - 1,),
            "score": (1,),
            "nats": (1,),
            "target_tokens": (1,),
        }
        whole = ("tokens", "target_tokens")
        return {
            name: jax.ShapeDtypeStruct(shape, jnp.int32 if name in whole else jnp.float32)
            for name, shape in shapes.items()
        }

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        assert self.vocabulary is not None
        texts = detokenise(self.vocabulary, fetched["tokens"])
        found: list[Prediction] = []
        for place, (example, text) in enumerate(zip(examples, texts, strict=True)):
            found.append({"prediction": text, "log_probability": float(fetched["score"][place][0])})
            if "nats" in fetched:
                found[-1]["nats"] = float(fetched["nats"][place][0])
                found[-1]["target_tokens"] = int(fetched["target_tokens"][place][0])
            if example.references is not None:
                found[-1] |= self.baselines(example)
        return found

    def baselines(self, example: Any) -> dict[str, str]:
        """Texts of an example that cost nothing, by name, to be scored beside what is written."""
        return {}

    def gold(self, example: Any) -> list[str] | None:
        return None if example.references is None else list(example.references)

    def measure(
        self, names: Sequence[str], labels: ClassNames, gold: Any, predicted: Any
    ) -> dict[str, float]:
        same = float(len({*predicted}) == 1 < len(predicted))
        return super().measure(names, labels, gold, predicted) | {"collapsed": same}

    def losses(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """The loss of the target with true perplexity, if all targets are known."""
        if not predictions or not all("nats" in prediction for prediction in predictions):
            return {}
        tokens = sum(prediction["target_tokens"] for prediction in predictions)
        mean = sum(prediction["nats"] for prediction in predictions) / max(tokens, 1)
        return {"loss_of_target": mean, "perplexity": math.exp(min(mean, 700))}

    # Texts for people

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        return {
            "written": prediction["prediction"],
            "log_probability": prediction["log_probability"],
        }

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        yield f"  {description['written']}"
