"""The run folder: which run it holds, and whether a command may resume that."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from data.storage.atomic import make_folder
from data.storage.holding import holding
from data.storage.mirror import address, download, upload
from data.storage.provenance import changed_fields, provenance, to_jsonable, write_json_atomic
from data.storage.run_folder import CONFIG, read_run_config
from model.errors import InputError
from model.hf.temporaries import contents
from train.command.processes import first_before_others, is_first
from train.config import TrainConfig

SECONDS_TO_APPEAR = 20.0
TEACHER_TEXTS = "teacher-texts.jsonl"
"""What a teacher wrote for the run, which is there before it begins."""

# Fields that may differ when a run resumes: how it is carried out, where things lie, and what is
# expected.
FREE = frozenset(
    {
        *("run", "output", "data.cache", "provenance", "first_hour"),
        *("teacher_cache", "cache.max_gb"),  # the answers themselves are among the facts
    }
)

Config = TypeVar("Config", bound=TrainConfig)
Rest = ParamSpec("Rest")
Result = TypeVar("Result")


def alone_in_output(
    run: Callable[Concatenate[Config, Rest], Result],
) -> Callable[Concatenate[Config, Rest], Result]:
    """The function, with its run folder kept from other commands while it runs.

    Process 0 does that for all processes of a run.

    Raises:
        InputError: another command has the folder.
    """

    @wraps(run)
    def alone(config: Config, *rest: Rest.args, **named: Rest.kwargs) -> Result:
        with holding(config.output) if is_first() else nullcontext():
            return run(config, *rest, **named)

    return alone


def claim(config: TrainConfig, kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Writes `config.json` into a new run folder, or checks that an old one holds this very run.

    Args:
        config: the fully resolved configuration.
        kind: the loop: `pretrain`, `distill`, `finetune` or `ablate`.
        facts: fingerprints of what the configuration names, such as corpus and tokenizer.

    Returns:
        What `config.json` holds.

    Raises:
        InputError: the folder holds something else; the message names the fields that differ.
    """
    record = {"kind": kind, **to_jsonable(config), "facts": facts}
    with first_before_others():
        if is_first():
            return _claim_first(config, record)
        if address(config.output) is None:
            _wait_for(config.output / CONFIG)
        return record


def _claim_first(config: TrainConfig, record: dict[str, Any]) -> dict[str, Any]:
    folder, path = config.output, config.output / CONFIG
    download(folder)
    if path.exists():
        _check_same(path, record)
    elif any(path.name != TEACHER_TEXTS for path in contents(folder)):
        raise InputError(
            f"{folder} is not empty and holds no run: choose another folder with --output"
        )
    make_folder(folder)
    record["provenance"] = provenance()
    write_json_atomic(path, record)
    upload(folder)
    return record


def _wait_for(path: Path) -> None:
    """Waits until a file of another process is seen; a shared file system may take a while.

    Raises:
        InputError: it is not seen in time.
    """
    deadline = time.monotonic() + SECONDS_TO_APPEAR
    while not path.exists():
        if time.monotonic() > deadline:
            raise InputError(
                f"{path.parent} is not the folder that process 0 has: give a folder of a file "
                "system that all hosts share with --output"
            )
        time.sleep(0.5)


def _check_same(path: Path, record: dict[str, Any]) -> None:
    old = read_run_config(path.parent)
    if old.get("kind") != record["kind"]:
        raise InputError(
            f"{path.parent} holds another run, of train.{old.get('kind')}: "
            "choose another folder with --output"
        )
    changed = changed_fields(old, record, ignore=FREE)
    if changed:
        field = changed[0]
        before, now = _lookup(old, field), _lookup(record, field)
        others = f" (and {', '.join(changed[1:])})" if changed[1:] else ""
        raise InputError(
            f"{path.parent} holds another run: {field} is {before} there and {now} here{others}; "
            "give it the old value to resume that run, or choose another folder with --output"
        )


def _lookup(tree: dict[str, Any], dotted: str) -> Any:
    value: Any = tree
    for name in dotted.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
