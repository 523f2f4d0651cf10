"""TPU chips and the slices of them that exist, as devices that programs can be compiled for.

libtpu holds the whole compiler: it describes any slice on any Linux machine, without a TPU.
"""

import importlib.util
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from model.errors import InputError, did_you_mean

_SQUARES = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_NO_TPU = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5e-8",
    # The compiler may be at work several times: what allows one at a time is for chips.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8")


@dataclass(frozen=True)
class Chip:
    """One kind of TPU. Peak and memory are Google's published figures."""

    name: str
    peak: float
    """bfloat16 FLOP/s of a chip."""
    hbm_gib: float
    """Memory that a program can have on one device, in GiB, as the compiler says."""
    dollars: float
    """Of a chip-hour: an assumption, about the list price on demand in the United States."""
    slices: tuple[str, ...]
    """The layouts that can be had, up to 256 chips."""
    devices: int = 1
    """What JAX sees of a chip: the two cores of a v3 chip are devices of their own."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options with which libtpu makes it."""


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v3", 123e12, 15.48, 2.20, _SQUARES[1:2] + _SQUARES[3:], devices=2),
        # Two cores of a v4 chip work as one device: on hardware that is the default.
        Chip("v4", 275e12, 30.75, 3.22, _CUBES, options={"chip_config_name": "megacore"}),
        Chip("v5e", 197e12, 15.75, 1.20, _SQUARES),
        Chip("v5p", 459e12, 95.74, 4.20, _CUBES),
        Chip("v6e", 918e12, 31.25, 2.70, _SQUARES),
    )
}


@dataclass(frozen=True)
class Topology:
    """Chips of one kind in one layout."""

    chip: Chip
    layout: str

    @property
    def name(self) -> str:
        return f"{self.chip.name}:{self.layout}"

    @property
    def chips(self) -> int:
        return math.prod(map(int, self.layout.split("x")))

    def devices(self) -> Sequence[Any]:
        """The devices for a mesh; a program compiled for them can be examined, not run.

        Raises:
            InputError: libtpu is not installed, or does not know the topology.
        """
        if importlib.util.find_spec("libtpu") is None:
            raise InputError(
                "compiling for TPUs needs libtpu, which any Linux machine can have: put it beside "
                "the environment, pip install --no-deps --target .venv-tpu -c constraints.txt "
                "libtpu, and begin the command with PYTHONPATH=.venv-tpu"
            )
        # Otherwise libtpu looks for the machine that it runs on, and complains that it is no TPU.
        for name, value in _NO_TPU.items():
            os.environ.setdefault(name, value)
        from jax.experimental import topologies

        options = self.chip.options
        if self.chips == 1:
            options = {**options, "chips_per_host_bounds": (1, 1, 1)}
        try:
            found = topologies.get_topology_desc(self.name, platform="tpu", **options)
        except RuntimeError as error:
            raise InputError(f"libtpu does not make {self.name}: {error}") from error
        return found.devices


def find_topology(name: str) -> Topology:
    """The topology of that name, such as `v5e:4x4`.

    Raises:
        InputError: there is none; the message offers the nearest and lists those that exist.
    """
    kind, _, layout = name.partition(":")
    if kind in CHIPS and layout in CHIPS[kind].slices:
        return Topology(CHIPS[kind], layout)
    sized = _by_size(name)
    every = [f"{chip.name}:{slice_}" for chip in CHIPS.values() for slice_ in chip.slices]
    hint = f"did you mean {sized}?" if sized else did_you_mean(name, every, cutoff=0.0)
    shown = [CHIPS[kind]] if kind in CHIPS else CHIPS.values()
    listing = "; ".join(f"{chip.name}: {', '.join(chip.slices)}" for chip in shown)
    raise InputError(f"there is no TPU topology {name!r}: {hint} There are {listing}")


def _by_size(name: str) -> str | None:
    """The layout meant by a name as clouds give it, a kind and a number: v5e-16, v5litepod-16.

    Up to v5p they count cores, of which a chip has two, but not for v5e.
    """
    kind, _, number = name.replace("v5litepod", "v5e").partition("-")
    if kind not in CHIPS or not number.isdecimal():
        return None
    chips = int(number) // (2 if kind in ("v3", "v4", "v5p") else 1)
    topologies = (Topology(CHIPS[kind], layout) for layout in CHIPS[kind].slices)
    return next((found.name for found in topologies if found.chips == chips), None)
