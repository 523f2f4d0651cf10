"""A plan: what was asked and assumed, and what came out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.storage.provenance import provenance
from model.errors import InputError, above_zero
from train.config import TrainConfig
from train.planning.abstract_step import sequence_length
from train.planning.collectives import Collective
from train.planning.compiler import CompiledStep
from train.planning.largest_batch import Search
from train.planning.run_length import Run
from train.planning.tpus import Topology


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What is planned for, and what is assumed."""

    topology: str
    """The slice, as `v5e:4x4`: chip (v3, v4, v5e, v5p, v6e) and layout."""
    utilisation: float = 0.4
    """Assumed share of the chips' peak that the step reaches, in model FLOPs."""
    price: float | None = None
    """Dollars of a chip-hour; by default about the list price."""
    sequences: int | None = None
    """Sequences or examples of an epoch; by default from the published size of the data."""
    line_tokens: int = 128
    """Assumed tokens of a sequence where every text is one (`--data.mode lines`)."""
    search: bool = True
    """Look for the largest batch that fits: three or four times as much to compile."""
    json: Path | None = None
    """A file for every number, the assumptions and the versions."""

    def check(self) -> None:
        """Raises InputError for what cannot be assumed."""
        if not 0 < self.utilisation <= 1:
            raise InputError(f"--utilisation is {self.utilisation}, and must be above 0, at most 1")
        above_zero(self, "price", "sequences", "line_tokens")


@dataclass(frozen=True)
class Plan:
    """What came out."""

    topology: Topology
    recipe: TrainConfig
    run: Run
    divides: bool
    """Whether the chips can share the recipe's micro-batches."""
    too_large: str | None
    """What those, or as many as can be shared, would need, where they do not fit."""
    step: CompiledStep | None
    """As it can run: that of the recipe or, where that does not fit, with more micro-batches."""
    search: Search
    flops: int
    """Of an update, on all chips."""
    collectives: list[Collective]
    unexpected: list[str]
    seconds: float
    """Of an update, at the assumed utilisation."""
    price: float

    @property
    def fits(self) -> bool:
        """Whether the recipe runs as it stands."""
        return self.divides and self.too_large is None

    @property
    def hours(self) -> float | None:
        updates = self.run.updates
        return None if updates is None else updates * self.seconds / 3600

    @property
    def dollars(self) -> float | None:
        return None if self.hours is None else self.hours * self.topology.chips * self.price


def record(config: PlanConfig, name: str, made: Plan) -> dict[str, Any]:
    """Every number of a plan, for a file."""
    usable, search = made.step, made.search
    return {
        "recipe": name,
        "topology": made.topology.name,
        "chips": made.topology.chips,
        "devices": made.topology.chips * made.topology.chip.devices,
        "batch_size": made.recipe.batch_size,
        "sequence_length": sequence_length(made.recipe),
        "fits_as_it_stands": made.fits,
        "divides_as_it_stands": made.divides,
        "needs_as_it_stands": made.too_large,
        "micro_batches": None if usable is None else usable.micro_batches,
        "rows_per_device": None if usable is None else usable.rows,
        "bytes_per_device": None if usable is None else vars(usable.memory),
        "largest_rows_per_device": search.largest,
        "bytes_by_rows": search.fits,
        "rows_that_do_not_fit": sorted(search.too_large),
        "flops_per_update": made.flops,
        "compiler_flops_per_device": None if usable is None else usable.flops,
        "collectives": [vars(one) | {"total": one.total} for one in made.collectives],
        "beside_reductions": made.unexpected,
        "seconds_per_update": made.seconds,
        "updates": made.run.updates,
        "updates_because": made.run.because,
        "hours": made.hours,
        "dollars": made.dollars,
        "price": made.price,
        "peak_flops_per_chip": made.topology.chip.peak,
        "settings": config,
        "configuration": made.recipe,
        "provenance": provenance(),
    }
