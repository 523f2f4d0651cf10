"""BERT and DistilBERT in Flax NNX: the architecture and nothing else."""

from model.bert import Bert
from model.config import (
    EncoderConfig,
    bert_base,
    bert_large,
    distilbert_base,
    tiny_bert,
    tiny_distilbert,
)
from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.distilbert import DistilBert
from model.errors import InputError
from model.output import ModelOutput
from model.tasks import (
    DocumentClassification,
    Embedder,
    MaskedLM,
    MultipleChoice,
    NextSentence,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
