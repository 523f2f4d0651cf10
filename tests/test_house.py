"""House rules: small rooms, one meaning a name, plain openings, shape checks that work."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from data.batches import rows_of_host
from eval.timing.finetuning import lengths_of
from model.losses import cross_entropy
from report.predictions.confusion import draw_confusion
from tasks.texts.metrics import combine_windows
from train.objectives.losses import cosine_distance

ROOT = Path(__file__).parent.parent
PACKAGES = ("model", "data", "tasks", "report", "train", "eval")
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
MOST_MODULES = 16

NOT_A_NUMBER: Any = "three"
WRONG = {
    "model": lambda: cross_entropy(jnp.zeros((2, 3)), jnp.zeros((5,), jnp.int32)),
    "data": lambda: rows_of_host(NOT_A_NUMBER, 1, 0, 1),
    "tasks": lambda: combine_windows(np.zeros((3, 2)), np.zeros(4, np.int64)),
    "report": lambda: draw_confusion(np.zeros(3, np.int64), ("a", "b"), title="t"),
    "train": lambda: cosine_distance(jnp.zeros((2, 3)), jnp.zeros((2, 4))),
    "eval": lambda: lengths_of(NOT_A_NUMBER, 128),
}


@pytest.mark.parametrize("package", PACKAGES)
def test_wrong_shapes_are_refused(package):
    """A package that --jaxtyping-packages does not name would pass all tests unchecked."""
    with pytest.raises(jaxtyping.TypeCheckError):
        WRONG[package]()


def test_a_room_holds_at_most_sixteen_modules():
    modules = defaultdict(list)
    for path in MODULES:
        if path.name != "__init__.py":
            modules[path.parent].append(path.name)
    assert {room for room, names in modules.items() if len(names) > MOST_MODULES} == set()


def public_names(path: Path) -> Iterator[str]:
    """The names that a module defines at its top level, without loggers and type variables."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and "TypeVar" in ast.unparse(node.value):
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        else:
            continue
        yield from (name for name in names if not name.startswith("_") and name != "logger")


def test_a_public_name_means_one_thing():
    places = defaultdict(list)
    for path in MODULES:
        for name in dict.fromkeys(public_names(path)):
            places[name].append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_only_the_clock_subtracts_times():
    """Where a clock stands still, a difference of its times is no divisor."""
    subtracted = re.compile(r"perf_counter\(\) - ")
    places = [path for path in MODULES if subtracted.search(path.read_text())]
    assert places == [ROOT / "data/clock.py"]


def calls(path: Path, function: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function:
            yield node


def test_only_one_module_prints():
    """`say` shows what texts of others hold; `print` sends it to the terminal."""
    places = {str(path.relative_to(ROOT)) for path in MODULES for _ in calls(path, "print")}
    # Its last print is read by another process of ours.
    assert places == {"model/terminal.py", "train/command/supervisor.py"}


def test_no_console_takes_names_in_brackets_for_styles():
    markup = [
        {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}.get("markup")
        for path in MODULES
        for call in calls(path, "Console")
    ]
    assert markup and set(markup) == {"False"}


def test_docstrings_open_with_what_a_thing_is():
    opening = re.compile(r"(What|How|Which|Whether|Where|When|Why|Who)\b")
    questions = [
        f"{path.relative_to(ROOT)}: {docstring.splitlines()[0]}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and (docstring := ast.get_docstring(node)) is not None
        and opening.match(docstring)
    ]
    assert questions == []
