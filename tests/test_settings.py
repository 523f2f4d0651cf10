"""Every number and text of every command: refused before any work, unless it makes sense."""

import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import pytest
import tyro

from eval.attend.__main__ import AttendConfig, show_attention
from eval.compare.__main__ import CompareConfig, compare_runs
from eval.export.__main__ import ExportConfig, export_onnx
from eval.fidelity.__main__ import FidelityConfig, evaluate_fidelity
from eval.generate import GenerateConfig, generate
from eval.glue import Glue, run_glue
from eval.kept.__main__ import KeptConfig, measure_kept
from eval.link import Linking, link_documents
from eval.masked_lm import Evaluation, evaluate_checkpoint
from eval.memory import MemoryUse, measure_memory
from eval.perplexity import PerplexityEvaluation, evaluate_perplexity
from eval.predict import PredictConfig
from eval.predict import run as predict_texts
from eval.retrieval import RetrievalEvaluation, evaluate_retrieval
from eval.run import TaskEvaluation, evaluate_task
from eval.search import SearchConfig, search
from eval.serve.__main__ import ServeConfig, serve
from eval.speed import MEASUREMENTS, speed
from eval.timing.measurement import run_measurement
from model.errors import InputError
from model.ranges import MayBeEmpty, Range, check_settings, marks_in
from tests.test_commands import MODULES
from train.ablate import ablate
from train.command.cli import choose, main
from train.distill import distill
from train.finetune import finetune
from train.plan import plan
from train.planning.record import PlanConfig
from train.pretrain import pretrain
from train.quickstart import Quickstart, quickstart
from train.recipes import DISTILL, FINETUNE, PRETRAIN
from train.share import ShareConfig, share
from train.studies.catalogue import STUDIES

TINY = DISTILL["tiny"]()
# The settings of a command, and the function that it calls.
COMMANDS: dict[str, tuple[Any, Callable[[Any], object]]] = {
    "train.pretrain": (PRETRAIN["tiny"](), pretrain),
    "train.pretrain causal": (PRETRAIN["causal"](), pretrain),
    "train.distill": (TINY, distill),
    "train.distill causal": (DISTILL["causal"](), distill),
    "train.finetune": (FINETUNE["classification"](), finetune),
    "train.ablate": (STUDIES["objectives"](), ablate),
    "train.plan": (PlanConfig(topology="v5e:1x1"), lambda config: plan(config, TINY)),
    "train.quickstart": (Quickstart(), quickstart),
    "train.share": (ShareConfig(folder=Path("model"), name="user/name"), share),
    "eval.masked_lm": (Evaluation(model="model"), evaluate_checkpoint),
    "eval.perplexity": (PerplexityEvaluation(model="model"), evaluate_perplexity),
    "eval.run": (TaskEvaluation(model="model", task="sst2"), evaluate_task),
    "eval.predict": (PredictConfig(model="model"), predict_texts),
    "eval.link": (
        Linking(models=("model",), dictionary=Path("medic.txt"), test=(Path("test.txt"),)),
        link_documents,
    ),
    "eval.serve": (ServeConfig(model="model"), serve),
    "eval.search": (
        SearchConfig(model="model", corpus=Path("corpus.jsonl"), queries=("query",)),
        search,
    ),
    "eval.retrieval": (
        RetrievalEvaluation(model="model", collection="scifact"),
        evaluate_retrieval,
    ),
    "eval.generate": (GenerateConfig(model="model"), generate),
    "eval.compare": (CompareConfig(runs=(Path("run"),)), compare_runs),
    "eval.export": (ExportConfig(model="model", onnx=True), export_onnx),
    "eval.fidelity": (FidelityConfig(model="model", teacher="teacher"), evaluate_fidelity),
    "eval.attend": (AttendConfig(model="model", text="text"), show_attention),
    "eval.glue": (Glue(teacher="teacher", student="student"), run_glue),
    "eval.kept": (
        KeptConfig(teacher=(Path("teacher"),), student=(Path("student"),)),
        measure_kept,
    ),
    "eval.memory": (MemoryUse(), lambda settings: run_measurement(settings, measure_memory)),
    **{f"eval.speed {name}": (kind(), speed) for name, kind in MEASUREMENTS.items()},
}
# Those of a folder only, and one with the settings and the start of train.finetune.
OTHERS = {"eval.report", "eval.study_report", "eval.against_torch"}

NEVER = {float: (math.nan, math.inf, -math.inf, 1e30), int: (10**26,)}
# As sizes these would take terabytes, or never end.
HUGE = {
    **dict.fromkeys(("hidden_size", "intermediate_size", "vocab_size", "max_positions"), 10**9),
    **dict.fromkeys(("sequence_length", "batch_size", "micro_batches", "group_rows"), 10**9),
    "num_layers": 10**6,
}
MAY_BE_NEGATIVE = {"null_threshold", "length_penalty"}


class Leaf(NamedTuple):
    """A setting that is no table of others."""

    names: tuple[str, ...]
    kinds: tuple[Any, ...]
    """Its type, or those of a union."""
    ranges: tuple[Range, ...]
    may_be_empty: bool

    def holds(self, *wanted: type) -> type | None:
        """The first of these types that it holds, alone or in a tuple."""
        held = {each for kind in self.kinds for each in (kind, *get_args(kind))}
        return next((kind for kind in wanted if kind in held), None)

    def shapes(self, value: Any) -> list[Any]:
        """The value in every form that this setting can take: alone, in a tuple."""
        alone = [value] if type(value) in self.kinds else []
        tuples = [get_args(kind) for kind in self.kinds if get_origin(kind) is tuple]
        return alone + [(value,) if ... in each else (value,) * len(each) for each in tuples]


def leaves(config: Any) -> Iterator[Leaf]:
    types = get_type_hints(type(config))
    hints = get_type_hints(type(config), include_extras=True)
    for field in fields(config):
        value, kind, hint = getattr(config, field.name), types[field.name], hints[field.name]
        if is_dataclass(value):
            yield from (leaf._replace(names=(field.name, *leaf.names)) for leaf in leaves(value))
        elif tyro.conf.Suppress not in getattr(hint, "__metadata__", ()):
            kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
            empty = any(marks_in(hint, MayBeEmpty))
            yield Leaf((field.name,), kinds, tuple(marks_in(hint, Range)), empty)


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not [*tmp_path.iterdir()]


@cache
def flags(command: str) -> set[str]:
    """The flags of a command, and its arguments, as its help lists them."""
    config, _ = COMMANDS[command]
    printed = io.StringIO()
    with pytest.raises(SystemExit), redirect_stdout(printed):
        tyro.cli(type(config), default=config, args=["--help"])
    return set(re.findall(r"--[\w.-]+|\b[A-Z]+\b", printed.getvalue()))


def changed(config: Any, names: tuple[str, ...], value: Any) -> Any:
    first, *rest = names
    inner = changed(getattr(config, first), tuple(rest), value) if rest else value
    return replace(config, **{first: inner})


def is_refused(command: str, leaf: Leaf, value: Any) -> None:
    """Checks that the command refuses a value, in one sentence that names its flag."""
    config, run = COMMANDS[command]
    with pytest.raises(InputError) as refused:
        run(changed(config, leaf.names, value))
        pytest.fail(f"{leaf} may be {value!r}")
    flag, _, sentence = str(refused.value).partition(" ")
    # A model's shape, built in Python too, calls its fields by their names.
    assert flag in flags(command) or leaf.names == ("model", flag), refused.value
    name = flag.replace("-", "_").lower().strip("_").removesuffix("y")  # QUERY, of `queries`
    assert name in ".".join(leaf.names)
    assert re.match(r"(\.\.\. )?(is|names) ", sentence) and "\n" not in sentence


def test_all_commands_are_here():
    assert {name.split()[0] for name in COMMANDS} | OTHERS == set(MODULES)


@pytest.mark.parametrize("command", COMMANDS)
def test_numbers_are_refused_out_of_their_range(command):
    for leaf in leaves(COMMANDS[command][0]):
        if (kind := leaf.holds(int, float)) is None:
            continue
        assert len(leaf.ranges) == 1, leaf
        limits, name = leaf.ranges[0], leaf.names[-1]
        wrong = [*NEVER[kind], *([HUGE[name]] if name in HUGE else [])]
        wrong += [kind(-1)] if name not in MAY_BE_NEGATIVE else []
        wrong += [kind(0)] if limits.above or limits.least > 0 else []
        for value in wrong:
            shapes = leaf.shapes(value)
            assert shapes
            for shape in shapes:
                is_refused(command, leaf, shape)


def test_all_recipes_are_within_their_ranges():
    for recipes in (PRETRAIN, DISTILL, FINETUNE, STUDIES):
        for recipe in recipes.values():
            check_settings(recipe())


@pytest.mark.parametrize("command", COMMANDS)
def test_texts_are_refused_when_they_are_none(command):
    for leaf in leaves(COMMANDS[command][0]):
        if leaf.holds(str):
            empty = () if leaf.may_be_empty else leaf.shapes("")
            for shape in (*empty, *leaf.shapes("a\0b"), *leaf.shapes("a\udcff")):
                is_refused(command, leaf, shape)


def test_a_plan_checks_its_recipe():
    with pytest.raises(InputError, match="--steps is 0: give a number from 1"):
        plan(PlanConfig(topology="v5e:1x1"), replace(TINY, steps=0))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--optimizer.learning-rate", "nan"], "is nan: give a number from 0 to 10"),
        (["--steps", "9" * 26], f"is {'9' * 26}: give a number from 1 to 1000000000"),
        (["--loss.ce.temperature", "2", "inf"], "is inf: give a number from 0.01 to 1000"),
        (["--seed", "-1"], "is -1: give a number from 0 to 1000000000"),
        (["--data.tokenizer", "é\udcff"], "which is no text in the encoding of this terminal"),
    ],
)
def test_flags_on_the_command_line(words, sentence, capsys):
    with pytest.raises(SystemExit) as done:
        main(lambda: distill(choose(DISTILL, "train.distill", ["tiny", *words])))
    printed = capsys.readouterr().err
    assert done.value.code == 2
    assert (
        printed.startswith(f"error: {words[0]} is ")
        and sentence in printed
        and printed.count("\n") == 1
    )


def test_a_study_names_the_variant_whose_number_is_out_of_range():
    study = STUDIES["layers"]()
    wrong = replace(study.variants[1], settings={"optimizer.weight_decay": math.nan})
    study = replace(study, variants=(study.variants[0], wrong))
    with pytest.raises(InputError, match=f"variant '{wrong.name}': --optimizer.weight-decay is na"):
        ablate(study)


def test_a_seed_leaves_room_for_that_of_the_tuning():
    study = STUDIES["objectives"]()
    with pytest.raises(InputError, match="--seed is 0, and --tune tries rates"):
        ablate(replace(study, base=replace(study.base, seed=0)))
    study = replace(STUDIES["layers"](), task_tune=(1e-4,))
    with pytest.raises(InputError, match="--seed is 0, and --task-tune tries rates"):
        ablate(replace(study, base=replace(study.base, seed=0)))
