"""A study of one's own, in a TOML file.

title = "Does the temperature matter?"
base = "tiny"                                a recipe of train.distill
flags = "--steps 500"                        optional: what changes in it for all
primary = "masked_lm_accuracy"               optional, as better = "higher"

[[variants]]                                 the first is the reference
name = "T 2"
[[variants]]
name = "T 8"
about = "softer targets"                     optional
flags = "--loss.ce.temperature 8"
"""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.errors import InputError, did_you_mean
from train.recipes import DISTILL
from train.studies.config import StudyConfig, Variant, changed

KEYS = ("title", "base", "flags", "primary", "better", "variants")
OF_VARIANT = ("name", "about", "flags")


def read_study_file(path: Path) -> Callable[[], StudyConfig]:
    """The study that a file describes, as a recipe.

    Raises:
        InputError: the file cannot be read, or something in it is not as above.
    """
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise InputError(f"{path} is not TOML: {error}") from error
    _check_keys(record, KEYS, str(path))
    name = record.get("base", "tiny")
    if name not in DISTILL:
        raise InputError(
            f"{path}: base {name!r} is no recipe of train.distill; {did_you_mean(name, DISTILL)}"
        )
    tables = record.get("variants", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: write [[variants]] in front of every variant")
    if record.get("better", "higher") not in ("higher", "lower"):
        raise InputError(f"{path}: better is {record['better']!r}, and must be higher or lower")
    for number, table in enumerate(tables, 1):
        _check_keys(table, OF_VARIANT, f"{path}, variant {number}")
        if "name" not in table:
            raise InputError(f"{path}, variant {number} has no name")
    base = replace(DISTILL[name](), output=Path("runs") / path.stem)
    study = StudyConfig(
        name=path.stem,
        title=record.get("title", path.stem),
        variants=tuple(Variant(**table) for table in tables),
        base=changed(base, record.get("flags", ""), f"{path}, flags"),
        **{key: record[key] for key in ("primary", "better") if key in record},
    )

    def recipe() -> StudyConfig:
        return study

    recipe.__doc__ = study.title
    return recipe


def _check_keys(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key, value in table.items():
        if key not in known:
            raise InputError(f"{where}: there is no key {key!r}; {did_you_mean(key, known)}")
        if key != "variants" and not isinstance(value, str):
            raise InputError(f"{where}: {key} must be a text in quotes, and is {value!r}")
