"""The operations that the cases count, against the formula for a Transformer."""

import pytest

from eval.timing.finetuning import FinetuneCase
from eval.timing.updates import TextCase
from model.config import EncoderConfig, bert_base
from tests import transformer_flops as formula

BERT = EncoderConfig(
    vocab_size=90,
    hidden_size=24,
    num_layers=3,
    num_heads=3,
    intermediate_size=40,
    max_positions=32,
)
DISTILBERT = BERT.distilled(2)
ROWS, LENGTH = 8, 20


@pytest.mark.long
@pytest.mark.parametrize("loop", ["pretrain", "distill"])
def test_an_update_is_every_product_of_forward_and_backward(loop):
    case = TextCase(loop, BERT, DISTILBERT, rows=ROWS, length=LENGTH, on="cpu")
    expected = {
        "pretrain": formula.pretraining(BERT, ROWS, LENGTH),
        "distill": formula.distillation(BERT, DISTILBERT, ROWS, LENGTH),
    }
    assert case.flops == expected[loop]


@pytest.mark.long
def test_an_epoch_is_every_product_on_texts_without_padding():
    case = FinetuneCase(DISTILBERT, rows=4, texts=50, on="cpu")
    lengths = case.windows.lengths.tolist()
    assert len(set(lengths)) > 10
    assert case.flops == formula.classification(DISTILBERT, lengths)


def test_six_times_parameters_times_tokens_is_near():
    """The usual rule of thumb, for the layers' 85 M parameters."""
    matrices = 12 * (4 * 768**2 + 2 * 768 * 3072)
    layers = formula.encoder(bert_base(), 1, 128)
    assert layers * 3 == pytest.approx(6 * matrices * 128, rel=0.03)
