"""A model that writes, from a file to a text: it learns, teaches, shrinks, resumes, is exported."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from data.tokenizer import load_vocabulary
from eval.predict import open_model, predict
from eval.run import TaskEvaluation, evaluate_task
from model.decoder.beams import beam_search
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError
from model.pretrained import load
from tasks.open import TaskDataConfig
from tasks.reading import Asked, BeamSettings, Reading
from tests import runs
from train.command.signals import Stopped
from train.config import FinetuneConfig, RunConfig
from train.finetune import finetune
from train.loop.folder import TEACHER_TEXTS
from train.loop.metric_log import MetricLog
from train.objectives.finetuning import TaskLoss
from train.recipes import FINETUNE

OTHER = dict(zip(runs.WORDS, runs.WORDS[7:] + runs.WORDS[:7], strict=True))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A model, and texts with what they are called in another language, word by word."""
    folder = tmp_path_factory.mktemp("home")
    runs.write_teacher(folder / "bert")
    random = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        words = random.choice(runs.WORDS, size=random.integers(4, 9)).tolist()
        rows.append({"source": " ".join(words), "target": " ".join(OTHER[word] for word in words)})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def config(home: Path, **changes) -> FinetuneConfig:
    recipe = FINETUNE["translation"]()
    return replace(
        replace(
            recipe,
            output=home / "run",
            model=str(home / "bert"),
            data=TaskDataConfig(train=home / "pairs.jsonl", dev_share=0.2),
            reading=replace(recipe.reading, max_length=16, max_target=12),
            optimizer=replace(recipe.optimizer, learning_rate=1e-2),
            search=BeamSettings(beams=2),
            batch_size=8,
            steps=6,
            evaluate_every=6,
            buckets=1,
            run=RunConfig(checkpoint_every=2, devices=1),
        ),
        **changes,
    )


@pytest.fixture(scope="module")
def trained(home) -> tuple[dict[str, float], Path]:
    [metrics] = finetune(config(home, output=home / "trained", steps=40))
    return metrics, home / "trained" / "model"


def train_rows(folder: Path) -> list[dict]:
    return [row for row in runs.metrics(folder) if row["kind"] == "train"]


@pytest.mark.long
def test_it_learns_and_writes(trained, home, monkeypatch):
    metrics, folder = trained
    first = next(row for row in runs.metrics(folder.parent) if row["kind"] == "heldout")
    assert metrics["loss_of_target"] < first["loss_of_target"] - 1
    assert metrics["perplexity"] == pytest.approx(np.exp(metrics["loss_of_target"]))
    model, vocabulary = open_model(str(folder))
    assert type(model) is Seq2Seq and model.generation is not None
    assert model.generation.beams == 2
    assert model.generation.max_new_tokens == 11

    monkeypatch.chdir(home)
    own = TaskDataConfig(test=home / "pairs.jsonl")
    evaluation = TaskEvaluation(model=str(folder), task="translation", data=own)
    scores = evaluate_task(evaluation)["test"]
    assert {"bleu", "loss_of_target", "perplexity"} < scores.keys()
    [results] = home.glob("runs/eval-*/results.json")
    assert "case:lc" in json.loads(results.read_text())["protocol"]
    lines = results.with_name("predictions-test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    pairs = [json.loads(line) for line in (home / "pairs.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == [pair["source"] for pair in pairs]
    assert [row["gold"] for row in rows] == [[pair["target"]] for pair in pairs]

    # And the same text from the search itself, and from eval.predict.
    text = pairs[0]["source"]
    ids = jnp.array([vocabulary.tokenizer.encode(text).ids])
    found = beam_search(model.decoder, model.read(ids), model.generation, rows=1)
    written = vocabulary.tokenizer.decode(np.asarray(found.tokens[0, 0]).tolist())
    assert predict(model, vocabulary, [text])[0]["written"] == rows[0]["prediction"] == written
    greedy = Asked(search=BeamSettings(beams=1, max_new_tokens=3))
    [short] = predict(model, vocabulary, [text], greedy)
    assert len(short["written"].split()) <= 3


@pytest.mark.long
def test_a_teacher_teaches_its_probabilities_to_some_of_its_layers(home, trained):
    _, teacher = trained
    student = config(home, output=home / "shallow", model=str(teacher), teacher=str(teacher),
                     decoder_layers="1", loss=TaskLoss(task=0.5, soft=0.5))  # fmt: skip
    # A rate that moves nothing shows what it starts from.
    still = replace(student, steps=1, optimizer=replace(student.optimizer, learning_rate=1e-30))
    finetune(replace(still, output=home / "still"))
    small, large = load(home / "still" / "model", Seq2Seq), load(teacher, Seq2Seq)
    assert small.decoder.config.num_layers == 1 and small.encoder.config.num_layers == 2
    kept, source = small.decoder.backbone.encoder.layers, large.decoder.backbone.encoder.layers
    np.testing.assert_allclose(
        kept[0].feed_forward.up.kernel[...], source[1].feed_forward.up.kernel[...], atol=1e-9
    )
    learns = replace(student, model=str(home / "bert"), steps=12)
    finetune(learns)
    rows = train_rows(learns.output)
    assert rows[-1]["soft"] < rows[0]["soft"] / 2


@pytest.mark.long
def test_the_texts_of_a_teacher_are_written_once_and_learned(home, trained, capsys):
    _, teacher = trained
    student = config(home, output=home / "taught", model=str(teacher), teacher=str(teacher),
                     decoder_layers="0", loss=TaskLoss(form="texts"), steps=2)  # fmt: skip
    finetune(student)
    file = student.output / TEACHER_TEXTS
    whole = file.read_text()
    header, *rows = map(json.loads, whole.splitlines())
    assert header["teacher"] == str(teacher) and header["generation"]["beams"] == 2
    assert len(rows) == header["examples"] == 48
    model, vocabulary = open_model(str(teacher))
    pairs = [json.loads(line) for line in (home / "pairs.jsonl").read_text().splitlines()]
    texts = [pairs[int(row["id"])]["source"] for row in rows[:5]]
    written = [answer["written"] for answer in predict(model, vocabulary, texts)]
    assert [row["text"] for row in rows[:5]] == written
    losses = [row["loss"] for row in train_rows(student.output)]

    # A stop in the middle of a line loses that line, and nothing else.
    again = replace(student, output=home / "taught-again")
    again.output.mkdir()
    (again.output / TEACHER_TEXTS).write_text("\n".join(whole.splitlines()[:20]) + '\n{"id": "4')
    capsys.readouterr()
    finetune(again)
    assert "writes 48 texts, once" in (said := capsys.readouterr().out)
    assert ": 19 are there" in said
    assert (again.output / TEACHER_TEXTS).read_text() == whole
    assert [row["loss"] for row in train_rows(again.output)] == losses

    other = replace(again, output=home / "other", search=BeamSettings(beams=1))
    other.output.mkdir()
    (other.output / TEACHER_TEXTS).write_text(whole)
    with pytest.raises(InputError, match="holds the texts of another teacher, of other examples"):
        finetune(other)


@pytest.mark.long
def test_a_stopped_run_resumes_bit_by_bit(home, monkeypatch):
    whole = config(home, output=home / "whole")
    [expected] = finetune(whole)
    stopped = config(home, output=home / "stopped")
    write = MetricLog.step

    def interrupted(self, now, metrics, tokens, **more):
        write(self, now, metrics, tokens, **more)
        if now == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(MetricLog, "step", interrupted)
        with pytest.raises(Stopped, match="of 6"):
            finetune(stopped)
    assert finetune(stopped) == [expected]
    assert runs.weights(whole.output) == runs.weights(stopped.output)
    assert runs.metrics(whole.output) == runs.metrics(stopped.output)


@pytest.mark.long
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_devices_and_accumulation_change_nothing(home, parallel):
    one = config(home, output=home / f"one-{parallel}", steps=2, evaluate_every=2)
    several = replace(
        one,
        output=home / f"several-{parallel}",
        micro_batches=2,
        run=RunConfig(parallel=parallel, devices=2),
    )
    # Without dropout, of which each device draws its own.
    one, several = (replace(run, dropout=0.0) for run in (one, several))
    [expected], [found] = finetune(one), finetune(several)
    losses = [[row["loss"] for row in train_rows(run.output)] for run in (one, several)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert found["loss_of_target"] == pytest.approx(expected["loss_of_target"], rel=1e-4)


@pytest.mark.long
def test_a_decoder_has_a_rate_of_its_own(home):
    still = config(home, output=home / "rates", steps=1, decoder_rate=1e-12, dropout=0.0)
    still = replace(still, optimizer=replace(still.optimizer, warmup_share=0.0, weight_decay=0.0))
    finetune(still)
    start, found = load(home / "bert"), load(still.output / "model", Seq2Seq)
    words = [
        part.embeddings.word.embedding[...] for part in (found.encoder, found.decoder.backbone)
    ]
    before = start.backbone.embeddings.word.embedding[...]
    np.testing.assert_allclose(words[1], before, atol=1e-9)
    assert np.abs(np.asarray(words[0] - before)).max() > 1e-3


@pytest.mark.long
def test_random_weights_with_one_layer_that_writes(home):
    [metrics] = finetune(config(home, output=home / "random", steps=1, model="random:2+1x16:60"))
    model = load(home / "random" / "model", Seq2Seq)
    assert model.encoder.config.num_layers == 2 and model.decoder.config.num_layers == 1
    pieces = load_vocabulary(home / "random" / "model").pieces
    assert {"##a", "##t"} <= {*pieces} and "loss_of_target" in metrics


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_decay": 0.5}, "--layer-decay 0.5: translation is for models with a decoder"),
        ({"frozen_layers": 1}, "--frozen-layers 1: translation is for models with a decoder"),
        ({"class_weights": "balanced"}, "--class-weights balanced: translation has no loss of"),
        ({"decoder_layers": "0,7"}, "7"),
        ({"model": "random:2x16:60", "decoder_layers": "0"}, "has no layers to copy"),
        ({"search": BeamSettings(beams=500)}, "500 beams need twice as many tokens to choose from"),
        ({"search": BeamSettings(beams=1, length_penalty=2.0)}, "--search.length-penalty 2.0 cho"),
        ({"teacher": "BERT"}, "has no head for translation: fine-tune it first"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_in_a_sentence(home, changes, message):
    changes = {k: str(home / "bert") if v == "BERT" else v for k, v in changes.items()}
    with pytest.raises(InputError) as error:
        finetune(config(home, output=home / "refused", **changes))
    assert message in str(error.value)
    assert not (home / "refused").exists()


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (17, "--reading.max-target 17 is above the 16 positions of the decoder of the model"),
        (2, "--reading.max-target 2 leaves no room for a word"),
    ],
)
def test_a_target_without_room(home, length, message):
    run = config(home, output=home / "refused")
    with pytest.raises(InputError, match=message):
        finetune(replace(run, reading=replace(run.reading, max_target=length)))


def test_flags_of_decoders_mean_nothing_elsewhere(home):
    (home / "own.csv").write_text("text,label\n" + "a cat,x\na dog,y\n" * 6)
    recipe = FINETUNE["classification"]()
    data = TaskDataConfig(train=home / "own.csv")
    run = replace(recipe, output=home / "refused", model=str(home / "bert"), data=data)
    for changes, message in (
        ({"decoder_rate": 2.0}, "--decoder-rate 2.0: classification is not for models with a dec"),
        ({"decoder_layers": "0"}, "--decoder-layers 0: a classifier has no decoder"),
        ({"search": BeamSettings(beams=2)}, r"--search.\* means nothing to a classifier"),
        (
            {"reading": Reading(max_target=3)},
            "--reading.max-target 3 means nothing to a classifier",
        ),
    ):
        with pytest.raises(InputError, match=message):
            finetune(replace(run, **changes))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"source": "a cat", "target": ""}], "the target 'target' is empty"),
        ([{"source": "a cat", "target": []}], "the target 'target' is empty"),
        ([{"source": "  ", "target": "a"}], "the text of 'source' is empty"),
        ([{"source": "a cat"}], "'target'"),
        ([{"source": "a cat", "target": [1]}], "'target' should be a text, or a list of texts"),
        ([{"translation": {"source": "a", "target": ""}}], "the target 'target' is empty"),
    ],
    ids=str,
)
def test_rows_without_something_to_learn(home, rows, message):
    file = home / "bad.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = config(home, output=home / "refused", data=TaskDataConfig(train=file))
    with pytest.raises(InputError) as error:
        finetune(run)
    assert message in str(error.value) and "bad.jsonl, line 1" in str(error.value)


@pytest.mark.oracle
def test_transformers_writes_the_same_texts(home, trained):
    import torch
    import transformers

    _, folder = trained
    theirs = transformers.EncoderDecoderModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, vocabulary = open_model(str(folder))
    pairs = [json.loads(line) for line in (home / "pairs.jsonl").read_text().splitlines()]
    texts = [pair["source"] for pair in pairs[:12]]
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    inputs.pop("token_type_ids")
    with torch.no_grad():
        found = theirs.generate(**inputs)  # type: ignore[attr-defined]
    decoded = tokenizer.batch_decode(found, skip_special_tokens=True)
    assert [each["written"] for each in predict(model, vocabulary, texts)] == decoded
