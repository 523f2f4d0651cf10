"""Floating-point operations of an update by formula, from the shapes alone.

Two for every multiply-add of a matrix product, and nothing for anything else; the backward pass
takes two products for each of the forward pass (Kaplan et al. 2020, 2001.08361, section 2.1, and,
with attention's products, Narayanan et al. 2021, 2104.04473, appendix). These are *model* FLOPs, as
Chowdhery et al. 2022 (2204.02311, appendix B) count them: what is computed a second time to save
memory counts once, and padding not at all.
"""

import math

from model.config import EncoderConfig


def encoder(config: EncoderConfig, rows: int, length: int) -> int:
    """The layers, forward: of `rows` sequences of `length` tokens."""
    width = config.hidden_size
    projections = 4 * 2 * width * width  # query, key, value and output
    attention = 2 * 2 * length * width  # scores and the weighted mean, over all heads
    feed_forward = 2 * 2 * width * config.intermediate_size
    return config.num_layers * rows * length * (projections + attention + feed_forward)


def vocabulary_head(config: EncoderConfig, positions: int) -> int:
    """The masked-LM head, forward: a dense layer and the product with the embedding table."""
    return positions * 2 * config.hidden_size * (config.hidden_size + config.vocab_size)


def pretraining(config: EncoderConfig, rows: int, length: int, share: float = 0.15) -> int:
    """An update of masked LM: only the `share` of tokens that is predicted needs the vocabulary."""
    predicted = math.ceil(share * rows * length)
    return 3 * (encoder(config, rows, length) + vocabulary_head(config, predicted))


def distillation(teacher: EncoderConfig, student: EncoderConfig, rows: int, length: int) -> int:
    """An update of a student whose KL asks both models about every token; the teacher reads."""
    read, learned = (
        encoder(config, rows, length) + vocabulary_head(config, rows * length)
        for config in (teacher, student)
    )
    return read + 3 * learned


def classification(config: EncoderConfig, lengths: list[int]) -> int:
    """Updates of a classifier on texts of these lengths, each counted without its padding."""
    head = 2 * config.hidden_size * (config.hidden_size + config.num_labels)
    return 3 * sum(encoder(config, 1, length) + head for length in lengths)
