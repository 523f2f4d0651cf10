"""BERT and DistilBERT in Flax NNX: the architecture and nothing else."""

from model.bert import Bert
from model.config import (
    EncoderConfig,
    bert_base,
    bert_base_cased,
    bert_base_multilingual_cased,
    bert_large,
    bert_large_cased,
    distilbert_base,
    distilbert_base_cased,
    distilbert_base_multilingual_cased,
    tiny_bert,
    tiny_distilbert,
)
from model.distilbert import DistilBert
from model.errors import InputError
from model.output import ModelOutput
from model.tasks import (
    MaskedLM,
    MultipleChoice,
    NextSentence,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)

__all__ = [
    "Bert",
    "DistilBert",
    "EncoderConfig",
    "InputError",
    "MaskedLM",
    "ModelOutput",
    "MultipleChoice",
    "NextSentence",
    "PreTraining",
    "QuestionAnswering",
    "SequenceClassification",
    "TokenClassification",
    "bert_base",
    "bert_base_cased",
    "bert_base_multilingual_cased",
    "bert_large",
    "bert_large_cased",
    "distilbert_base",
    "distilbert_base_cased",
    "distilbert_base_multilingual_cased",
    "tiny_bert",
    "tiny_distilbert",
]
