"""What the devices of a compiled program tell each other, read from its HLO text."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all"),
    *("collective-permute", "collective-broadcast"),
)
# `%name (parameters) -> type {` opens a computation; `%name = type opcode(operands), ...` is in it.
_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?[\w.\-]+ = (?P<type>.*?) (?P<opcode>[a-z][\w\-]*)\((?P<rest>.*)$"
)
_ARRAY = re.compile(r"\b(pred|bf16|[a-z]+(\d+)\w*)\[([\d,]*)\]")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|branch_computations|true_computation|false_computation)"
    r"=(\{[^}]*\}|%?[\w.\-]+)"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONDITION = re.compile(r"\bcondition=%?([\w.\-]+)")
_CONSTANT = re.compile(r"^\s+%?([\w.\-]+) = s32\[\]\S* constant\((\d+)\)")
_BELOW = re.compile(r"^\s+ROOT .* compare\([^,]+, (?:\S+ )?%?([\w.\-]+)\), direction=LT")
_SOURCE = re.compile(r'op_name="([^"]*)"')


@dataclass(frozen=True)
class Collective:
    """One exchange between devices."""

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    """Of the arrays that come out."""
    bytes: int
    """Of these arrays, on each device and each time."""
    times: int | None
    """How often one run of the program does it; None inside a loop of unknown length."""
    source: str
    """The operation of the JAX program that it was made for."""

    @property
    def total(self) -> int:
        """Bytes a run of the program, a loop of unknown length counted once."""
        return self.bytes * (self.times or 1)


def collectives(hlo: str) -> list[Collective]:
    """The exchanges of a program, `compiled.as_text()`, with loops counted as often as they run."""
    found: dict[str, list[Collective]] = defaultdict(list)
    calls: dict[str, list[tuple[str, str]]] = defaultdict(list)  # what is called, from which line
    limits: dict[str, int | None] = {}  # of a loop's condition: while a counter is below it
    constants: dict[str, int] = {}
    here = entry = ""
    for line in hlo.splitlines():
        if opened := _COMPUTATION.match(line):
            here = opened["name"]
            entry = here if opened["entry"] else entry
            constants = {}
        elif instruction := _INSTRUCTION.match(line):
            if constant := _CONSTANT.match(line):
                constants[constant[1]] = int(constant[2])
            if below := _BELOW.match(line):
                limits[here] = constants.get(below[1])
            opcode, rest = instruction["opcode"], instruction["rest"]
            kind = opcode.removesuffix("-start")
            if kind in KINDS:
                # What starts one may hand on its operands too; of the results there is half.
                arrays = _arrays(instruction["type"])
                if opcode != kind and kind != "all-reduce":
                    arrays = arrays[len(arrays) // 2 :]
                source = _SOURCE.search(rest)
                found[here].append(
                    Collective(
                        kind,
                        tuple(shape for shape, _ in arrays),
                        sum(size for _, size in arrays),
                        1,
                        source[1] if source else "",
                    )
                )
                continue  # what it calls is the addition of two numbers
            for names in _CALLED.findall(rest):
                whole = rest if opcode == "while" else ""
                calls[here] += [(name.strip(" %"), whole) for name in names.strip("{}").split(",")]

    def trips(loop: str) -> int | None:
        """How often a loop runs, from its own line: XLA's word or, on TPUs, the condition's."""
        if known := _TRIPS.search(loop):
            return int(known[1])
        condition = _CONDITION.search(loop)
        return limits.get(condition[1]) if condition else None

    result = []

    def visit(computation: str, times: int | None) -> None:
        for one in found[computation]:
            result.append(Collective(one.kind, one.shapes, one.bytes, times, one.source))
        for name, loop in calls[computation]:
            again = trips(loop) if loop else 1
            visit(name, None if times is None or again is None else times * again)

    visit(entry, 1)
    return result


def _arrays(type_: str) -> list[tuple[tuple[int, ...], int]]:
    """Shape and bytes of every array in a type, `f32[2,3]{1,0}` or a tuple of such."""
    arrays = []
    for name, bits, axes in _ARRAY.findall(re.sub(r"\{[^}]*\}", "", type_)):
        shape = tuple(map(int, axes.split(","))) if axes else ()
        width = 1 if name == "pred" else int(bits or 16) / 8
        arrays.append((shape, math.ceil(math.prod(shape) * width)))
    return arrays


SMALL = 64 * 1024
"""Bytes of all that is no gradient: counts, losses, the norm."""


def not_reductions(found: Iterable[Collective], parameters: Iterable[tuple[int, ...]]) -> list[str]:
    """What is exchanged beside sums of gradients and of metrics; data parallelism needs no more.

    Args:
        found: the exchanges of a training step.
        parameters: the shapes of what is trained: a sum of arrays of such sizes is one of
            gradients. What is smaller than `SMALL` altogether passes as metrics.

    Returns:
        A line for each that does not belong there.
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
