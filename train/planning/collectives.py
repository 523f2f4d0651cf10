"""Exchanges between the devices of a compiled program, read from its HLO text."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

COLLECTIVES = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all"),
    *("collective-permute", "collective-broadcast"),
)
# `%name (parameters) -> type {` opens a computation; `%name = type opcode(operands), ...` is in it.
_COMPUTATION = re.compile(
    r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{\n(?P<body>(?:[^}\n].*\n)*)", re.M
)
_INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?[\w.\-]+ = (?P<type>.*?) (?P<opcode>[a-z][\w\-]*)\((?P<rest>.*)$", re.M
)
_ARRAY = re.compile(r"\b(pred|bf16|[a-z]+(\d+)\w*)\[([\d,]*)\]")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|branch_computations|true_computation|false_computation)"
    r"=(\{[^}]*\}|%?[\w.\-]+)"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONDITION = re.compile(r"\bcondition=%?([\w.\-]+)")
_CONSTANT = re.compile(r"^\s+%?([\w.\-]+) = s32\[\]\S* constant\((\d+)\)", re.M)
_BELOW = re.compile(r"^\s+ROOT .* compare\([^,]+, (?:\S+ )?%?([\w.\-]+)\), direction=LT", re.M)
_SOURCE = re.compile(r'op_name="([^"]*)"')


@dataclass(frozen=True)
class Collective:
    """One exchange between devices."""

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    """Of the results."""
    bytes: int
    """Of the results, on each device and each time."""
    times: int | None
    """Executions in one run of the program; None inside a loop of unknown length."""
    source: str
    """The operation of the JAX program that it belongs to."""

    @property
    def total(self) -> int:
        """Bytes a run of the program, a loop of unknown length counted once."""
        return self.bytes * (self.times or 1)


def collectives(hlo: str) -> list[Collective]:
    """The exchanges of a program, `compiled.as_text()`, with loops counted as often as they run."""
    opened = list(_COMPUTATION.finditer(hlo))
    computations = {one["name"]: one["body"] for one in opened}
    entry = next(one["name"] for one in opened if one["entry"])

    def trips(loop: str) -> int | None:
        """Iterations of a loop: from its own line or, on TPUs, from the limit in its condition."""
        if known := _TRIPS.search(loop):
            return int(known[1])
        condition = _CONDITION.search(loop)
        body = computations[condition[1]] if condition else ""
        below, constants = _BELOW.search(body), dict(_CONSTANT.findall(body))
        return int(constants[below[1]]) if below and below[1] in constants else None

    def visit(computation: str, times: int | None) -> Iterator[Collective]:
        for instruction in _INSTRUCTION.finditer(computations.get(computation, "")):
            opcode, rest = instruction["opcode"], instruction["rest"]
            kind = opcode.removesuffix("-start")
            if kind in COLLECTIVES:  # what it calls is the addition of two numbers
                arrays = _arrays(instruction["type"])
                # A start may return its operands too, before the results.
                if opcode != kind and kind != "all-reduce":
                    arrays = arrays[len(arrays) // 2 :]
                shapes, sizes = zip(*arrays, strict=True)
                source = _SOURCE.search(rest)
                yield Collective(kind, shapes, sum(sizes), times, source[1] if source else "")
                continue
            again = trips(rest) if opcode == "while" else 1
            inside = None if times is None or again is None else times * again
            for names in _CALLED.findall(rest):
                for name in names.strip("{}").split(","):
                    yield from visit(name.strip(" %"), inside)

    return list(visit(entry, 1))


def _arrays(type_: str) -> list[tuple[tuple[int, ...], int]]:
    """Shape and bytes of every array in a type, `f32[2,3]{1,0}` or a tuple of such."""
    arrays = []
    for name, bits, axes in _ARRAY.findall(re.sub(r"\{[^}]*\}", "", type_)):
        shape = tuple(map(int, axes.split(","))) if axes else ()
        width = 1 if name == "pred" else int(bits or 16) / 8
        arrays.append((shape, math.ceil(math.prod(shape) * width)))
    return arrays


SMALL = 64 * 1024
"""Limit in bytes of the sums that are not gradients: counts, losses, the norm."""


def not_reductions(found: Iterable[Collective], parameters: Iterable[tuple[int, ...]]) -> list[str]:
    """The exchanges other than sums of gradients and metrics, all that data parallelism needs.

    Args:
        found: the exchanges of a training step.
        parameters: the shapes of the trained parameters. A sum of arrays of these sizes is taken
            for one of gradients; sums of at most `SMALL` bytes in all are taken for metrics.

    Returns:
        A line for each other exchange.
    """
    sizes = {math.prod(shape) for shape in parameters}
    small, lines = 0, []
    for one in found:
        other = 4 * sum(n for n in map(math.prod, one.shapes) if n not in sizes)
        if one.kind != "all-reduce" or other > SMALL:
            lines.append(f"{one.kind} of {one.bytes:,} bytes, for {one.source or 'no operation'}")
        else:
            small += other * (one.times or 1)
    if small > SMALL:
        lines.append(f"all-reduces of {small:,} bytes altogether that are no parameter's gradient")
    return lines
