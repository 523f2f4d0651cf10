"""The files of a run folder that others read: its configuration and metrics."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from model.errors import InputError
from model.hf.config import read_settings
from model.typed import as_type, parse_json

CONFIG, METRICS = "config.json", "metrics.jsonl"


@dataclass(frozen=True)
class RunFacts:
    """Sizes of a run."""

    total_steps: int
    parameters: int


@dataclass(frozen=True)
class RunDevices:
    """The hardware of a run."""

    kind: str
    count: int


@dataclass(frozen=True)
class RunOrigin:
    """The part of a run's provenance that reports tell."""

    devices: RunDevices
    git: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """The part of a run's config.json that reports rely on."""

    kind: str
    seed: int
    facts: RunFacts
    provenance: RunOrigin
    model: Any = None
    """Of a fine-tuning the name of the model; otherwise its sizes."""
    task: str | None = None
    start: str | None = None
    """Of a pretraining the name of the model that it started from."""
    teacher: str | None = None
    report: str = "final"
    """Of a fine-tuning the step whose model is kept: `final` or `best`."""
    patience: int | None = None
    """Of a fine-tuning the evaluations without a better score after which it ends."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All of config.json."""


@dataclass(frozen=True)
class _Evaluated:
    """Fields that every row of metrics.jsonl has."""

    step: int
    kind: Literal["train", "heldout"]
    seconds: float


@dataclass(frozen=True)
class _Updated(_Evaluated):
    """Further fields of the row of an update."""

    tokens_per_second: float
    data_seconds: float


_MOST = 1e15  # of updates, seconds or tokens a second: above it stands only what was not measured


def read_run_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a run folder.

    Raises:
        InputError: there is none, or it is not JSON.
    """
    if folder.name == "model" and (folder.parent / METRICS).is_file():
        raise InputError(f"{folder} is the model of a run: name {folder.parent}")
    if not (folder / CONFIG).exists():
        raise InputError(f"{folder} is no run folder: it has no {CONFIG}")
    return read_settings(folder / CONFIG)


def read_run_record(folder: Path) -> RunRecord:
    """The `config.json` of a run folder, checked for what reports rely on.

    Raises:
        InputError: there is none, or it lacks something.
    """
    settings = read_run_config(folder)
    return replace(as_type(RunRecord, settings, str(folder / CONFIG)), settings=settings)


def read_metrics(folder: Path, *, whole: bool = False) -> list[dict[str, Any]]:
    """The rows of `folder`/metrics.jsonl, in order; a torn last line (after a kill) is left out.

    They are those of consecutive updates, each before its evaluation if there was one.

    Args:
        folder: of the run.
        whole: refuse a record that begins after the start of the run, as it does where the file
            was lost.

    Raises:
        InputError: there is no such file, or a line is not the row that comes next.
    """
    path = folder / METRICS
    if not path.is_file():
        raise InputError(f"{folder} is no run folder: it has no {METRICS}")
    rows: list[dict[str, Any]] = []
    for number, found in enumerate(json_rows(path), start=1):
        row = _checked(found, f"{path}, line {number}")
        if rows and (row["step"], row["kind"]) not in _next(rows[-1]):
            raise InputError(
                f"{path}, line {number}: {_named(row)} comes after {_named(rows[-1])}, so rows are "
                "missing, doubled or in another order: put back a copy of the file"
            )
        rows.append(row)
    if whole and (not rows or rows[0]["step"] > 0):
        first = _named(rows[0]) if rows else "nothing"
        raise InputError(
            f"{path} begins with {first}, and all rows from step 0 on are needed: put back a copy "
            f"of the file, or remove {folder} to make this run again"
        )
    return rows


def without_compilation(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The updates among `rows` that compiled nothing; where all did, all of them."""
    train = [row for row in rows if row["kind"] == "train"]
    return [row for row in train if "compiles" not in row] or train


def updates_done(folder: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """The updates of a run: up to its last row, or its newest checkpoint where rows are missing."""
    saved = [int(path.name) for path in (folder / "checkpoints").glob("*") if path.name.isdigit()]
    return max([*saved, *(row["step"] for row in rows)], default=0)


def json_rows(path: Path) -> Iterator[Any]:
    """The value of each line of a file of JSON lines; a torn last line is left out.

    Raises:
        InputError: a whole line is not JSON.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield parse_json(line)
            except ValueError as error:
                raise InputError(f"{path}, line {number} is not JSON: {line[:40]!r}") from error


def _checked(row: Any, where: str) -> dict[str, Any]:
    of_update = isinstance(row, dict) and row.get("kind") == "train"
    about = as_type(_Updated if of_update else _Evaluated, row, where)
    for name, value in vars(about).items():
        if name != "kind" and not 0 <= value < _MOST:
            raise InputError(
                f"{where}: {name} is {value!r:.60}, and must be between 0 and {_MOST:g}"
            )
    numbers = {name: value for name, value in row.items() if name not in ("step", "kind")}
    return {
        "step": about.step,
        "kind": about.kind,
        **as_type(Mapping[str, float], numbers, where),
    }


def _next(row: Mapping[str, Any]) -> set[tuple[int, str]]:
    update = (row["step"] + 1, "train")
    return {update, (row["step"], "heldout")} if row["kind"] == "train" else {update}


def _named(row: Mapping[str, Any]) -> str:
    return f"{'update' if row['kind'] == 'train' else 'the evaluation after update'} {row['step']}"
