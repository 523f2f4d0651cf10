"""Perplexities of models whose probabilities are known, the table, and what is refused."""

import json
import math
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from data.corpora.open import open_corpus
from data.tokenizer import load_vocabulary, save_vocabulary
from data.wordpiece import train_wordpiece
from eval.likelihood.texts import tokenise_text
from eval.perplexity import PerplexityEvaluation, evaluate_perplexity
from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError
from model.pretrained import save
from model.tasks import MaskedLM, SequenceClassification, backbone
from tests import runs


def unigram(folder, kind, seed, **changes):
    """A model whose probabilities are the same everywhere; returns their logarithms."""
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
    model = kind(runs.MODEL.replace(vocab_size=vocabulary.size, **changes), rngs=nnx.Rngs(0))
    logits = np.random.default_rng(seed).normal(size=vocabulary.size)
    for parameter in (model.head.norm.scale, model.head.norm.bias):
        parameter[...] = jnp.zeros_like(parameter[...])
    model.head.bias[...] = jnp.asarray(logits, jnp.float32)
    save(model, folder)
    save_vocabulary(vocabulary, folder)
    return logits - np.log(np.exp(logits).sum())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    distil = {"architecture": "distilbert", "type_vocab_size": 0}
    logs = {
        "masked": unigram(folder / "masked", MaskedLM, 1),
        "distil": unigram(folder / "distil", MaskedLM, 2, **distil),
        "causal": unigram(folder / "causal", CausalLM, 3),
        "other-causal": unigram(folder / "other-causal", CausalLM, 4),
    }
    return folder, logs


def evaluation(home, model, teacher=None, data=None, **changes) -> PerplexityEvaluation:
    folder, _ = home
    settings = replace(runs.data_config(folder), tokenizer=None, **(data or {}))
    config = PerplexityEvaluation(
        model=str(folder / model),
        teacher=str(folder / teacher) if teacher else None,
        data=settings,
    )
    return replace(config, **changes)


def texts_of(home, **data):
    """The whole corpus, tokenised."""
    folder, _ = home
    vocabulary = load_vocabulary(folder / "masked")
    config = replace(runs.data_config(folder), **data)
    return [tokenise_text(text, vocabulary) for text in open_corpus(config).texts("heldout")]


@pytest.mark.parametrize(
    ("model", "name"), [("masked", "pseudo_perplexity"), ("causal", "perplexity")]
)
def test_a_unigram_model_has_the_perplexity_of_its_frequencies(home, model, name, capsys):
    folder, logs = home
    (folder / "more.txt").write_text("the cat sees a dog\n")
    everything = {"heldout": (str(folder / "corpus"),), "corpus": (str(folder / "more.txt"),)}
    texts = texts_of(home, **everything)
    ids = np.concatenate([text.ids for text in texts])
    mean = -logs[model][ids].mean()
    found = evaluate_perplexity(evaluation(home, model, data=everything))["model"]
    np.testing.assert_allclose(found[name], math.exp(mean), rtol=1e-5)
    characters = sum(text.characters for text in texts)
    bits = mean * len(ids) / characters / math.log(2)
    np.testing.assert_allclose(found[f"{name}_bits"], bits, rtol=1e-5)
    printed = capsys.readouterr().out
    assert f"200 texts of {folder / 'corpus'}: {len(ids):,} tokens, {characters:,} char" in printed
    assert "95 % interval over documents" in printed


def test_a_limit_a_teacher_and_a_file(home, tmp_path, capsys):
    _, logs = home
    file = tmp_path / "scores.json"
    config = evaluation(home, "distil", "masked", tokens=50, json=file, mask="word")
    found = evaluate_perplexity(config)
    record = json.loads(file.read_text())
    assert 50 <= record["tokens"] < 50 + 14 and record["model"]["metrics"] == found["model"]
    gap = found["model"]["pseudo_perplexity"] - found["teacher"]["pseudo_perplexity"]
    assert record["difference"]["metrics"]["pseudo_perplexity"] == gap
    printed = capsys.readouterr().out
    assert "(--tokens 50)" in printed and "there is no interval: these are" in printed
    # Of a unigram model the loss is that of 15 % of the tokens, and all probabilities are its own.
    highest = math.exp(-logs["distil"][5:].min())
    assert 1 < found["model"]["exp_masked_lm_loss"] < highest


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": {"sequence_length": 17}}, "--data.sequence-length 17 is above the 16 positions"),
        (
            {"model": "causal", "mask": "word"},
            "--mask word is for masked LMs, and .* is none",
        ),
        (
            {"teacher": "causal"},
            "are a masked LM and a decoder, whose pseudo-perplexity and p",
        ),
        ({"teacher": "foreign"}, "different vocabularies, and perplexities of different tokens ca"),
        ({"model": "translator"}, "is a Seq2Seq, which is no language model of text alone: give"),
        ({"model": "classifier"}, "is a SequenceClassification, which is no language model of"),
        ({"data": {"heldout": ("empty.txt",)}}, "empty.txt is empty: give a file with text"),
        (
            {"data": {"heldout": ("unknown.txt",)}},
            "unknown.txt: no text has a token to score",
        ),
        ({"tokens": 0}, "--tokens is 0: give a number from 1"),
    ],
)
def test_what_cannot_be_scored_is_refused(home, changes, sentence, monkeypatch):
    folder, _ = home
    monkeypatch.chdir(folder)
    if not (folder / "foreign").exists():
        runs.write_teacher(folder / "foreign", words=["other", "words", *runs.WORDS])
        (folder / "empty.txt").write_text(" \n")
        (folder / "unknown.txt").write_text("漢 漢\n")
        size = load_vocabulary(folder / "masked").size
        shape = runs.MODEL.replace(vocab_size=size)
        save(SequenceClassification(shape, rngs=nnx.Rngs(0)), folder / "classifier")
        save_vocabulary(load_vocabulary(folder / "masked"), folder / "classifier")
        decoder = CausalLM(shape, crosses=True, rngs=nnx.Rngs(0))
        encoder = backbone(shape, rngs=nnx.Rngs(0))
        save(Seq2Seq(encoder, decoder, rngs=nnx.Rngs(0)), folder / "translator")
        save_vocabulary(load_vocabulary(folder / "masked"), folder / "translator")
    with pytest.raises(InputError, match=sentence):
        evaluate_perplexity(evaluation(home, **{"model": "masked", **changes}))
