"""The operations of a distillation, counted in its traced step."""

from dataclasses import replace

from train.config import DistillConfig
from train.objectives.distillation import MaskedLMObjective
from train.planning.abstract_step import ANY_ID, abstract_step
from train.planning.flops import matmul_flops
from train.studies.stack import Stack


def update_operations(config: DistillConfig) -> float:
    """The operations of all matrix products of an update, forward and backward.

    They are those of a student that is trained alone, and of its teacher if it listens to one: in a
    study, stacked students share the teacher's.
    """
    config = replace(config, teacher_cache=None)  # the teacher's, also where answers are stored
    step = abstract_step(config, steps=1)
    if not config.loss.listens:  # the traced objective asks the teacher; XLA leaves that out
        student = step.objective.model  # type: ignore[attr-defined]
        objective = MaskedLMObjective(student, config.masking, ANY_ID)
        step = replace(step, objective=objective)
    rows = max(step.group_rows, 2)  # `matmul_flops` would take the products of one row for sums
    counted = matmul_flops(step.make(None), *step.arguments(rows))
    return counted * config.batch_size / rows


def stack_operations(stack: Stack) -> float:
    """The operations of an update of all students of a stack, as if each were trained alone.

    All of them compute the terms of the one that has most.
    """
    most = max(stack.students.values(), key=lambda config: len(config.loss.terms()))
    return len(stack.students) * update_operations(most)
