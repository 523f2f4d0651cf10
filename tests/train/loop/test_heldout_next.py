"""Held-out metrics of decoders, beside numpy."""

import numpy as np
import pytest
from scipy.special import log_softmax

from data.sequences import Sequences
from data.vocabulary import SpecialIds
from model.decoder.causal_lm import CausalLM
from tests import tiny
from tests.small import build, call
from train.loop.heldout_next import HeldOutNext
from train.update.step import split

SPECIAL = SpecialIds(0, 1, 2, 3, 4)
LENGTHS = (7, 16, 4)


@pytest.mark.long
def test_metrics_are_means_over_the_tokens_of_the_text():
    random = np.random.default_rng(0)
    counts = random.integers(0, 20, tiny.VOCAB)
    texts = [np.array([2, *random.integers(5, tiny.VOCAB, n - 2), 3], np.uint16) for n in LENGTHS]
    texts[1][5] = SPECIAL.unk
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    sequences = Sequences(np.concatenate(texts), offsets, counts, tiny.LENGTH, "", {})
    models = build(CausalLM, tiny.TEACHER.replace(num_layers=1)), build(CausalLM, tiny.TEACHER)
    (student, params), (teacher, teacher_params) = map(split, models)
    heldout = HeldOutNext(sequences, counts, SPECIAL, rows=2)
    found = heldout.evaluator(student, teacher)(params, teacher_params)

    unigram = np.where(np.arange(tiny.VOCAB) < 5, 0, counts + 1.0)
    with np.errstate(divide="ignore"):
        unigram = np.log(unigram / unigram.sum())
    losses, floors, kl, right = [], [], [], []
    for text in texts:
        ids = text[None].astype(np.int32)
        ours, theirs = (
            log_softmax(np.asarray(call(model, ids).logits, np.float64)[0], -1) for model in models
        )
        for place, token in enumerate(text[1:-1]):
            if token != SPECIAL.unk:
                losses.append(-ours[place, token])
                floors.append(-unigram[token])
                kl.append(np.sum(np.exp(theirs[place]) * (theirs[place] - ours[place])))
                right.append(ours[place].argmax() == token)
    expected = {
        "next_token_loss": np.mean(losses),
        "unigram_loss": np.mean(floors),
        "kl_to_teacher": np.mean(kl),
        "next_token_accuracy": np.mean(right),
        "perplexity": np.exp(np.mean(losses)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
