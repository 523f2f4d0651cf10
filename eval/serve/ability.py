"""The protocol of what a model can do with texts, and the answers to several requests at once."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from model.errors import InputError


class Query(NamedTuple):
    """A request that has been read."""

    texts: tuple[str, ...]
    settings: Mapping[str, Any]
    """The other fields of the request, by the names of `FIELDS`."""


class Reply(NamedTuple):
    """The answer to a request."""

    results: list[Any]
    """One for each text."""
    remarks: list[str]
    """Sentences on texts that were too long."""


FIELDS: dict[str, type[Any]] = {
    "pair": str,
    "question": str,
    "choices": list,
    "prompt": str,
    "top": int,
    "threshold": float,
    "null_threshold": float,
    "layer": int,
}
"""What a request may say beside its texts, and of which type; `choices` are texts."""


class Ability(ABC):
    """Something that a model can do with texts, at an address of its own."""

    name: str
    """That of the address, without the slash."""
    noun: str
    """A model that can do this, such as "a classifier"."""
    fields: tuple[str, ...] = ()
    """Those of `FIELDS` that mean something here."""
    needs: tuple[str, ...] = ()
    """Those of `fields` that every request has to say."""
    together: int
    """Texts that are read together, at most."""

    def check(self, query: Query) -> None:  # noqa: B027, most have nothing to check
        """Raises InputError for settings that are out of range; takes no time."""

    def examine(self, query: Query) -> None:  # noqa: B027
        """Raises InputError if the model cannot read a text."""

    @abstractmethod
    def key(self, query: Query) -> Hashable:
        """Queries with the same key can be answered together."""

    @abstractmethod
    def answer(self, queries: Sequence[Query]) -> list[Reply]:
        """The replies to queries with the same key.

        Raises:
            InputError: a text cannot be read.
        """

    @abstractmethod
    def rehearsals(self) -> Iterator[Query]:
        """Queries for which every program is compiled."""


def answer_each(ability: Ability, queries: Sequence[Query]) -> list[Reply | Exception]:
    """The reply to each of several queries with the same key, or the reason why there is none.

    What is wrong with one of them is not noticed by the others.
    """
    answers: dict[int, Reply | Exception] = {}
    for number, query in enumerate(queries):
        try:
            ability.examine(query)
        except InputError as error:
            answers[number] = error
    rest = [number for number in range(len(queries)) if number not in answers]
    try:
        replies = ability.answer([queries[number] for number in rest]) if rest else []
        answers.update(zip(rest, replies, strict=True))
    except Exception as error:
        if len(rest) == 1:
            answers[rest[0]] = error
        else:
            answers |= {number: answer_each(ability, [queries[number]])[0] for number in rest}
    return [answers[number] for number in range(len(queries))]


def split_results(results: Sequence[Any], queries: Sequence[Query]) -> Iterator[list[Any]]:
    """The results for the texts of each query, from those for all texts."""
    start = 0
    for query in queries:
        yield list(results[start : start + len(query.texts)])
        start += len(query.texts)
