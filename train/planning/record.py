"""A plan: its settings, its results, and the record of both for a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from data.storage.provenance import provenance
from model.ranges import Length, Range
from train.config import TrainConfig
from train.planning.abstract_step import sequence_length
from train.planning.compiler import CompiledStep
from train.planning.largest_batch import Search
from train.planning.run_length import RunLength
from train.planning.tpus import Topology


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Settings of a plan: the chips, and the assumptions."""

    topology: str
    """The slice, such as `v5e:4x4`: chip (v3, v4, v5e, v5p, v6e) and layout."""
    utilisation: Annotated[float, Range(0, 1, above=True)] = 0.4
    """Assumed share of the chips' peak that the step reaches, in model FLOPs."""
    price: Annotated[float, Range(0, 10**6, above=True)] | None = None
    """Dollars of a chip-hour; by default about the list price."""
    sequences: Annotated[int, Range(1, 10**12)] | None = None
    """Sequences or examples of an epoch; by default from the published size of the data."""
    line_tokens: Length | None = None
    """Assumed tokens of a text where none sees another (`--data.mode lines`); by default from the
    published lengths of the corpus, or 128."""
    search: bool = True
    """Look for the largest batch that fits: three or four times as much to compile."""
    json: Path | None = None
    """A file for every number, the assumptions and the versions."""


@dataclass(frozen=True)
class Plan:
    """The results of a plan."""

    topology: Topology
    recipe: TrainConfig
    run: RunLength
    divides: bool
    """True where the chips can share the recipe's micro-batches."""
    too_large: str | None
    """Memory that they, or as many as can be shared, need where they do not fit: "27G of 16G"."""
    step: CompiledStep | None
    """The step as it can run: the recipe's or, where that does not fit, with more micro-batches."""
    search: Search
    flops: int
    """Of an update, on all chips."""
    unexpected: list[str]
    """Exchanges between devices other than sums of gradients and metrics, a line each."""
    seconds: float
    """Of an update, at the assumed utilisation."""
    price: float

    @property
    def fits(self) -> bool:
        """True where the recipe runs unchanged."""
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
    exchanges = [] if usable is None else usable.collectives
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
        "collectives": [vars(one) | {"total": one.total} for one in exchanges],
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
