"""The number of updates of a recipe, from sizes that are given with it."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from data.cutting import Lines
from data.tokenise import Encoded, Piece
from data.vocabulary import SpecialIds
from train.planning.run_length import EXAMPLES, PIECES, TEXTS, TOKENS, run_length
from train.recipes import DISTILL, FINETUNE, PRETRAIN


def test_every_recipe_of_published_data_has_a_length():
    for recipe in [*PRETRAIN.values(), *DISTILL.values()]:
        config = recipe()
        known = config.steps is not None or all(
            name.partition("@")[0] in TOKENS for name in config.data.corpus
        )
        assert (run_length(config, None, None).updates is not None) == known
    for name in EXAMPLES:
        assert run_length(FINETUNE[name](), None, 128).updates is not None


def test_the_updates_of_distilbert_are_those_of_its_docstring():
    recipe = DISTILL["distilbert-base-uncased"]()
    lines = run_length(recipe, None, None)
    assert lines.updates == 45_083  # about 45,000
    assert lines.tokens_a_sequence == 507
    assert "62,087,946 texts, several a sequence" in lines.because
    packed = run_length(replace(recipe, data=replace(recipe.data, mode="packed")), None, None)
    assert packed.updates == 45_104
    assert packed.tokens_a_sequence == 512
    alone = replace(recipe, data=replace(recipe.data, pack_lines=False), batch_size=4096)
    padded = run_length(alone, None, None)
    assert padded.updates == 45_475
    assert padded.tokens_a_sequence == 80
    assert "62,087,946 sequences, from 5.03 B tokens" in padded.because
    assumed = run_length(alone, None, 128)
    assert assumed.updates == 28_782  # 5.03 B tokens, three times, by 4096 x 128
    assert assumed.tokens_a_sequence == 128


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("distilbert-base-uncased", 4096),
        ("distilbert-base-cased", 4096),
        ("wikitext-103", 240),
    ],
)
def test_an_update_has_the_tokens_of_as_many_texts_as_before_they_shared_sequences(name, texts):
    recipe = DISTILL[name]()
    alone = replace(recipe.data, pack_lines=False)
    # WikiText-2's lines have 125 tokens on average (measured).
    lengths = 125 if name == "wikitext-103" else None
    mean = run_length(replace(recipe, data=alone), None, lengths).tokens_a_sequence
    shared = run_length(recipe, None, lengths).tokens_a_sequence
    assert recipe.batch_size * shared == pytest.approx(texts * mean, rel=0.02)


@pytest.mark.parametrize("corpus", TEXTS)
def test_rows_make_as_many_sequences_as_the_cutting_of_rows_of_such_lengths(corpus):
    """The quantiles of the lengths as rows, cut by the code that cuts a corpus."""
    texts, rows = TEXTS[corpus], 10_000
    normal = np.array([NormalDist().inv_cdf((place + 0.5) / rows) for place in range(rows)])
    words = texts.median * np.exp(np.sqrt(2 * np.log(texts.mean / texts.median)) * normal)
    assert np.mean(words) == pytest.approx(texts.mean, rel=5e-3)
    cutter = Lines(SpecialIds(pad=0, unk=1, cls=2, sep=3, mask=4), 512, vocab_size=6)
    cut = cutter.add(
        [
            Encoded(Piece("", f"{number}", True), np.full(round(PIECES * count), 5, np.uint32))
            for number, count in enumerate(words)
        ]
    )
    sequences, tokens = texts.lines(512)
    assert sequences / texts.rows == pytest.approx(len(cut.lengths) / rows, rel=5e-3)
    assert tokens / sequences == pytest.approx(np.mean(cut.lengths), rel=5e-3)


def test_a_number_of_sequences_counts_more_and_steps_most():
    recipe = FINETUNE["sst2"]()
    assert run_length(recipe, None, 128).updates == 3 * 2105  # 67,349 sentences by 32
    assert run_length(recipe, 320, 128).updates == 30
    assert run_length(replace(recipe, steps=7), 320, 128).updates == 7
    own = run_length(FINETUNE["classification"](), None, 128)
    assert own.updates is None
    assert "--sequences" in own.because
