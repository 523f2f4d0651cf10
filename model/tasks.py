"""Models to train and load: an encoder and a head, for BERT and DistilBERT alike.

`MaskedLM(bert_base(), rngs=...)` is transformers' BertForMaskedLM, and with `distilbert_base()` its
DistilBertForMaskedLM, and so on. All are called as `Backbone` is.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int

from model.backbone import Backbone
from model.bert import Bert
from model.blocks.windows import WindowEncoder, mean_where
from model.config import EncoderConfig
from model.distilbert import DistilBert
from model.heads import Classifier, Decoder, MaskedLMHead, PreClassifier
from model.output import ModelOutput, Names

Pooling = Literal["mean", "cls"]


def backbone(config: EncoderConfig, *, pooler: bool = False, rngs: nnx.Rngs) -> Backbone:
    """The encoder of type `config.architecture`; only BERT can have a pooler."""
    if config.architecture == "distilbert":
        return DistilBert(config, rngs=rngs)
    return Bert(config, pooler=pooler, rngs=rngs)


def read_batch(
    model: nnx.Module, batch: Mapping[str, Array], *, rngs: nnx.Rngs | None = None
) -> ModelOutput:
    """The output of a model for a batch; token types are passed only if the model has them."""
    arrays = [batch["input_ids"], batch["attention_mask"]]
    config: EncoderConfig = model.config  # type: ignore[attr-defined]
    if config.type_vocab_size:
        arrays.append(batch["token_type_ids"])
    return model(*arrays, rngs=rngs)  # type: ignore[operator]


class LanguageModel(nnx.Module):
    """Scores of all tokens of the vocabulary at every place of a text."""

    def __init__(self, backbone: Backbone, *, rngs: nnx.Rngs):
        self.config = backbone.config
        self.backbone = backbone
        self.head = MaskedLMHead(backbone.config, rngs=rngs)

    def __call__(self, *args, **kwargs) -> ModelOutput:
        output = self.backbone(*args, **kwargs)
        return replace(output, logits=self.predict_tokens(output.last_hidden))

    def decoder(self, hidden: Float[Array, "*batch hidden"]) -> Decoder:
        """The factors of the logits of any hidden states; a loss then need not store all logits."""
        return self.head(hidden, self.backbone.embeddings.word.embedding[...])

    def predict_tokens(self, hidden: Float[Array, "*batch hidden"]) -> Float[Array, "*batch vocab"]:
        """Logits for any hidden states, such as those at the masked positions only."""
        return self.decoder(hidden).scores()


class MaskedLM(LanguageModel):
    """Masked-token prediction, with which teacher and student are pretrained."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, pooler: bool = False):
        super().__init__(backbone(config, pooler=pooler, rngs=rngs), rngs=rngs)


class PreTraining(MaskedLM):
    """BERT's two original objectives: masked LM, and next sentence from the pooled [CLS]."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        super().__init__(config, rngs=rngs, pooler=True)
        self.next_sentence = Classifier(config, 2, 0.0, rngs=rngs)

    def __call__(self, *args, **kwargs) -> ModelOutput:
        output = super().__call__(*args, **kwargs)
        assert output.pooled is not None
        return replace(output, next_sentence_logits=self.next_sentence(output.pooled))


class NextSentence(nnx.Module):
    """Prediction whether the second segment follows the first. DistilBERT dropped the objective."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.backbone = Bert(config, rngs=rngs)
        self.next_sentence = Classifier(config, 2, 0.0, rngs=rngs)

    def __call__(self, *args, **kwargs) -> ModelOutput:
        output = self.backbone(*args, **kwargs)
        assert output.pooled is not None
        return replace(output, next_sentence_logits=self.next_sentence(output.pooled))


class SequenceClassification(nnx.Module):
    """Scores of classes or labels, or values, for a text: `config.problem` says which.

    From BERT's pooler or DistilBERT's pre-classifier.
    """

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs, labels: int | None = None):
        self.config = config
        self.backbone = backbone(config, pooler=True, rngs=rngs)
        distil = config.architecture == "distilbert"
        self.pre_classifier = PreClassifier(config, rngs=rngs) if distil else None
        self.classifier = Classifier(
            config, labels or config.num_labels, config.classifier_dropout, rngs=rngs
        )

    def __call__(self, *args, rngs: nnx.Rngs | None = None, **kwargs) -> ModelOutput:
        output = self.backbone(*args, rngs=rngs, **kwargs)
        pool = self.pre_classifier
        pooled = output.pooled if pool is None else pool(output.last_hidden)
        assert pooled is not None
        return replace(output, logits=self.classifier(pooled, rngs=rngs))


class MultipleChoice(SequenceClassification):
    """One score for each choice, each read as a separate text."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        super().__init__(config, labels=1, rngs=rngs)

    def __call__(
        self,
        input_ids: Int[Array, "batch choices length"],
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        *,
        outputs: Names = (),
        rngs: nnx.Rngs | None = None,
    ) -> ModelOutput:
        """All outputs but the logits ([batch, choices]) have batch and choices in one axis."""
        flat = [
            None if array is None else array.reshape(-1, array.shape[-1])
            for array in (input_ids, attention_mask, token_type_ids)
        ]
        output = super().__call__(*flat, outputs=outputs, rngs=rngs)
        assert output.logits is not None
        return replace(output, logits=output.logits.reshape(input_ids.shape[:2]))


class TokenClassification(nnx.Module):
    """A label for every token, such as entity tags."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.backbone = backbone(config, rngs=rngs)
        # DistilBERT's classifier dropout is for sequences; its tagger uses the encoder's rate.
        bert = config.architecture == "bert"
        rate = config.classifier_dropout if bert else config.hidden_dropout
        self.classifier = Classifier(config, config.num_labels, rate, rngs=rngs)

    def __call__(self, *args, rngs: nnx.Rngs | None = None, **kwargs) -> ModelOutput:
        output = self.backbone(*args, rngs=rngs, **kwargs)
        return replace(output, logits=self.classifier(output.last_hidden, rngs=rngs))


class QuestionAnswering(nnx.Module):
    """Start and end of an answer. DistilBERT has dropout (0.1) before this head, BERT has none."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.backbone = backbone(config, rngs=rngs)
        rate = 0.1 if config.architecture == "distilbert" else 0.0
        self.spans = Classifier(config, 2, rate, rngs=rngs)

    def __call__(self, *args, rngs: nnx.Rngs | None = None, **kwargs) -> ModelOutput:
        output = self.backbone(*args, rngs=rngs, **kwargs)
        logits = self.spans(output.last_hidden, rngs=rngs)
        return replace(output, start_logits=logits[..., 0], end_logits=logits[..., 1])


class DocumentClassification(nnx.Module):
    """Scores of classes for a document that is read in windows, by all of them together.

    The encoder makes a vector of each window, the mean of its hidden states, and a small encoder
    reads these vectors (Pappagari et al. 2019). transformers has no such model.
    """

    def __init__(self, config: EncoderConfig, *, windows: int = 8, layers: int = 2, rngs: nnx.Rngs):
        self.config = config
        self.backbone = backbone(config, rngs=rngs)
        self.windows = WindowEncoder(config, windows, layers, rngs=rngs)
        rate = config.classifier_dropout
        self.classifier = Classifier(config, config.num_labels, rate, rngs=rngs)

    def __call__(
        self,
        input_ids: Int[Array, "batch windows length"],
        attention_mask: Bool[Array, "batch windows length"],
        token_type_ids: Int[Array, "batch windows length"] | None = None,
        *,
        rngs: nnx.Rngs | None = None,
    ) -> ModelOutput:
        """All outputs but the logits ([batch, labels]) have batch and windows in one axis."""
        rows, windows, length = input_ids.shape
        given = [a for a in (input_ids, attention_mask, token_type_ids) if a is not None]
        flat = [array.reshape(rows * windows, length) for array in given]
        output = self.backbone(*flat, rngs=rngs)
        vectors = mean_where(output.last_hidden, flat[1]).reshape(rows, windows, -1)
        document = self.windows(vectors, jnp.any(attention_mask, axis=-1), rngs=rngs)
        return replace(output, logits=self.classifier(document, rngs=rngs))


class Embedder(nnx.Module):
    """One vector for a text, to compare texts by: an encoder and no parameters beside it.

    As in Sentence-BERT (Reimers and Gurevych 2019): with vectors of length 1 the dot product of two
    is their cosine.

    Args:
        backbone: the encoder; its pooler, if it has one, is not used.
        pooling: the mean of the hidden states of all tokens, [CLS] and [SEP] included, or that of
            [CLS].
        normalised: whether vectors get the length 1.
        max_length: tokens of a text, [CLS] and [SEP] included, behind which it is cut; None: as
            many as the encoder has positions.
        prompts: beginnings of texts by name, such as ("query", "query: "), with which the model was
            trained; `tasks.embeddings.embed` then asks which one to use.
        default_prompt: the name of the one that is put before a text if nobody says which.
    """

    def __init__(
        self,
        backbone: Backbone,
        pooling: Pooling = "mean",
        normalised: bool = True,
        *,
        max_length: int | None = None,
        prompts: tuple[tuple[str, str], ...] = (),
        default_prompt: str | None = None,
    ):
        self.config = backbone.config
        self.backbone = backbone
        self.pooling: Pooling = pooling
        self.normalised = normalised
        self.max_length = max_length
        self.prompts = prompts
        self.default_prompt = default_prompt

    def __call__(
        self, input_ids: Array, attention_mask: Array | None = None, *args, **kwargs
    ) -> ModelOutput:
        output = self.backbone(input_ids, attention_mask, *args, **kwargs)
        mask = jnp.ones_like(input_ids) if attention_mask is None else attention_mask
        return replace(output, embedding=self.pool(output.last_hidden, mask.astype(bool)))

    def pool(
        self, hidden: Float[Array, "batch length hidden"], mask: Bool[Array, "batch length"]
    ) -> Float32[Array, "batch hidden"]:
        """The vectors of hidden states, in float32; 0 where all of `mask` is false."""
        hidden = hidden.astype(jnp.float32)
        vectors = hidden[:, 0] if self.pooling == "cls" else mean_where(hidden, mask)
        if not self.normalised:
            return vectors
        # Of squares and not of norms, whose derivative at 0 is not a number.
        squares = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
        return vectors / jnp.sqrt(jnp.maximum(squares, 1e-24))
