"""The settings of a teacher's cache."""

from dataclasses import dataclass
from typing import Annotated, Literal

from model.ranges import Range


@dataclass(frozen=True)
class TeacherCacheConfig:
    """The teacher's answers as --teacher-cache keeps them."""

    mask_sets: Annotated[int, Range(1, 1000)] = 1
    """The number of ways in which every sequence is masked: epoch n reads it as set n modulo this
    number says."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """The type in which hidden states are stored."""
    max_gb: Annotated[float, Range(0, 10**6, above=True)] = 10.0
    """The most that the answers may take on the disk, in units of 10^9 bytes."""
