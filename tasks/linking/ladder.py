"""Accuracy of linking, from exact names to a model, with what each step may use.

A prediction is right if one of the ids of its name is one of the mention's. Composite mentions have
several, of which one is enough: BioSyn splits them, and asks for all. Of the five likeliest names
in accuracy@5, several may be names of one concept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float, Int64

from tasks.linking.abbreviations import abbreviations, expand
from tasks.linking.candidates import Candidates
from tasks.linking.dictionary import Dictionary
from tasks.linking.documents import Document, Mention
from tasks.linking.linker import Embed, Linker, allowed
from tasks.score import half_widths

EXACT, SPELLING = "exact name", "spelling"
OF_ALL = "of all names"
"""Rankings; a model's are of the names that spelling finds, or `OF_ALL`. With spelling
they are by the mean of both cosines."""


@dataclass(frozen=True)
class Sought:
    """A mention to link."""

    mention: Mention
    document: int
    """Its place among the documents."""
    name: str
    """As it stands there, or with the long forms of its abbreviations."""


@dataclass(frozen=True)
class Rung:
    """A way to link."""

    model: str
    """Its name; "": no model is asked."""
    how: str
    """The rest of `ranking`."""
    abbreviations: bool
    """True if mentions are looked for with the long forms of their abbreviations."""
    training_mentions: bool
    """True if these are names in the dictionary."""
    best: tuple[str, ...]
    """The likeliest name for each mention; "": none."""
    first_right: Int64[np.ndarray, " mentions"]
    """The place of the first right name in the list for each mention; -1: none is right."""

    @property
    def ranking(self) -> str:
        """Its name in tables: what ranks names, and which."""
        return f"{self.model}{self.how}"

    @property
    def way(self) -> tuple[str, bool, bool]:
        """The rest of what sets it apart, without the model."""
        return self.how, self.abbreviations, self.training_mentions

    def hits(self, top: int) -> Bool[np.ndarray, " mentions"]:
        """True for each mention that has a right name among its first `top`."""
        return (self.first_right >= 0) & (self.first_right < top)


def sought(documents: Sequence[Document], *, expanded: bool) -> list[Sought]:
    """The mentions in documents whose concepts are known, by their names or `expanded` ones."""
    found = []
    for number, document in enumerate(documents):
        long_forms = abbreviations(document.text) if expanded else {}
        found += (
            Sought(mention, number, expand(mention.text, long_forms))
            for mention in document.mentions
            if mention.ids
        )
    return found


def ladder(
    documents: Sequence[Document],
    dictionary: Dictionary,
    training: Sequence[Document] = (),
    models: Mapping[str, Embed] = MappingProxyType({}),
    *,
    all_names: bool = False,
) -> Iterator[Rung]:
    """Yields the rungs from the lowest; those of models, by name, follow what they rank.

    With `all_names` the models also rank all names, each of which they then read. They are asked
    for the same texts again and again, see `remembered`.
    """
    known = sought(training, expanded=True)
    dictionaries = {False: dictionary}
    if known:
        dictionaries[True] = dictionary.with_mentions((each.name, each.mention) for each in known)
    for known_too, names in dictionaries.items():
        linker = Linker(names)
        for expanded in (True,) if known_too else (False, True):
            asked = sought(documents, expanded=expanded)
            ranked = _rankings(linker, asked, models if expanded else {}, all_names)
            for (model, how), found in ranked.items():
                best = tuple(linker.names[p[0]] if len(p) else "" for p, _ in found)
                first = first_right(names, asked, found)
                yield Rung(model, how, expanded, known_too, best, first)


def _rankings(
    linker: Linker, asked: Sequence[Sought], models: Mapping[str, Embed], all_names: bool
) -> dict[tuple[str, str], list[Candidates]]:
    """The candidates by `model` and `how`."""
    names = [each.name for each in asked]
    among = allowed(linker.dictionary, [each.mention for each in asked])
    sparse = linker.sparse(names, among)
    found = {("", EXACT): linker.exact(names, among), ("", SPELLING): sparse}
    for model, embed in models.items():
        for weight, also in ((0.0, ""), (1.0, f" + {SPELLING}")):
            found[model, also] = linker.reranked(embed, names, sparse, weight)
            if all_names:
                nearest = linker.nearest(embed, names, among, weight)
                found[model, f"{also}, {OF_ALL}"] = nearest
    return found


def first_right(
    dictionary: Dictionary, asked: Sequence[Sought], candidates: Sequence[Candidates]
) -> Int64[np.ndarray, " _mentions"]:
    """The place of the first right name in the list for each mention; -1 if none is right."""
    keys, first = dictionary.keys, []
    for each, names in zip(asked, candidates, strict=True):
        right = (n for n, p in enumerate(names.places) if not keys[p].isdisjoint(each.mention.ids))
        first.append(next(right, -1))
    return np.array(first, np.int64)


def half_width(
    values: Float[np.ndarray, " _mentions"], documents: Int64[np.ndarray, " _mentions"]
) -> float | None:
    """Half the 95 % interval of a mean over mentions, if documents are drawn independently.

    Mentions of one document are not, as many repeat another. None: there is no interval.
    """
    sums, counts = np.bincount(documents, values), np.bincount(documents)
    there = np.flatnonzero(counts)
    widths = half_widths(
        lambda part: {"mean": float(sums[there[part]].sum() / counts[there[part]].sum())},
        len(there),
    )
    return widths.get("mean")
