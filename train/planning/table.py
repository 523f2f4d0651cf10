"""Plans side by side, as tables in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.hf.config import read_settings
from model.typed import as_type
from report.markdown import code, escaped, text_table
from train.planning.compiler import GIB, DeviceMemory
from train.planning.tpus import find_topology

_HEADER = (
    *("slice", "chips", "micro-batches x sequences a device", "weights", "temporaries", "all"),
    *("of", "most sequences", "summed, MB", "tokens/s", "hours", "$"),
)


@dataclass(frozen=True)
class PlanTables:
    """Print plans side by side as tables, one for each recipe, small slices first."""

    table: tuple[Path, ...]
    """Files that `train.plan --json` wrote."""


@dataclass(frozen=True)
class _Exchange:
    """An exchange between devices, as a plan's file has it."""

    total: int


@dataclass(frozen=True)
class _Planned:
    """The part of a plan's file (train/planning/record.py) that tables show."""

    recipe: str
    topology: str
    chips: int
    batch_size: int
    sequence_length: int
    flops_per_update: float
    seconds_per_update: float
    updates: int | None
    updates_because: str
    hours: float | None
    dollars: float | None
    fits_as_it_stands: bool
    micro_batches: int | None
    rows_per_device: int | None
    largest_rows_per_device: int | None
    bytes_per_device: DeviceMemory | None
    collectives: tuple[_Exchange, ...]


def plan_tables(files: Sequence[Path]) -> str:
    """A table for each recipe in these files of `train.plan --json`, small slices first.

    Raises:
        InputError: a file is no plan.
    """
    recipes: dict[str, list[_Planned]] = {}
    for file in files:
        made = as_type(_Planned, read_settings(file), f"{file} is no plan of train.plan --json")
        recipes.setdefault(made.recipe, []).append(made)
    parts = []
    for name, plans in recipes.items():
        plans.sort(key=lambda made: (made.topology.split(":")[0] != "v5e", made.chips))
        first = plans[0]
        tokens = first.batch_size * first.sequence_length
        updates = first.updates
        parts.append(
            f"{code(name)}: {first.batch_size:,} sequences of {first.sequence_length} tokens "
            f"and {first.flops_per_update:.3g} FLOPs an update "
            f"({first.flops_per_update / tokens / 1e9:.2f} GFLOP a token); "
            + (f"{updates:,} updates ({escaped(first.updates_because)})." if updates else "")
        )
        parts.append(text_table(_HEADER, [_line(made) for made in plans]))
    return "\n\n".join(parts)


def _line(made: _Planned) -> list[str]:
    memory, chip = made.bytes_per_device, find_topology(made.topology).chip
    tokens = made.batch_size * made.sequence_length / made.seconds_per_update
    cost = [f"{tokens:,.3g}" if tokens < 1000 else f"{tokens:,.0f}"]
    for value in (made.hours, made.dollars):
        cost.append("" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}")
    if memory is None:
        return [made.topology, f"{made.chips}", "none fits", *[""] * 6, *cost]
    mark = "" if made.fits_as_it_stands else " *"
    weights = memory.parameters + memory.constants + memory.optimizer
    sizes = (weights, memory.temporaries, memory.total)
    largest = made.largest_rows_per_device
    return [
        made.topology,
        f"{made.chips}",
        f"{made.micro_batches} x {made.rows_per_device}{mark}",
        *(f"{value / GIB:.2f}" for value in sizes),
        f"{chip.hbm_gib}",
        "" if largest is None else f"{largest}",
        f"{sum(one.total for one in made.collectives) / 1e6:,.0f}",
        *cost,
    ]
