"""A study of your own, in a TOML file as docs/studies.md describes it."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from flax.traverse_util import flatten_dict

from model.errors import InputError, did_you_mean
from model.typed import as_type
from train.config import DistillConfig
from train.recipes import DISTILL
from train.studies.config import Control, StudyConfig, Variant, combined, crossed
from train.studies.settings import with_settings

STUDY_KEYS = {
    "title": str,
    "base": str,
    "settings": Mapping[str, Any],
    "primary": str,
    "better": Literal["higher", "lower"],
    "controls": tuple[Control, ...],
    "normalised": bool,
    "downstream": tuple[str, ...],
    "variants": Any,
    "search": Mapping[str, Any],
    "factors": Mapping[str, Mapping[str, Mapping[str, Any]]],
}
VARIANT_KEYS = {"name": str, "about": str, "settings": Mapping[str, Any], "against": str}


def read_study_file(path: Path) -> Callable[[], StudyConfig]:
    """The study that a file describes, as a recipe.

    Raises:
        InputError: the file cannot be read, or something in it is not as described there.
    """
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, or of tables too deep
        raise InputError(f"{path} is not TOML: {error}") from error
    known = _checked(record, STUDY_KEYS, str(path))
    tables = known.pop("variants", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: write [[variants]] in front of every variant")
    name = known.pop("base", "tiny")
    if name not in DISTILL:
        raise InputError(
            f"{path}: base {name!r} is no recipe of train.distill; {did_you_mean(name, DISTILL)}"
        )
    base = DISTILL[name]()
    if not isinstance(base, DistillConfig):
        raise InputError(f"{path}: base {name!r} distils a decoder, and a study encoders: name one")
    base = replace(base, output=Path("runs") / path.stem)
    variants = []
    for number, table in enumerate(tables, 1):
        where = f"{path}, variant {number}"
        if "name" not in table:
            raise InputError(f"{where} has no name")
        variants.append(Variant(**_checked(table, VARIANT_KEYS, where)))
    search: dict[str, Any] = flatten_dict(dict(known.pop("search", {})), sep=".")
    if search and variants:
        raise InputError(f"{path}: write [[variants]] or [search], not both")
    for name, values in search.items():
        if not isinstance(values, list) or not values:
            raise InputError(
                f"{path}, search: {name} is {values!r}, and must be a list of the values to try"
            )
    base = with_settings(base, known.pop("settings", {}), f"{path}, settings")
    if search:
        variants = combined(search, base)
    factors = {
        factor: {name: flatten_dict(dict(own), sep=".") for name, own in levels.items()}
        for factor, levels in known.pop("factors", {}).items()
    }
    if factors and any(variant.against for variant in variants):
        raise InputError(
            f"{path}: with factors every variant is compared with the first: leave out against"
        )
    study = StudyConfig(
        name=path.stem,
        file=path,
        base=base,
        variants=crossed(variants, **factors) if factors else tuple(variants),
        **{"title": path.stem, **known},
    )

    def recipe() -> StudyConfig:
        return study

    recipe.__doc__ = study.title
    return recipe


def _checked(table: dict[str, Any], kinds: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A table's values, of the right types; its settings under dotted names."""
    values = {}
    for key, value in table.items():
        if key not in kinds:
            raise InputError(f"{where}: there is no key {key!r}; {did_you_mean(key, kinds)}")
        values[key] = as_type(kinds[key], value, where, key)
    if "settings" in values:
        # TOML reads a.b = 1 as the table a = {b = 1}.
        values["settings"] = flatten_dict(values["settings"], sep=".")
    return values
