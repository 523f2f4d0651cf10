"""Plans in words."""

from collections import defaultdict

from train.config import TextConfig
from train.planning.abstract_step import sequence_length
from train.planning.collectives import SMALL
from train.planning.compiler import GIB
from train.planning.record import Plan, PlanConfig


def plan_report(name: str, config: PlanConfig, plan: Plan) -> str:
    """The text of a plan for a person, a paragraph a question."""
    topology = plan.topology
    chip = topology.chip
    title = (
        f"{name} on {topology.name}: {topology.chips} chips, {chip.hbm_gib} GiB a {device(plan)}"
    )
    return "\n\n".join(
        "\n".join(lines)
        for lines in (
            [title, _update(plan)],
            _fits(plan),
            _memory(plan) if plan.step else [],
            _largest(plan) if config.search else [],
            _operations(plan),
            _exchanges(plan) if plan.step else [],
            _costs(config, plan),
        )
        if lines
    )


def _update(plan: Plan) -> str:
    rows, length = plan.recipe.batch_size, sequence_length(plan.recipe)
    text = plan.run.tokens_a_sequence
    real = f", about {rows * text:,} of them text" if text < length else ""
    return f"{rows:,} sequences of {length} tokens an update: {rows * length:,}{real}"


def device(plan: Plan) -> str:
    """The word for what JAX calls a device."""
    return "chip" if plan.topology.chip.devices == 1 else "core"


def _fits(plan: Plan) -> list[str]:
    asked, usable = plan.recipe.micro_batches, plan.step
    if usable is None:
        text = isinstance(plan.recipe, TextConfig)
        shorter = "--data.sequence-length" if text else "--reading.max-length"
        fewer = " or --masking.group-rows" if plan.recipe.group_rows > 1 else ""
        return [
            f"It does not fit ({plan.too_large}), and no smaller batch does: give --run.remat, or "
            f"lower {shorter}{fewer}"
        ]
    shape = (
        f"{_plural(usable.micro_batches, 'micro-batch', 'micro-batches')} of "
        f"{_plural(usable.rows, 'sequence')} a {device(plan)}"
    )
    takes = "takes" if usable.micro_batches == 1 else "take"
    needed, there = _gib(usable.memory.total), plan.topology.chip.hbm_gib
    used = f"{takes} {needed} of {there} GiB a {device(plan)}"
    if plan.fits:
        return [f"It fits: {shape} {used}"]
    why = (
        f"{asked} micro-batches do not divide among the chips"
        if not plan.divides
        else f"it needs {plan.too_large}"
    )
    return [
        f"Unchanged it does not run: {why}. Change --micro-batches to {usable.micro_batches}:",
        f"{shape} {used}",
    ]


def _memory(plan: Plan) -> list[str]:
    assert plan.step is not None
    rows = [f"  {name:<12}{_gib(value):>8} GiB" for name, value in vars(plan.step.memory).items()]
    return [f"Memory of a {device(plan)}:", *rows]


def _largest(plan: Plan) -> list[str]:
    largest, unit = plan.search.largest, device(plan)
    if largest is None:
        return []
    tried = len(plan.search.fits) + len(plan.search.too_large)
    lines = [
        f"Largest batch that fits a {unit}: {_plural(largest, 'sequence')} at a time, "
        f"{_gib(plan.search.fits[largest])} GiB (compiled; {tried} sizes were)"
    ]
    if plan.search.fits[largest] > plan.topology.chip.hbm_gib * GIB:
        lines.append(
            "This sum exceeds the device's memory; the compiler nevertheless reports that it fits"
        )
    if plan.search.too_large:
        lines.append(f"{min(plan.search.too_large):,} sequences do not fit")
    return lines


def _operations(plan: Plan) -> list[str]:
    tokens = plan.recipe.batch_size * sequence_length(plan.recipe)
    lines = [
        f"{plan.flops:.3g} FLOPs an update, {plan.flops / tokens:.3g} a token: two for every pair "
        f"of factors in the step's matrix products, forward and backward"
    ]
    if plan.step is not None and plan.step.flops is not None:
        lines.append(
            f"(XLA counts {plan.step.flops:.3g} on a {device(plan)}, elementwise work too, but a "
            f"loop's body once, as that over micro-batches)"
        )
    return lines


def _exchanges(plan: Plan) -> list[str]:
    assert plan.step is not None
    if not plan.step.collectives:
        return ["The devices exchange nothing"]
    kinds: dict[str, list[int]] = defaultdict(list)
    for one in plan.step.collectives:
        kinds[one.kind] += [one.total]
    lines = [
        f"{len(sizes)} x {kind}, {sum(sizes) / 1e6:,.1f} MB a {device(plan)} and update"
        for kind, sizes in kinds.items()
    ]
    if plan.unexpected:
        return [*lines, "More is exchanged than sums of gradients and metrics:", *plan.unexpected]
    lines.append("These are sums of gradients and of metrics, and nothing else")
    repeated = sum(one.total for one in plan.step.collectives if one.times != 1)
    if repeated > SMALL:
        lines.append(f"{repeated / 1e6:,.1f} MB of it for single micro-batches, not once an update")
    return lines


def _costs(config: PlanConfig, plan: Plan) -> list[str]:
    length, chips = sequence_length(plan.recipe), plan.topology.chips
    tokens = plan.recipe.batch_size * length / plan.seconds
    lines = [
        f"Assumed: {config.utilisation:.0%} of {plan.topology.chip.peak / 1e12:.0f} TFLOP/s a chip "
        f"(--utilisation), ${plan.price:.2f} a chip-hour (--price)",
        f"{tokens:,.0f} tokens/s, {plan.seconds:.3g} s an update",
    ]
    text = plan.run.tokens_a_sequence
    if text < length:
        lines.append(
            f"of which {tokens * text / length:,.0f} are text: {text} tokens a sequence are "
            f"assumed, and padding takes as long"
        )
    if plan.run.updates is None or plan.hours is None or plan.dollars is None:
        return [*lines, f"How long the run is: {plan.run.because}"]
    return [
        *lines,
        f"{plan.run.updates:,} updates ({plan.run.because})",
        f"{_time(plan.hours)}, {plan.hours * chips:,.3g} chip-hours, ${plan.dollars:,.3g}",
    ]


def _time(hours: float) -> str:
    return f"{hours:,.3g} hours" if hours >= 0.1 else f"{3600 * hours:,.3g} seconds"


def _gib(value: int) -> str:
    return f"{value / GIB:.2f}"


def _plural(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
