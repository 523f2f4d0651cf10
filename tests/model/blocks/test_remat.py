"""The flag `--run.remat`: every loop trains the same with it and without."""

import csv
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.blocks import encoder
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.tasks import MaskedLM
from tasks.open import TaskDataConfig, open_task
from tests import runs, tiny
from train.ablate import ablate
from train.config import RunConfig
from train.distill import distill, initial_student
from train.finetune import finetune
from train.objectives.distillation import MaskedLMObjective
from train.pretrain import initial_masked_lm, pretrain
from train.recipes import FINETUNE
from train.start import initial_model
from train.update.keys import keys_of
from train.update.optimizer import OptimizerConfig, make_optimizer
from train.update.parallel import Parallel, StackParallel
from train.update.step import init_state, make_step, split

STEPS = {"steps": 2, "evaluate_every": 2}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    with (folder / "rows.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows(
            ("a red cat", "red") if n % 3 else ("green tree", "green") for n in range(40)
        )
    return folder


def task_config(home, **changes):
    recipe = FINETUNE["classification"]()
    data = TaskDataConfig(train=home / "rows.csv", dev_share=0.2)
    own = {"model": str(home / "teacher"), "data": data, "batch_size": 8, "buckets": 1}
    own["reading"] = replace(recipe.reading, max_length=16)
    return type(recipe)(**{**vars(recipe), **own, **changes})


def task_data(config):
    return open_task(config.task, config.data, splits=("train", "dev"))


def study(home, output, **changes):
    settings = {"a": {}, "b": {"loss.cos.weight": 3}}
    ablate(runs.study_config(home, settings, output=output, **changes))


LOOPS = {
    "pretrain": lambda home, **changes: pretrain(runs.pretrain_config(home, **changes)),
    "distill": lambda home, **changes: distill(runs.distill_config(home, **changes)),
    "finetune": lambda home, **changes: finetune(task_config(home, **changes)),
    "study": study,
}


@pytest.mark.parametrize("remat", [False, True])
def test_the_flag_reaches_the_model_of_every_loop(home, remat):
    run = RunConfig(devices=1, remat=remat)
    task = task_config(home, run=run)
    start = open_checkpoint(home / "teacher")
    teacher = load(start, MaskedLM)
    models = [
        initial_masked_lm(runs.pretrain_config(home, run=run)),
        initial_student(teacher, runs.distill_config(home, run=run)),
        *(initial_model(replace(task, layers=n), start, task_data(task)) for n in (None, "0")),
    ]
    assert [model.backbone.encoder.remat for model in models] == [remat] * 4


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_trains_the_same_with_dropout(home, monkeypatch, name):
    calls = []
    monkeypatch.setattr(
        encoder.nnx, "remat", lambda f, remat=nnx.remat: calls.append(f) or remat(f)
    )
    recorded = []
    for remat in (False, True):
        output = home / f"{name}-{remat}"
        LOOPS[name](home, output=output, run=RunConfig(devices=1, remat=remat), **STEPS)
        assert bool(calls) is remat
        recorded.append(runs.metrics(output / "seed-56" if name == "study" else output))
    for before, after in zip(*recorded, strict=True):
        assert before.keys() == after.keys()
        numbers = [
            [value for value in row.values() if not isinstance(value, str)]
            for row in (before, after)
        ]
        np.testing.assert_allclose(*numbers, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("mode", [pytest.param("jit", marks=pytest.mark.slow), "study"])
def test_a_step_of_a_deep_model_takes_less_memory(mode):
    config = tiny.TEACHER.replace(num_layers=8, intermediate_size=64, max_positions=64)
    needed = {}
    for remat in (False, True):
        run = RunConfig(devices=1, remat=remat)
        parallel = Parallel(run) if mode == "jit" else StackParallel(run, [1])
        model = tiny.model(config)
        model.backbone.encoder.remat = remat
        graphdef, params = split(model)
        objective = MaskedLMObjective(graphdef, tiny.MASKING, tiny.MASK_ID)
        optimizer = make_optimizer(OptimizerConfig(), 10)
        step: Any = parallel.compile(partial(make_step, objective, optimizer, 10))
        rows = np.zeros((1, 8, 64), np.int32)
        batch = {"input_ids": rows, "attention_mask": rows == 0, "row": rows[..., 0]}
        state = parallel.place_state(init_state(params, optimizer))
        constants = {"log_weights": jnp.asarray(tiny.log_weights())}
        lowered = step.lower(state, constants, parallel.place(batch), keys_of(0))
        needed[remat] = lowered.compile().memory_analysis().temp_size_in_bytes
    assert needed[True] < 0.5 * needed[False]
