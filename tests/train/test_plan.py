"""The plan of a run on TPUs: what it says, what it refuses, and a step compiled for real chips."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import pytest

from model.config import HUB_CONFIGS, tiny_bert
from model.errors import InputError
from tests import runs
from train import plan as plan_module
from train.objectives.vocabulary import CHUNK
from train.plan import micro_batch_choices, plan_command, table_command
from train.planning.abstract_step import abstract_step
from train.planning.collectives import not_reductions
from train.planning.compiler import GIB, CompiledStep, DeviceMemory, StepCompiler
from train.planning.largest_batch import TooLargeError
from train.planning.tpus import Topology
from train.recipes import DISTILL, LOOPS, PRETRAIN, recipe_name, recipes_by_name
from train.recipes.distill import distill_base_uncased
from train.update.parallel import Parallel, ParallelConfig

ROOT = Path(__file__).resolve().parents[2]
# Where `make test-all` puts it: beside the environment, so that nothing else comes to need it.
LIBTPU = ROOT / ".venv-tpu"
FULL = distill_base_uncased()
# The same in larger batches, masked in groups of several rows.
LARGER = replace(FULL, batch_size=4096, masking=replace(FULL.masking, group_rows=8))
LARGER_FLAGS = ["--batch-size", "4096", "--micro-batches", "16", "--masking.group-rows", "8"]


class FakeCompiler(StepCompiler):
    """Memory is a line in the rows of a device, and the compiler refuses what is above a limit."""

    limit = 15.75
    a_row = 0.1

    def _compile(self, rows, micro_batches):
        needed = 2 + self.a_row * rows
        if needed > self.limit:
            return TooLargeError(f"{needed:.2f} GiB of {self.limit} GiB")
        memory = DeviceMemory(0, 0, 0, 0, int(needed * GIB), 0)
        return CompiledStep(rows, micro_batches, memory, [], 1e12)


@pytest.fixture
def without_tpu(monkeypatch):
    """Compiles nothing."""
    monkeypatch.setattr(Topology, "devices", lambda self: [])
    cpu = Parallel(ParallelConfig(devices=1))
    monkeypatch.setattr(plan_module, "Parallel", lambda config, devices: cpu)
    monkeypatch.setattr(plan_module, "StepCompiler", FakeCompiler)
    kept = jax.config.values["jax_enable_compilation_cache"]
    yield
    jax.config.update("jax_enable_compilation_cache", kept)  # the command is a process of its own


def test_a_recipe_is_found_by_its_name_and_where_several_are_called_so_by_loop_and_name():
    names = recipes_by_name()
    assert len(names) == sum(map(len, LOOPS.values()))
    assert recipe_name("wikitext-103") == recipe_name("distill:wikitext-103") == "wikitext-103"
    assert names[recipe_name("distill:tiny")] is DISTILL["tiny"]
    assert names[recipe_name("bert-base-uncased")] is PRETRAIN["bert-base-uncased"]
    assert recipe_name("finetune:sst2") == "sst2"
    with pytest.raises(InputError, match="several recipes called tiny: give pretrain:tiny or dist"):
        recipe_name("tiny")
    with pytest.raises(InputError, match=r"no recipe 'wikitext-104' .* did you mean wikitext-103"):
        plan_command(["wikitext-104", "--topology", "v5e:2x2"])


def test_micro_batches_are_those_that_the_devices_can_share():
    assert micro_batch_choices(LARGER, 16) == [1, 2, 4, 8, 16, 32]
    assert micro_batch_choices(LARGER, 256) == [1, 2]
    assert micro_batch_choices(FULL, 16) == [1, 41]


@pytest.mark.parametrize(
    ("recipe", "devices", "sentence"),
    [
        (DISTILL["wikitext-103"](), 256, r"--batch-size 60 .*256 devices: .* is 256$"),
        (PRETRAIN["bert-base-uncased"](), 256, "2048, or --masking.group-rows 1$"),
        (replace(LARGER, batch_size=100), 8, "the nearest that does is 128"),
    ],
)
def test_a_batch_that_the_chips_cannot_share(recipe, devices, sentence):
    with pytest.raises(InputError, match=sentence):
        micro_batch_choices(recipe, devices)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--utilisation", "1.5"], "--utilisation is 1.5"),
        (["--price", "-1"], "--price is -1"),
        (["--line-tokens", "0"], "--line-tokens is 0"),
        (["--micro-batches", "0"], "--micro-batches is 0"),
        (["--loss.ce.temperature", "0"], "--loss.ce.temperature is 0"),
        (["--run.parallel", "pmap"], "leave --run.parallel"),
        (["--run.devices", "2"], "leave --run.parallel and --run.devices"),
        (["--teacher", "me/mine"], "shape of me/mine is not known"),
    ],
)
def test_settings_that_make_no_sense(flags, sentence, without_tpu):
    with pytest.raises(InputError, match=sentence):
        plan_command(["distill:tiny", "--topology", "v5e:2x2", *flags])


@pytest.mark.long
def test_a_recipe_that_fits(without_tpu, capsys, tmp_path):
    file = tmp_path / "plan.json"
    flags = ["--topology", "v5e:4x4", "--utilisation", "0.5", "--price", "2", "--json", str(file)]
    made = plan_command(["distilbert-base-uncased", *flags, *LARGER_FLAGS, "--data.mode", "packed"])
    assert made.fits
    printed, numbers = capsys.readouterr().out, json.loads(file.read_text())
    assert "It fits: 16 micro-batches of 16 sequences a chip take 3.60 of 15.75 GiB" in printed
    assert "Largest batch that fits a chip: 136 sequences" in printed
    # 0.66 GFLOP a token by hand (docs of the recipe), the head of both models at every position.
    a_token = numbers["flops_per_update"] / (4096 * 512)
    assert a_token == pytest.approx(0.66e9, rel=0.05)
    seconds = numbers["flops_per_update"] / (16 * 197e12 * 0.5)
    assert numbers["hours"] == pytest.approx(7224 * seconds / 3600)
    assert numbers["dollars"] == pytest.approx(numbers["hours"] * 16 * 2)
    assert "50% of 197 TFLOP/s a chip (--utilisation), $2.00 a chip-hour (--price)" in printed
    assert numbers["largest_rows_per_device"] == 136
    assert numbers["configuration"]["batch_size"] == 4096


@pytest.mark.long
def test_a_recipe_that_does_not_fit_says_which_batch_does(without_tpu, capsys):
    flags = ["--topology", "v5e:1x1", "--data.no-pack-lines"]
    made = plan_command(["distilbert-base-uncased", *flags, *LARGER_FLAGS])
    assert not made.fits
    assert made.step is not None and made.step.micro_batches == 32
    printed = capsys.readouterr().out
    assert "does not run: it needs 27.60 GiB of 15.75 GiB. Change --micro-batches to 32:" in printed
    assert "32 micro-batches of 128 sequences a chip take 14.80 of 15.75 GiB" in printed
    assert "80 tokens a sequence are assumed, and padding takes as long" in printed


@pytest.mark.slow
def test_a_sum_above_the_memory_that_the_compiler_fits_all_the_same(
    without_tpu, monkeypatch, capsys
):
    flags = ["distilbert-base-uncased", "--topology", "v5e:2x4", *LARGER_FLAGS]
    plan_command(flags)
    assert "nevertheless" not in capsys.readouterr().out
    monkeypatch.setattr(FakeCompiler, "limit", 16.5)
    monkeypatch.setattr(FakeCompiler, "a_row", 0.44)
    plan_command(flags)
    printed = capsys.readouterr().out
    assert "32 sequences at a time, 16.08 GiB (compiled" in printed
    assert "exceeds the device's memory; the compiler nevertheless reports that it fits" in printed


@pytest.mark.long
def test_micro_batches_that_the_chips_cannot_share_are_reported(without_tpu, capsys):
    flags = ["--topology", "v5e:16x16", "--no-search"]
    plan_command(["distilbert-base-uncased", *flags, *LARGER_FLAGS])
    printed = capsys.readouterr().out
    assert "16 micro-batches do not divide among the chips. Change --micro-batches to 2:" in printed
    assert "Largest" not in printed


@pytest.mark.long
def test_the_text_of_an_update_is_printed_beside_all_its_tokens(without_tpu, capsys):
    plan_command(["distilbert-base-uncased", "--topology", "v5e:2x4", "--no-search"])
    printed = capsys.readouterr().out
    tokens = "656 sequences of 512 tokens an update: 335,872, about 332,592 of them text"
    assert tokens in printed
    assert "507 tokens a sequence are assumed, and padding takes as long" in printed


@pytest.mark.long
def test_not_even_the_smallest_batch_fits(without_tpu, monkeypatch, capsys):
    monkeypatch.setattr(FakeCompiler, "a_row", 20)
    assert plan_command(["distilbert-base-uncased", "--topology", "v5e:1x1"]).step is None
    printed = capsys.readouterr().out
    assert "no smaller batch does: give --run.remat, or lower --data.sequence-length" in printed


def test_the_tables_of_the_documents_are_those_of_the_plans_kept_beside_them(capsys):
    files = sorted((ROOT / "docs/results/tpu").glob("*.json"))
    table_command(["--table", *map(str, files)])
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    kept = (ROOT / "docs/results/tpu-plans.md").read_text().splitlines()
    assert len(printed) == len(files) + 3 * 2  # and heading and rule of three recipes
    assert set(printed) <= set(kept)


def test_a_file_that_is_no_plan_is_reported(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    sentence = r"other\.json is no plan of train\.plan --json: recipe is missing"
    with pytest.raises(InputError, match=sentence):
        table_command(["--table", str(tmp_path / "other.json")])


@pytest.mark.long
def test_the_real_step_exchanges_gradients_and_metrics_only(monkeypatch):
    """On four CPU devices, by XLA's own partitioning."""
    shape = tiny_bert().replace(num_layers=2, vocab_size=2048)
    monkeypatch.setitem(HUB_CONFIGS, "two-layers", shape)
    recipe = replace(DISTILL["tiny"](), teacher="two-layers", dtype="float32")
    # One chunk of the vocabulary's losses: XLA for CPUs sums the table's gradient over the devices
    # in every one, where that for TPUs does it once, behind their loop.
    data = replace(recipe.data, sequence_length=CHUNK)
    recipe = replace(recipe, student=replace(recipe.student, layers="0,1"), data=data)
    step = abstract_step(recipe, 10)
    compiled = StepCompiler(step, Parallel(ParallelConfig(devices=4)))(8, 1)
    found = compiled.collectives
    shapes = [leaf.shape for leaf in jax.tree.leaves(step.state.params)]
    assert not_reductions(found, shapes) == []
    parameters = 4 * sum(leaf.size for leaf in jax.tree.leaves(step.state.params))
    frozen, table = 4 * 128 * 128, 4 * 2048 * 128
    # The table has two gradients, of the words read and of those predicted; positions have none.
    assert parameters - frozen <= sum(one.total for one in found) <= parameters + table + 1000
    assert compiled.memory.parameters == parameters
    # What is frozen has no moments; and there are two counts of updates.
    assert compiled.memory.optimizer == 2 * (parameters - frozen) + 4 * 2


@pytest.fixture
def with_libtpu():
    """The environment of a process that compiles for TPUs."""
    if not (LIBTPU / "libtpu").is_dir():
        pytest.skip(f"libtpu is not installed in {LIBTPU}: make test-all does that, on Linux")
    return {**os.environ, "PYTHONPATH": str(LIBTPU)}


PRODUCTS_FOR_TPUS = """
import re, sys
from dataclasses import replace
from train.planning.abstract_step import abstract_step
from train.planning.tpus import find_topology
from train.recipes import DISTILL
from train.update.parallel import Parallel, ParallelConfig

recipe = replace(DISTILL["tiny"](), dtype=sys.argv[1], teacher=sys.argv[2])
recipe = replace(recipe, student=replace(recipe.student, layers="0,1"))
machine = Parallel(ParallelConfig(), find_topology("v5e:1x1").devices())
program = abstract_step(recipe, 10).lower(machine, 8, 1).compile().as_text()
products = re.findall(r"= \\S+ (?:convolution|dot)\\(.*", program)
print(len(products), sum("operand_precision={highest,highest}" in line for line in products))
"""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_compiled_for_tpus_have_the_precision_of_their_dtype(tmp_path, with_libtpu, dtype):
    shape = runs.MODEL.replace(hidden_size=128, max_positions=64)
    teacher = runs.write_teacher(tmp_path / "teacher", shape)
    done = subprocess.run(
        [sys.executable, "-c", PRODUCTS_FOR_TPUS, dtype, str(teacher)],
        env=with_libtpu,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    products, precise = map(int, done.stdout.split())
    assert products > 3 * 3 * 6  # layers of student and teacher, forward and backward
    assert precise == (products if dtype == "float32" else 0)


@pytest.mark.slow
def test_a_step_of_two_layers_compiled_for_tpus(tmp_path, with_libtpu):
    teacher = runs.write_teacher(
        tmp_path / "teacher", runs.MODEL.replace(hidden_size=128, max_positions=64)
    )
    file = tmp_path / "plan.json"
    flags = ["--teacher", str(teacher), "--batch-size", "64", "--micro-batches", "2"]
    # The search has no place here: near the limit the compiler takes minutes to save memory.
    flags += ["--student.layers", "0,1", "--no-search", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "train.plan", "distill:tiny", "--topology", "v5e:2x4", *flags],
        env=with_libtpu,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(file.read_text())
    assert numbers["fits_as_it_stands"]
    assert "It fits: 2 micro-batches of 4 sequences a chip" in done.stdout
    assert numbers["beside_reductions"] == []
    memory = numbers["bytes_per_device"]
    assert sum(one["total"] for one in numbers["collectives"]) <= memory["parameters"] * 1.5
    assert memory["temporaries"] > 0
