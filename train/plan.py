"""A plan of a run on a slice of TPUs, from the real step compiled for it, without a TPU.

    python -m train.plan distilbert-base-uncased --topology v5e:4x4
    python -m train.plan bert-base-uncased --topology v5p:2x2x4 --utilisation 0.5 --json plan.json
    python -m train.plan distill:tiny --topology v5e:1x1 --batch-size 512
    python -m train.plan --table plan.json another-plan.json

The recipe is one of any loop, with that loop's flags. It needs libtpu, on any Linux machine.
--table prints plans that were written with --json side by side.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import jax
import tyro

from data.storage.atomic import check_writable
from data.storage.provenance import write_json_atomic
from model.errors import InputError
from model.ranges import check_settings
from model.terminal import say
from train.command.cli import choose, main
from train.config import TrainConfig
from train.planning.abstract_step import abstract_step
from train.planning.collectives import not_reductions
from train.planning.compiler import GIB, StepCompiler
from train.planning.flops import matmul_flops
from train.planning.largest_batch import Search, TooLargeError, largest_that_fits
from train.planning.record import Plan, PlanConfig, record
from train.planning.report import plan_report
from train.planning.run_length import run_length
from train.planning.table import PlanTables, plan_tables
from train.planning.tpus import find_topology
from train.recipes import LOOPS, recipe_name, recipes_by_name
from train.update.parallel import Parallel


def plan(config: PlanConfig, recipe: TrainConfig) -> Plan:
    """Compiles the step of a recipe for a slice and works out what the run takes.

    Raises:
        InputError: there is no such slice, the chips cannot share the batch, libtpu is missing, or
            an assumption makes no sense.
    """
    check_settings(config)
    recipe.check()
    check_writable(config.json)
    topology = find_topology(config.topology)
    if recipe.run.parallel == "pmap" or recipe.run.devices is not None:
        raise InputError(
            "a plan is for all chips of --topology as one program: leave --run.parallel and "
            "--run.devices as they are"
        )
    devices = topology.chips * topology.chip.devices
    choices = micro_batch_choices(recipe, devices)
    parallel = Parallel(recipe.run, topology.devices())
    run = run_length(recipe, config.sequences, config.line_tokens)
    step = abstract_step(recipe, run.updates or 1)
    compile_step = StepCompiler(step, parallel)

    def rows(micro_batches: int) -> int:
        return recipe.batch_size // micro_batches // devices

    divides = recipe.micro_batches in choices
    tried = max((m for m in choices if m <= recipe.micro_batches), default=1)
    usable, too_large, search = None, None, Search()
    try:
        usable = compile_step(rows(tried), tried)
    except TooLargeError as error:
        too_large = str(error)
    if config.search or usable is None:
        search = largest_that_fits(
            lambda rows: compile_step(rows, tried).memory.total,
            int(topology.chip.hbm_gib * GIB),
            unit=step.group_rows,
            first=rows(tried),
        )
    for more in choices:
        if usable is None and rows(more) <= (search.largest or 0):
            with suppress(TooLargeError):
                usable = compile_step(rows(more), more)

    flops, chip = update_flops(recipe), topology.chip
    shapes = [leaf.shape for leaf in jax.tree.leaves(step.state.params)]
    return Plan(
        topology,
        recipe,
        run,
        divides,
        too_large,
        usable,
        search,
        flops,
        [] if usable is None else not_reductions(usable.collectives, shapes),
        seconds=flops / (topology.chips * chip.peak * config.utilisation),
        price=chip.dollars if config.price is None else config.price,
    )


def update_flops(recipe: TrainConfig) -> int:
    """Matrix-product FLOPs of an update; what --run.remat computes twice counts once."""
    step = abstract_step(replace(recipe, run=replace(recipe.run, remat=False)), steps=1)
    rows = max(step.group_rows, 2)  # `matmul_flops` would take the products of one row for sums
    return matmul_flops(step.make(None), *step.arguments(rows)) * recipe.batch_size // rows


def micro_batch_choices(recipe: TrainConfig, devices: int) -> list[int]:
    """The numbers of micro-batches that an update's batch can be cut into, from one on.

    Raises:
        InputError: the devices cannot share the batch at all.
    """
    group, batch = recipe.group_rows, recipe.batch_size
    unit = devices * group
    if batch % unit:
        nearest = max(round(batch / unit), 1) * unit
        groups = f" x {group} rows masked together (--masking.group-rows)" if group > 1 else ""
        smaller = max((g for g in range(1, group) if batch % (devices * g) == 0), default=None)
        hint = f", or --masking.group-rows {smaller}" if smaller else ""
        raise InputError(
            f"--batch-size {batch} does not divide into {devices} devices{groups}: the nearest "
            f"that does is {nearest}{hint}"
        )
    return [m for m in range(1, batch // unit + 1) if batch // unit % m == 0]


def plan_command(argv: Sequence[str]) -> Plan:
    """Plans what the command line asks for; prints, and writes the file that was asked for."""
    recipes = recipes_by_name()
    if not argv or argv[0] in ("-h", "--help"):
        choose(recipes, "train.plan", argv, about=__doc__)
    name = recipe_name(argv[0])
    if name not in recipes:
        choose(recipes, "train.plan", [name])
    loop = next(loop for loop, own in LOOPS.items() if recipes[name] in own.values())
    config, rest = tyro.cli(
        PlanConfig,
        description=(
            f"{PlanConfig.__doc__} All flags of the recipe are taken too: "
            f"python -m train.{loop} {name.rpartition(':')[2]} --help-all lists them."
        ),
        prog=f"python -m train.plan {name}",
        args=argv[1:],
        return_unknown_args=True,
    )
    recipe = choose(recipes, "train.plan", [name, *rest])
    jax.config.update("jax_platforms", "cpu")  # nothing runs, and a TPU may be another's
    # A program that nothing here can run is not worth keeping.
    jax.config.update("jax_enable_compilation_cache", False)
    made = plan(config, recipe)
    say(*plan_report(name, config, made).split("\n"))
    if config.json is not None:
        write_json_atomic(config.json, record(config, name, made))
    return made


def table_command(argv: Sequence[str]) -> None:
    """Prints the tables that the command line asks for with --table."""
    tables = plan_tables(tyro.cli(PlanTables, prog="python -m train.plan", args=argv).table)
    say(*tables.split("\n"))


if __name__ == "__main__":
    words = sys.argv[1:]
    main(lambda: (table_command if words[:1] == ["--table"] else plan_command)(words))
