"""Settings of the measurements of `eval.speed`; what they measure is imported when needed."""

import importlib.util
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from data.extras import library
from eval.timing.device import Device, check_torch
from eval.timing.measurement import Measurement, check_lengths
from model.config import EncoderConfig, bert_base, distilbert_base, tiny_bert, tiny_distilbert
from model.decoder.settings import Beams
from model.errors import InputError
from model.ranges import Count, Dropout, Length, Range, Rows

Loop = Literal["pretrain", "distill", "finetune"]
Size = Literal["base", "tiny"]
PredictionSize = Literal["minilm", "base", "tiny"]
SIZES: dict[Size, tuple[EncoderConfig, EncoderConfig]] = {
    "base": (bert_base(), distilbert_base()),
    "tiny": (tiny_bert(), tiny_distilbert()),
}
"""A BERT and a DistilBERT of half its layers."""
PREDICTION_SIZES: dict[PredictionSize, EncoderConfig] = {
    "minilm": bert_base().replace(hidden_size=384, num_layers=6, intermediate_size=1536),
    "base": distilbert_base(),
    "tiny": tiny_distilbert(),
}
"""Encoders that are asked about texts; the first has the shape of MiniLM-L6 (all-MiniLM-L6-v2)."""


@dataclass(frozen=True, kw_only=True)
class Speed(Measurement):
    """Settings that every measurement of speed has."""

    repeats: Count = 5
    """Timed runs of each, after one more run that is not timed."""


@dataclass(frozen=True, kw_only=True)
class ReadingSpeed(Speed):
    """Sentences that BERT and DistilBERT read in a second, beside the paper's ratio."""

    batch_size: tuple[Rows, ...] = (1, 8, 32)
    """Sentences at a time."""
    sequence_length: tuple[Length, ...] = ()
    """Tokens in a sentence, all of them attended; by default 128 and, at the size base, 512."""
    size: Size = "base"
    """BERT-base and DistilBERT-base, or the pair of the tiny recipes."""
    pair: tuple[str, str] | None = None
    """A teacher and its student, folders or hub names, instead of models of that size."""
    device: Device | None = None
    """Where; by default where JAX computes on this machine."""
    against: tuple[Literal["torch", "onnxruntime"], ...] = ()
    """Who else reads alternately with ours, on the CPU. `torch`: Hugging Face's models;
    `onnxruntime`: what eval.export writes of ours, in float32 and in 8 bits."""

    def check(self) -> None:
        super().check()
        if self.pair is None:
            check_lengths(self.sequence_length, SIZES[self.size][0].max_positions)
        if "torch" in self.against:
            check_torch("--against torch")
        if "onnxruntime" in self.against:
            for name in ("onnx", "onnxruntime"):
                library(name, "onnx", "--against onnxruntime")


@dataclass(frozen=True, kw_only=True)
class PredictionSpeed(Speed):
    """Texts that eval.predict classifies, one in a call and 32 in a call."""

    texts: Count = 100
    """Texts, of 5 to 32 tokens."""
    size: PredictionSize = "minilm"
    """A BERT of 6 layers, 384 wide, as MiniLM-L6; DistilBERT-base, or that of the tiny recipes."""
    device: Device | None = None
    """Where; by default where JAX computes on this machine."""
    against: Literal["torch"] | None = None
    """`torch`: transformers' pipeline is asked alternately with ours, on the CPU."""

    def check(self) -> None:
        super().check()
        if self.against:
            check_torch("--against torch")


@dataclass(frozen=True, kw_only=True)
class UpdateSpeed(Speed):
    """Whole updates of pretraining and distillation, and epochs of fine-tuning."""

    loops: tuple[Loop, ...] = get_args(Loop)
    """Loops to measure."""
    batch_size: tuple[Rows, ...] = ()
    """Sequences of an update of pretraining and distillation; by default 8 on a CPU, and elsewhere
    the most that fit, up to 256."""
    sequence_length: tuple[Length, ...] = ()
    """Tokens in these sequences; by default 128 and, where it is no CPU, 512."""
    texts: Rows = 2048
    """Texts of an epoch of fine-tuning. Among few of them torch finds fewer of like length for a
    batch, and pads more than in a whole epoch of SST-2."""
    size: Size = "base"
    """BERT-base and DistilBERT-base, or the pair of the tiny recipes."""
    device: Device | None = None
    """Where; by default where JAX computes on this machine."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type that our models compute in; auto: bfloat16, and float32 on a CPU."""
    attention_dropout: Dropout | None = None
    """Measure with this dropout of attention too, beside the models' own (0.1). With 0 a GPU can
    use cuDNN's attention."""
    against: Literal["torch"] | None = None
    """`torch`: Hugging Face's models make the same updates, on a CPU alternately with ours."""
    minutes: Annotated[float, Range(0, 10_000, above=True)] | None = None
    """Begin no comparison that would end later, as long as the longest so far takes; what is left
    out is named. The first is always made."""

    def check(self) -> None:
        super().check()
        check_lengths(self.sequence_length, SIZES[self.size][0].max_positions)
        if "finetune" in self.loops and importlib.util.find_spec("grain") is None:
            raise InputError(
                "--loops finetune needs grain, which is not installed: pip install grain, or give "
                "--loops pretrain distill"
            )
        if self.against:
            check_torch("--against torch")


@dataclass(frozen=True, kw_only=True)
class StudySpeed(Speed):
    """The students of a study trained together, against each of them alone."""

    size: Size = "tiny"
    """BERT-base and DistilBERT-base, or the pair of the tiny recipes."""
    batch_size: Rows | None = None
    """Sequences an update; by default 16 of 64 tokens, or 8 of 128 for `base`."""
    sequence_length: Length | None = None
    """Tokens in a sequence."""
    commands: bool = False
    """Time whole commands at the tiny size instead, once: from start to exit."""
    steps: Count = 200
    """Updates of each command."""

    def check(self) -> None:
        super().check()
        if self.sequence_length is not None:
            check_lengths([self.sequence_length], SIZES[self.size][0].max_positions)


@dataclass(frozen=True, kw_only=True)
class VocabularySpeed(Speed):
    """Memory and time of the losses over the vocabulary, in chunks and with all scores at once."""

    step: bool = False
    """The whole update of distillation, BERT-base and DistilBERT-base; memory only."""
    batch_size: tuple[Rows, ...] = (8,)
    """Sequences on each device."""
    sequence_length: Length = 128
    """Tokens in a sequence."""
    topology: str | None = None
    """TPUs to compile for, such as v5e:2x4, in bfloat16; by default this machine, in float32."""

    def check(self) -> None:
        super().check()
        check_lengths([self.sequence_length], bert_base().max_positions)


@dataclass(frozen=True, kw_only=True)
class SearchSpeed(Speed):
    """Time and memory of exact search in random vectors."""

    documents: tuple[Count, ...] = (100_000, 1_000_000)
    """Vectors to search in."""
    width: Rows = 384
    """Numbers in a vector; MiniLM has 384, BERT-base 768."""
    vectors: Literal["float32", "float16"] = "float32"
    """Their type on the disk."""
    queries: tuple[Rows, ...] = (1, 128)
    """Queries at a time."""
    top: Count = 10
    """Documents to find for each."""
    device: Device | None = None
    """Where; by default where JAX computes on this machine."""

    def check(self) -> None:
        super().check()
        if self.top > min(self.documents):
            raise InputError(f"--top is {self.top}: --documents {min(self.documents)} are fewer")


@dataclass(frozen=True, kw_only=True)
class GenerationSpeed(Speed):
    """Tokens a second that a decoder writes, greedily and by beams, and the memory for that."""

    model: str | None = None
    """A folder or hub name of an encoder with a decoder, or of a decoder alone; by default one of
    random weights."""
    size: Size = "base"
    """Without --model: DistilBERT-base and a decoder of as many layers of BERT-base, or both of the
    tiny recipes."""
    beams: tuple[Beams, ...] = (1, 4)
    """Texts searched side by side for each that is written; 1: greedily."""
    batch_size: tuple[Rows, ...] = (1, 8, 32)
    """Texts written at a time."""
    source_length: Length = 64
    """Tokens of the text that is read before, if the model has an encoder."""
    new_tokens: Length = 64
    """Tokens of every text that is written: none ends before."""
    device: Device | None = None
    """Where; by default where JAX computes on this machine."""
    against: Literal["torch"] | None = None
    """`torch`: transformers' generate writes alternately with ours, on the CPU."""

    def check(self) -> None:
        super().check()
        if self.model is None:
            positions = SIZES[self.size][0].max_positions
            for flag, length in {
                "--source-length": self.source_length,
                "--new-tokens": self.new_tokens,
            }.items():
                if length > positions:
                    raise InputError(
                        f"{flag} is {length}: models of the size {self.size} have {positions} "
                        "positions"
                    )
        if self.against:
            check_torch("--against torch")


@dataclass(frozen=True, kw_only=True)
class ServingSpeed(Speed):
    """Requests of many clients to eval.serve at once, on the same machine, for vectors of texts."""

    model: str | None = None
    """A folder or hub name of an embedder; by default one of random weights."""
    size: PredictionSize = "minilm"
    """Without --model: a BERT of 6 layers, 384 wide, as MiniLM-L6; DistilBERT-base, or that of the
    tiny recipes."""
    clients: Annotated[int, Range(1, 10_000)] = 64
    """Clients, each of which sends a text, and the next when it has the answer."""
    seconds: Annotated[float, Range(0, 86_400, above=True)] = 12.0
    """Of each run."""
    tokens: Annotated[int, Range(3, 512)] = 32
    """Tokens of a text."""
