"""Measurements: what all of them ask of a user, check, print and write."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
from rich.console import Console

from data.storage.atomic import check_writable
from data.storage.provenance import provenance, versions, write_json_atomic
from model.errors import InputError
from model.ranges import check_settings
from model.terminal import say
from report.tables import duration


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Settings that every measurement has."""

    json: Path | None = None
    """A file for every number, the versions and the machine."""

    def check(self) -> None:
        """Raises InputError for what cannot be measured."""
        check_settings(self)


Settings = TypeVar("Settings", bound=Measurement)
Measure = Callable[[Settings, Console], dict[str, Any]]


def run_measurement(settings: Settings, measure: Measure[Settings]) -> dict[str, Any]:
    """Measures, prints, and writes the file that was asked for.

    Args:
        settings: of the measurement.
        measure: returns all numbers of a measurement, after printing its tables.

    Returns:
        The numbers, with the load of the machine before.

    Raises:
        InputError: a setting makes no sense, or asks for a device or library that is not there.
    """
    settings.check()
    check_writable(settings.json)
    jax.config.update("jax_enable_compilation_cache", False)  # compiling is measured too
    load = os.getloadavg()[0]
    # In a file or pipe lines are not broken; rich would fold a table at 80 columns.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    result = {**measure(settings, console), "load_average_before": load}
    if settings.json is not None:
        record = provenance()
        against = getattr(settings, "against", None) or ()
        if "torch" in against:
            record["versions"] |= versions(("torch", "transformers"))
        if "onnxruntime" in against:
            record["versions"] |= versions(("onnx", "onnxruntime"))
        if device := result.get("device"):  # this very process computes nothing on it
            record["devices"] |= {name: device[name] for name in ("platform", "kind")}
        write_json_atomic(settings.json, {**result, "settings": settings, "provenance": record})
    return result


def announced(what: str) -> Callable[[float], None]:
    """A function that says how many seconds the timed runs of `what` will take at most."""
    return lambda seconds: say(f"{what}: at most {duration(seconds)} more")


def check_lengths(lengths: Sequence[int], positions: int) -> None:
    """Raises InputError for a --sequence-length that models of so many positions cannot read."""
    for length in lengths:
        if not 1 <= length <= positions:
            raise InputError(
                f"--sequence-length is {length}: the models read 1 to {positions} tokens"
            )
