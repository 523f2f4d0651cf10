"""Perplexities beside loops over transformers' models, a token at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest

from data.corpora.open import open_corpus
from data.tokenizer import load_vocabulary
from eval.likelihood.texts import reading_windows, tokenise_text
from eval.perplexity import PerplexityEvaluation, evaluate_perplexity
from model.decoder.causal_lm import CausalLM
from tests import runs

pytestmark = pytest.mark.oracle
LENGTH = 12


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    runs.write_teacher(folder / "decoder", kind=CausalLM)
    # Words of several pieces, which the vocabulary has not learned as one, and long lines.
    lines = ["the catdog sees birdtree", " ".join(runs.WORDS), "oldgreen and smallred dogs"]
    (folder / "words.txt").write_text("\n".join(lines) + "\n")
    return folder


def evaluate(home, model, **changes):
    data = replace(
        runs.data_config(home),
        tokenizer=None,
        heldout=(str(home / "words.txt"),),
        sequence_length=LENGTH,
    )
    config = PerplexityEvaluation(model=str(home / model), data=data, batch_size=5, **changes)
    vocabulary = load_vocabulary(home / model)
    texts = [tokenise_text(text, vocabulary) for text in open_corpus(data).texts("heldout")]
    windows = [*reading_windows(texts, vocabulary.special, LENGTH)]
    assert len(windows) > len(texts) and any(np.diff(text.words).min() == 0 for text in texts)
    return evaluate_perplexity(config)["model"], windows, vocabulary.special


@pytest.mark.parametrize("mask", ["token", "word"])
def test_pseudo_perplexity(home, mask):
    import torch
    from transformers import BertForMaskedLM

    found, windows, special = evaluate(home, "teacher", mask=mask)
    model = BertForMaskedLM.from_pretrained(home / "teacher").eval()
    scores = []
    for window in windows:
        for at in np.flatnonzero(window.counted):
            ids = window.ids.copy()
            hidden = [at]
            if mask == "word":
                hidden = [p for p in range(at, len(ids)) if window.words[p] == window.words[at]]
            ids[hidden] = special.mask
            with torch.no_grad():
                logits = model(torch.tensor(ids[None], dtype=torch.long)).logits[0, at]
            scores.append(float(torch.log_softmax(logits.double(), -1)[window.ids[at]]))
    np.testing.assert_allclose(found["pseudo_perplexity"], math.exp(-np.mean(scores)), rtol=1e-4)


def test_perplexity(home):
    import torch
    from transformers import BertLMHeadModel

    found, windows, _ = evaluate(home, "decoder")
    model = BertLMHeadModel.from_pretrained(home / "decoder").eval()
    losses, count = 0.0, 0
    for window in windows:
        ids = torch.tensor(window.ids[None], dtype=torch.long)
        labels = torch.where(torch.tensor(window.counted[None]), ids, -100)
        with torch.no_grad():
            loss = model(ids, labels=labels).loss
        losses += float(loss) * int(window.counted.sum())
        count += int(window.counted.sum())
    np.testing.assert_allclose(found["perplexity"], math.exp(losses / count), rtol=1e-4)
