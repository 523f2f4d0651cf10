"""Dictionaries of concepts, each with its ids and names, in the form of MEDIC.

    C567755|613097||Tooth Agenesis, Selective, 6|STHAG6

An id, other ids of the concept, an empty field, its name, other names: MEDIC, the vocabulary of
diseases of MeSH and OMIM (Davis et al. 2012), is published with NCBI disease like this. BioSyn's
dictionaries, with a line `ID|ID||NAME` for each name, are of the same form.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data.storage.lines import read_lines
from model.errors import InputError
from tasks.linking.documents import Mention, bare


@dataclass(frozen=True)
class Concept:
    """Something that mentions may mean."""

    id: str
    """As the dictionary writes it."""
    name: str
    """Its first name there."""
    keys: frozenset[str]
    """All its ids, without the names of their vocabularies."""


@dataclass(frozen=True)
class Dictionary:
    """Concepts by name. A name of several concepts means all of them: their ids unite."""

    concepts: tuple[Concept, ...]
    names: Mapping[str, tuple[int, ...]]
    """The places of the concepts that are called so, by `plain_name`."""
    notes: tuple[str, ...] = ()
    """Sentences on what was left out."""

    @cached_property
    def keys(self) -> tuple[frozenset[str], ...]:
        """All ids that each name stands for, in the order of `names`."""
        return tuple(
            frozenset().union(*(self.concepts[place].keys for place in places))
            for places in self.names.values()
        )

    @cached_property
    def by_id(self) -> Mapping[str, tuple[int, ...]]:
        """The places of the concepts with an id: those whose first it is or, without, all."""
        first: dict[str, tuple[int, ...]] = {}
        any_of: dict[str, tuple[int, ...]] = {}
        for place, concept in enumerate(self.concepts):
            first[bare(concept.id)] = (*first.get(bare(concept.id), ()), place)
            for key in concept.keys:
                any_of[key] = (*any_of.get(key, ()), place)
        return {**any_of, **first}

    def names_of(self, ids: Iterable[str]) -> list[int]:
        """The places of the names of the concepts with one of these ids."""
        return [name for id in ids for place in self.by_id.get(id, ()) for name in self._of[place]]

    @cached_property
    def _of(self) -> Mapping[int, list[int]]:
        """The places of the names of each concept."""
        found: dict[int, list[int]] = defaultdict(list)
        for name, places in enumerate(self.names.values()):
            for place in places:
                found[place].append(name)
        return found

    def with_mentions(self, mentions: Iterable[tuple[str, Mention]]) -> "Dictionary":
        """With the names by which mentions, such as those of training, call their concepts.

        A mention comes with its name, whose abbreviations may be expanded. An id that no concept
        has becomes one of its own.
        """
        concepts, names, by_id = list(self.concepts), dict(self.names), dict(self.by_id)
        for name, mention in mentions:
            if not plain_name(name):
                continue
            for id in mention.ids:
                if id not in by_id:
                    by_id[id] = (len(concepts),)
                    concepts.append(Concept(id, name, frozenset([id])))
                _add(names, plain_name(name), by_id[id])
        return Dictionary(tuple(concepts), names, self.notes)


def read_dictionary(file: Path) -> Dictionary:
    """The dictionary in a file, plain or packed; lines with the same first id are one concept.

    Raises:
        InputError: a line has no ids, no empty field after them, or no names; or there is none.
    """
    concepts: dict[str, Concept] = {}
    places: dict[str, int] = {}
    names: dict[str, tuple[int, ...]] = {}
    unusable = 0
    for number, line in enumerate(read_lines(file), 1):
        fields = [field.strip() for field in line.rstrip("\r\n").split("|")]
        if fields == [""]:
            continue
        end = fields.index("") if "" in fields else 0
        ids, called = fields[:end], [name for name in fields[end + 1 :] if name]
        if not ids or not called:
            raise InputError(
                f"{file}, line {number}, is torn or no line of a dictionary, which is "
                "ID|OTHER ID||NAME|OTHER NAME: an empty field parts ids and names"
            )
        keys = frozenset(map(bare, ids))
        known = concepts.get(ids[0], Concept(ids[0], called[0], keys))
        concepts[ids[0]] = Concept(known.id, known.name, known.keys | keys)
        place = places.setdefault(ids[0], len(places))
        for name in called:
            if plain_name(name):
                _add(names, plain_name(name), (place,))
            else:
                unusable += 1
    if not names:
        raise InputError(f"{file} has no names: give a dictionary, ID||NAME|OTHER NAME a line")
    notes = (f"{file}: {unusable:,} names have no letter or digit, and are left out",)
    return Dictionary(tuple(concepts.values()), names, notes if unusable else ())


def plain_name(name: str) -> str:
    """A name in small letters, without punctuation, with single spaces between its words."""
    return " ".join(re.sub(r"[^\w\s]", " ", name.lower()).split())


def _add(names: dict[str, tuple[int, ...]], name: str, places: tuple[int, ...]) -> None:
    known = names.get(name, ())
    names[name] = (*known, *(place for place in places if place not in known))
