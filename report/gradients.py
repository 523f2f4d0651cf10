"""The gradients of the terms of a loss in reports: names of the numbers, and their rows."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from report.naming import LOSS, noun

GRADIENT = "gradient_"
"""The beginning of the names of all these numbers."""
_NORM = f"{GRADIENT}norm_"

HOW_TO_READ_GRADIENTS = (
    "The gradient of the mean of each term alone, over all trained parameters, with the batch, the "
    "masks and the dropout of an update: its length, the same times the weight of the term, and "
    "the cosine of the angle between two of them. Times their weights they add up to the gradient "
    "of the update. Where a cosine is below 0, a step that lowers one term raises the other."
)


def norm_name(term: str) -> str:
    """The name of the length of a term's gradient."""
    return f"{_NORM}{term}"


def weighted_norm_name(term: str) -> str:
    """The name of the same times the term's weight."""
    return f"{GRADIENT}weighted_norm_{term}"


def cosine_name(first: str, second: str) -> str:
    """The name of the cosine between two terms' gradients, in whatever order they are named."""
    return f"{GRADIENT}cosine_{min(first, second)}_{max(first, second)}"


def gradient_names(terms: Iterable[str]) -> dict[str, str]:
    """The names of all numbers of these terms, and what a table calls them."""
    terms = list(terms)
    named = {term: noun(LOSS + term) for term in terms}
    return {
        **{norm_name(term): f"{named[term]}: norm" for term in terms},
        **{weighted_norm_name(term): f"{named[term]}: norm times weight" for term in terms},
        **{
            cosine_name(*pair): f"cosine of {named[pair[0]]} and {named[pair[1]]}"
            for pair in combinations(terms, 2)
        },
    }


def gradients_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Those numbers of an update that are of its terms' gradients."""
    return {name: value for name, value in row.items() if name.startswith(GRADIENT)}


def terms_of(numbers: Iterable[str]) -> list[str]:
    """The terms whose gradients have these names."""
    return [name.removeprefix(_NORM) for name in numbers if name.startswith(_NORM)]


def gradient_rows(columns: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """A row for each number that some column has, with its name and the texts of the columns."""
    found = {name for column in columns for name in column}
    terms = terms_of(name for column in columns for name in column)
    return [
        [title, *(column.get(name, "") for column in columns)]
        for name, title in gradient_names(dict.fromkeys(terms)).items()
        if name in found
    ]
