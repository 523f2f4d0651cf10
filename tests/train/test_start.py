"""Starts from random weights: their names, their vocabulary, and what a seed changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.tokenizer import load_vocabulary, save_vocabulary
from data.wordpiece import train_wordpiece
from model.bert import Bert
from model.config import EncoderConfig
from model.distilbert import DistilBert
from model.errors import InputError
from model.pretrained import load, save
from model.tasks import Embedder, SequenceClassification
from tasks.open import TaskDataConfig, open_task
from tests import runs
from tests.small import build, parameters
from train.config import FinetuneConfig, RunConfig
from train.finetune import finetune
from train.objectives.finetuning import TaskLoss
from train.planning.abstract_step import shape_of
from train.recipes import FINETUNE
from train.start import RandomStart, initial_model, open_start, random_shape, vocabulary_of

TEXTS = [f"The {w} sees a Dog" for w in runs.WORDS]


@pytest.fixture
def config(tmp_path) -> FinetuneConfig:
    """A classification of texts with capitals; its last lines are for development."""
    lines = [f"{text},{n % 2}" for n, text in enumerate(TEXTS)]
    for name, part in (("train", lines[:-4]), ("dev", lines[-4:])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *part]) + "\n")
    recipe = FINETUNE["classification"]()
    return replace(
        recipe,
        output=tmp_path / "run",
        model="random:2x16:60",
        data=TaskDataConfig(train=tmp_path / "train.csv", dev=tmp_path / "dev.csv"),
        reading=replace(recipe.reading, max_length=16),
        batch_size=4,
        steps=2,
        run=RunConfig(devices=1),
    )


def opened(config: FinetuneConfig, **changes) -> RandomStart:
    start = open_start(replace(config, **changes), open_task(config.task, config.data))
    assert isinstance(start, RandomStart)
    return start


def test_a_name_says_the_shape():
    found = random_shape("random:3x384:8192")
    assert found is not None and found == random_shape("random:3x384:8192:cased")
    shape, decoder_layers = found
    assert decoder_layers is None and shape == shape_of("random:3x384:8192")
    assert random_shape("random:3+12x384:8192") == (shape, 12)
    assert shape == EncoderConfig(
        architecture="distilbert",
        vocab_size=8192,
        hidden_size=384,
        num_layers=3,
        num_heads=6,
        intermediate_size=1536,
        type_vocab_size=0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        classifier_dropout=0.2,
        initializer_range=384**-0.5,
    )
    small = shape_of("random:1x20:99")
    assert (small.num_heads, small.hidden_size) == (1, 20)
    assert random_shape("assets/random:3x384:8192") is None and random_shape("random") is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        *(
            (f"random:{rest}", f"--model random:{rest}: after random: come layers x width and the")
            for rest in ("", "3x384", "3:384:8192", "0x384:8192", "3x384:8k", "3x384:8192:lower")
        ),
        ("random:3x200:8192", "a width of 200 does not divide into heads of 64: give a multiple"),
        ("random:999x64:100", "num_layers is 999: give a number from 1 to 256"),
    ],
)
def test_other_names_are_refused(name, sentence):
    with pytest.raises(InputError) as error:
        random_shape(name)
    assert sentence in str(error.value)


def test_pieces_are_those_of_the_training_texts(config, capsys):
    for name, lowercase in (("random:2x16:60", True), ("random:2x16:60:cased", False)):
        start = opened(config, model=name)
        expected = train_wordpiece(TEXTS[:-4], 60, lowercase=lowercase)
        assert start.vocabulary.pieces == expected.pieces
        assert start.config.vocab_size == vocabulary_of(start).size == 60
    assert capsys.readouterr().out == ""
    few = opened(config, model="random:2x16:9000")
    assert few.config.vocab_size == few.vocabulary.size < 200
    remark = (
        f"random:2x16:9000: the training texts give no more than {few.vocabulary.size} pieces\n"
    )
    assert capsys.readouterr().out == remark
    with pytest.raises(InputError, match="--layers 0,1: --model random:2x16:60 has no layers to"):
        opened(config, layers="0,1")


def test_the_seed_draws_the_weights(config):
    data, start = open_task(config.task, config.data), opened(config)
    models = [initial_model(replace(config, seed=seed), start, data) for seed in (1, 1, 2)]
    assert isinstance(models[0], SequenceClassification)
    assert isinstance(models[0].backbone, DistilBert)
    assert models[0].config.labels == ("0", "1")
    first, again, other = map(parameters, models)
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
        drawn = values.std() > 0
        assert drawn == bool(np.any(values != other[name])), name
        if name.endswith(("kernel", "embedding")):
            assert drawn and abs(values.std() * 4 - 1) < 0.25, name


@pytest.mark.long
def test_a_run_leaves_a_model_with_its_tokenizer(config, capsys):
    finetune(config)
    assert load_vocabulary(config.output / "model").size == 60
    model = load(config.output / "model")
    assert isinstance(model, SequenceClassification) and model.config.num_layers == 2
    assert '"model": "random:2x16:60"' in (config.output / "config.json").read_text()


@pytest.mark.long
def test_a_student_of_two_languages_begins_at_random(tmp_path):
    """Its teacher has another vocabulary, and does not know the second language."""
    random = np.random.default_rng(0)
    english = [" ".join(random.choice(runs.WORDS, size=4)) for _ in range(40)]
    other = {word: word[::-1].upper() for word in runs.WORDS}
    for name, part in (("train", slice(32)), ("dev", slice(32, None))):
        lines = {"en": english[part]}
        lines["xx"] = [" ".join(map(other.__getitem__, text.split())) for text in lines["en"]]
        for language, texts in lines.items():
            (tmp_path / f"{name}.{language}").write_text("\n".join(texts) + "\n")
    save_teacher(tmp_path / "teacher")
    recipe = FINETUNE["parallel"]()
    run = replace(
        recipe,
        output=tmp_path / "run",
        model="random:1x16:100",
        teacher=str(tmp_path / "teacher"),
        data=TaskDataConfig(
            train=tmp_path / "train", dev=tmp_path / "dev", text_field="en", pair_field="xx"
        ),
        loss=TaskLoss(task=0.0, soft=1.0),
        reading=replace(recipe.reading, max_length=12),
        optimizer=replace(recipe.optimizer, learning_rate=1e-2),
        batch_size=8,
        steps=40,
        evaluate_every=40,
        buckets=1,
        run=RunConfig(devices=1),
    )
    [results] = finetune(run)
    losses = [row["soft"] for row in runs.metrics(run.output) if row["kind"] == "train"]
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])
    assert results.keys() >= {"text_right_at_1", "translation_right_at_1"}
    assert isinstance(load(run.output / "model"), Embedder)
    theirs, ours = (load_vocabulary(f) for f in (tmp_path / "teacher", run.output / "model"))
    assert theirs.size < ours.size == 100


def save_teacher(folder: Path) -> None:
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
    shape = runs.MODEL.replace(vocab_size=vocabulary.size)
    save(Embedder(build(Bert, shape)), folder)
    save_vocabulary(vocabulary, folder)
