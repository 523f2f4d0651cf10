"""Further pretraining: all of the model comes from its folder, and other text is evaluated too."""

from dataclasses import replace

import numpy as np
import pytest
from flax import nnx

from data.open import open_data, open_other_heldout
from data.tokenizer import load_vocabulary, save_vocabulary
from data.vocabulary import SPECIAL_TOKENS
from data.wordpiece import train_wordpiece
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load, save
from model.tasks import MaskedLM, SequenceClassification
from tests import runs
from train.further import started_masked_lm
from train.loop.heldout import HeldOut
from train.pretrain import pretrain
from train.update.step import split

OTHER = "other.txt"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    lines = [" ".join(runs.WORDS[::-1]), " ".join(runs.WORDS[::2])] * 8
    (folder / OTHER).write_text("\n".join(lines) + "\n")
    return folder


def with_shape(folder, make, **changes):
    """A folder with random weights of a class, for the vocabulary of the corpus."""
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
    config = runs.MODEL.replace(vocab_size=vocabulary.size, **changes)
    save(make(config, rngs=nnx.Rngs(3)), folder)
    save_vocabulary(vocabulary, folder)
    return folder


def distilbert(folder):
    return with_shape(folder, MaskedLM, architecture="distilbert", type_vocab_size=0, num_layers=1)


@pytest.mark.long
def test_a_distilbert_needs_no_shape_and_its_first_line_is_before_training(home, tmp_path, capsys):
    start = distilbert(tmp_path / "start")
    other = (str(home / OTHER),)
    config = runs.further_config(
        home, start=str(start), output=tmp_path / "run", other_heldout=other
    )
    results = pretrain(config)
    assert "before training  held out: " in capsys.readouterr().out

    trained, given = (load(folder) for folder in (tmp_path / "run" / "model", start))
    assert trained.config == given.config
    pieces = [load_vocabulary(str(f)).pieces for f in (start, tmp_path / "run" / "model")]
    assert pieces[0] == pieces[1]

    data = open_data(replace(config.data, tokenizer=str(start)))
    texts = (data.heldout, open_other_heldout(config.data, other, data.vocabulary))
    rows = [row for row in runs.metrics(tmp_path / "run") if row["kind"] == "heldout"]
    assert [row["step"] for row in rows] == [0, 6]
    for model, row in ((given, rows[0]), (trained, rows[-1])):
        structure, params = split(model)
        for sequences, prefix in zip(texts, ("", "other_"), strict=True):
            heldout = HeldOut(sequences, data.train.counts, data.vocabulary.special, rows=4)
            metrics = heldout.evaluator(structure)(params, None)
            for name in ("masked_lm_loss", "masked_lm_accuracy"):
                np.testing.assert_allclose(row[prefix + name], metrics[name], rtol=1e-5)
    assert results["other_masked_lm_loss"] == rows[-1]["other_masked_lm_loss"]
    assert results["masked_lm_loss"] < rows[0]["masked_lm_loss"]
    report = (tmp_path / "run" / "report.md").read_text()
    assert (
        "masked-LM loss on the other text (nats)" in report and f"of `{start}`, further" in report
    )


def test_a_model_without_its_head(home, tmp_path):
    start = with_shape(tmp_path / "start", SequenceClassification)
    config = runs.further_config(home, start=str(start))
    with pytest.raises(
        InputError,
        match=r"BertForSequenceClassification\) is without a masked-LM head: --start-head r",
    ):
        pretrain(config)
    model = started_masked_lm(replace(config, start_head="random"), open_checkpoint(start))
    theirs = dict(nnx.to_flat_state(nnx.state(load(start).backbone, nnx.Param)))
    ours = dict(nnx.to_flat_state(nnx.state(model.backbone, nnx.Param)))
    assert set(theirs) - set(ours) == {path for path in theirs if path[0] == "pooler"}
    for path, value in ours.items():
        np.testing.assert_array_equal(value[...], theirs[path][...])


def test_a_random_head_in_place_of_the_models_own(home):
    config = runs.further_config(home, start_head="random")
    start = open_checkpoint(home / "teacher")
    random, own = started_masked_lm(config, start), load(start, MaskedLM)
    ours, theirs = (model.backbone.embeddings.word.embedding[...] for model in (random, own))
    np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(random.head.dense.kernel[...], own.head.dense.kernel[...])


@pytest.mark.long
def test_the_head_alone_learns(home, tmp_path):
    config = runs.further_config(
        home, output=tmp_path / "run", start_head="random", frozen_layers=2, steps=3
    )
    before = started_masked_lm(config, open_checkpoint(config.start))
    pretrain(config)
    after = load(tmp_path / "run" / "model", MaskedLM)
    old, new = (dict(nnx.to_flat_state(nnx.state(model, nnx.Param))) for model in (before, after))
    same = {path for path, value in new.items() if np.array_equal(value[...], old[path][...])}
    assert same == {path for path in new if path[0] == "backbone"}
    with pytest.raises(InputError, match="--frozen-layers 3: the model has 2 layers"):
        pretrain(replace(config, frozen_layers=3, output=tmp_path / "other"))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sequence_length": 17}, "--data.sequence-length 17 is above the 16 positions of "),
        ({"tokenizer": "vocab.txt"}, r"--data.tokenizer .*vocab.txt has other pieces than the tok"),
        ({"corpus": (OTHER,)}, "is both --data.corpus and --other-heldout: name text that is not"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(home, tmp_path, monkeypatch, changes, sentence):
    monkeypatch.chdir(home)
    (home / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "a", "b"]))
    config = runs.further_config(home, output=tmp_path / "run", other_heldout=(OTHER,))
    with pytest.raises(InputError, match=sentence):
        pretrain(replace(config, data=replace(config.data, **changes)))
    assert not (tmp_path / "run").exists()
