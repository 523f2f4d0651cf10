"""One configuration for both models: each difference of BERT and DistilBERT is a field."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from model.errors import InputError
from model.ranges import Dropout, Length, Range, check_settings

Architecture = Literal["bert", "distilbert"]
DType = Literal["float32", "bfloat16"]
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
Width = Annotated[int, Range(1, 16384)]
InnerWidth = Annotated[int, Range(1, 65536)]
"""Width inside a feed-forward."""
Depth = Annotated[int, Range(1, 256)]
"""Number of layers."""
Heads = Annotated[int, Range(1, 1024)]


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder. The defaults are those of BERT-base (Devlin et al. 2019, section 3).

    Raises:
        InputError: a number is out of its range, `num_heads` does not divide `hidden_size`, or two
            classes have one name.
    """

    architecture: Architecture = "bert"
    vocab_size: Annotated[int, Range(1, 10**7)] = 30522
    hidden_size: Width = 768
    num_layers: Depth = 12
    num_heads: Heads = 12
    intermediate_size: InnerWidth = 3072
    max_positions: Length = 512
    type_vocab_size: Annotated[int, Range(0, 1000)] = 2
    """Segment types; 0 for DistilBERT, which has no token-type embeddings."""
    hidden_dropout: Dropout = 0.1
    attention_dropout: Dropout = 0.1
    classifier_dropout: Dropout = 0.1
    """Dropout before a classifier: 0.1 in BERT, 0.2 in DistilBERT (not for token classes)."""
    initializer_range: Annotated[float, Range(0, 10)] = 0.02
    layer_norm_eps: Annotated[float, Range(1e-30, 1)] = 1e-12
    pad_token_id: Annotated[int, Range(0, 10**7)] = 0
    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    """Names of the outputs of a classification head, in the order of their indices."""
    problem_type: ProblemType | None = None
    """The task of a head on texts, as transformers calls it: one class, any number of labels, or
    values; None: a value where there is one output, and otherwise one class."""
    unanswerable: bool | None = None
    """Of a question answerer: whether some training questions had no answer; None: not known."""
    summary_sentences: Annotated[int, Range(1, 1000)] | None = None
    """Of an extractive summariser, which scores a sentence by the mean of its tokens' logits: the
    sentences of a summary, at most; None: it is none."""
    dtype: DType = "float32"
    """The dtype of activations. Parameters, LayerNorm, softmax and logits stay float32."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="", texts=False)  # the classes are of the data
        if self.hidden_size % self.num_heads:
            raise InputError(
                f"num_heads {self.num_heads} does not divide hidden_size {self.hidden_size}"
            )

        if len({*self.labels}) < self.num_labels:
            [(twice, _)] = Counter(self.labels).most_common(1)
            raise InputError(f"two classes are called {twice!r}: give each a name of its own")

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def attention_output_dropout(self) -> float:
        """Dropout between attention and its residual, which only BERT has."""
        return self.hidden_dropout if self.architecture == "bert" else 0.0

    @property
    def num_labels(self) -> int:
        return len(self.labels)

    @property
    def problem(self) -> ProblemType:
        """The `problem_type`, also where it is not given."""
        default = "regression" if self.num_labels == 1 else "single_label_classification"
        return self.problem_type or default

    def replace(self, **changes: Any) -> "EncoderConfig":
        return replace(self, **changes)

    def distilled(self, num_layers: int = 6) -> "EncoderConfig":
        """The DistilBERT of this BERT: fewer layers, no token types (Sanh et al. 2019, sec. 3)."""
        return self.replace(
            architecture="distilbert",
            num_layers=num_layers,
            type_vocab_size=0,
            classifier_dropout=0.2,
        )


def bert_base() -> EncoderConfig:
    """bert-base-uncased: 12 layers, 768 wide, 110M parameters."""
    return EncoderConfig()


def bert_large() -> EncoderConfig:
    """bert-large-uncased: 24 layers, 1024 wide, 340M parameters."""
    return EncoderConfig(num_layers=24, hidden_size=1024, num_heads=16, intermediate_size=4096)


def distilbert_base() -> EncoderConfig:
    """distilbert-base-uncased: 6 layers, 768 wide, 66M parameters."""
    return bert_base().distilled()


def tiny_bert() -> EncoderConfig:
    """The shipped teacher: BERT's 12 layers, 128 wide, an 8k vocabulary.

    A narrow model needs a wider initialisation than N(0, 0.02): with 0.02 the loss stays at the
    unigram level for hundreds of steps. There is no dropout, because the text is too little for it
    to help.
    """
    return EncoderConfig(
        vocab_size=8192,
        hidden_size=128,
        num_heads=2,
        intermediate_size=512,
        max_positions=128,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        initializer_range=0.08,
    )


def tiny_distilbert() -> EncoderConfig:
    """The student of the shipped teacher."""
    return tiny_bert().distilled()


CASED, MULTILINGUAL = 28996, 119547
"""Sizes of the vocabularies that are not lowercased."""
HUB_CONFIGS: dict[str, EncoderConfig] = {
    "google-bert/bert-base-uncased": bert_base(),
    "google-bert/bert-base-cased": bert_base().replace(vocab_size=CASED),
    "google-bert/bert-base-multilingual-cased": bert_base().replace(vocab_size=MULTILINGUAL),
    "google-bert/bert-large-uncased": bert_large(),
    "google-bert/bert-large-cased": bert_large().replace(vocab_size=CASED),
    "distilbert/distilbert-base-uncased": distilbert_base(),
    "distilbert/distilbert-base-cased": distilbert_base().replace(vocab_size=CASED),
    "distilbert/distilbert-base-multilingual-cased": distilbert_base().replace(
        vocab_size=MULTILINGUAL
    ),
}
"""Configurations of models on the hub, by name, for code that needs no weights."""
