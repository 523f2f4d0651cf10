"""The step that is planned is the one that the loops run."""

import json
from dataclasses import replace

import pytest
from flax import nnx

from data.tokenizer import load_vocabulary, save_vocabulary
from model.config import bert_base, distilbert_base
from model.decoder.causal_lm import CausalLM
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import save
from tasks.open import TaskDataConfig
from tasks.writing.start import new_seq2seq
from tests import runs
from tests.train.test_finetune import config as finetune_config
from tests.train.test_finetune import home  # noqa: F401 (a fixture)
from train.config import RunConfig
from train.distill import distill
from train.finetune import finetune
from train.objectives.finetuning import TaskLoss
from train.planning import abstract_step as planned
from train.pretrain import pretrain
from train.recipes import DISTILL, FINETUNE
from train.update.parallel import Parallel

CPU = RunConfig(checkpoint_every=3, devices=4)


class CapturedError(Exception):
    """What a loop was about to run, instead of running it."""


def first_step(loop, config, monkeypatch):
    """The program that a loop compiles for its first update, and the batch it is given."""
    compile_ = Parallel.compile

    def capturing(parallel, make):
        step = compile_(parallel, make)

        def first(*arguments):
            raise CapturedError(step.lower(*arguments).as_text(), arguments[2])

        return first

    with monkeypatch.context() as patch:
        patch.setattr(Parallel, "compile", capturing)
        with pytest.raises(CapturedError) as caught:
            loop(config)
    return caught.value.args


def assert_planned(loop, config, monkeypatch, **sizes):
    """`sizes` gives the plan what the loop reads from the data."""
    program, batch = first_step(loop, config, monkeypatch)
    config = replace(config, **sizes)
    length = batch["input_ids"].shape[2]  # of [micro, rows, length, ...]
    if hasattr(config, "reading"):  # the plan is for the longest bucket, this is the first batch's
        config = replace(config, reading=replace(config.reading, max_length=length))
    step = planned.abstract_step(config, config.steps)
    rows = config.batch_size // config.micro_batches
    shapes = planned.batch_shapes(config, config.micro_batches, rows)
    assert {n: (s.shape, s.dtype) for n, s in shapes.items()} == {
        name: (array.shape, array.dtype) for name, array in batch.items()
    }
    lowered = step.lower(Parallel(config.run), rows, config.micro_batches)
    assert lowered.as_text() == program


@pytest.mark.long
@pytest.mark.parametrize(
    ("loop", "make", "lines"),
    [
        (pretrain, runs.pretrain_config, None),
        (pretrain, runs.further_config, None),
        (distill, runs.distill_config, None),
        (pretrain, runs.pretrain_config, "padded"),
        (distill, runs.distill_config, "packed"),
        (distill, runs.distill_config, "cached"),
        (pretrain, runs.causal_config, None),
        (distill, runs.causal_distill_config, None),
    ],
)
def test_the_program_of_running_text(loop, make, lines, home, tmp_path, monkeypatch):  # noqa: F811
    from data.tokenizer import load_vocabulary

    special = load_vocabulary(str(home / "teacher")).special
    decoder = make in (runs.causal_config, runs.causal_distill_config)
    monkeypatch.setattr(planned, "ANY_ID", special.sep if decoder else special.mask)
    if make is runs.causal_distill_config:
        runs.write_teacher(home / "decoder", kind=CausalLM)
    config = make(home, output=tmp_path, run=CPU, batch_size=16, micro_batches=2, dtype="bfloat16")
    if lines == "cached":
        masking = replace(config.masking, group_rows=1)
        config = replace(config, masking=masking, teacher_cache=home / "answers")
    elif lines:
        data = replace(config.data, mode="lines", pack_lines=lines == "packed")
        config = replace(config, data=data)
    if make in (runs.pretrain_config, runs.causal_config):
        size = load_vocabulary(str(home / "teacher")).size
        config = replace(config, model=config.model.replace(vocab_size=size))
    assert_planned(loop, config, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize(
    "task",
    ["classification", "multilabel", "regression", "several values", "tags", "answers", "choices"],
)
def test_the_program_of_a_task(task, home, tmp_path, monkeypatch):  # noqa: F811
    labels = {"tags": ("O", "B-colour", "I-colour"), "multilabel": ("a", "b", "c")}.get(task, ())
    changes = {"output": tmp_path, "run": CPU, "steps": 2, "layers": "0"}
    config = finetune_config(home, task, dtype="float32", **changes)
    assert_planned(finetune, config, monkeypatch, labels=labels)


@pytest.mark.long
@pytest.mark.parametrize("form", [None, "tokens"])
def test_the_program_of_a_task_that_writes(form, home, tmp_path, monkeypatch):  # noqa: F811
    """With a teacher whose decoder has a depth of its own."""
    row = {"source": "a red cat sees the tree", "target": "the old dog hears a bird"}
    rows = [{**row, "id": number} for number in range(16)]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = FINETUNE["translation"]()
    config = replace(
        task,
        output=tmp_path / "run",
        model=str(home / "teacher"),
        data=TaskDataConfig(train=file, dev=file),
        reading=replace(task.reading, max_length=16, max_target=8),
        batch_size=8,
        steps=2,
        dtype="float32",
        run=RunConfig(devices=4),
    )
    if form:
        checkpoint = open_checkpoint(home / "teacher")
        vocabulary = load_vocabulary(home / "teacher")
        teacher = new_seq2seq(checkpoint.config, None, None, 1, rngs=nnx.Rngs(0))
        teacher.generation = vocabulary.generation(vocabulary.size)
        save(teacher, tmp_path / "writer")
        save_vocabulary(vocabulary, tmp_path / "writer", 16)
        config = replace(config, teacher=str(tmp_path / "writer"), loss=TaskLoss(form=form))
    assert_planned(finetune, config, monkeypatch)


def test_the_tokens_of_a_sequence_are_those_of_all_its_texts():
    lengths = {name: planned.sequence_length(FINETUNE[name]()) for name in ("sst2", "swag")}
    assert lengths == {"sst2": 128, "swag": 4 * 128}
    assert planned.sequence_length(DISTILL["distilbert-base-uncased"]()) == 512


def test_shapes_of_models_that_are_not_at_hand(tmp_path):
    assert planned.shape_of("google-bert/bert-base-uncased") == bert_base()
    assert planned.shape_of("distilbert/distilbert-base-uncased") == distilbert_base()
    with pytest.raises(InputError, match=r"shape of me/mine is not known .*config\.json"):
        planned.shape_of("me/mine")
    runs.write_teacher(tmp_path / "teacher")
    assert planned.shape_of(str(tmp_path / "teacher")).hidden_size == runs.MODEL.hidden_size
    # The windows of a task are no longer than the model has positions.
    recipe = replace(FINETUNE["imdb"](), model=str(tmp_path / "teacher"))
    positions = runs.MODEL.max_positions
    assert planned.batch_shapes(recipe, 1, 2)["input_ids"].shape == (1, 2, positions)
