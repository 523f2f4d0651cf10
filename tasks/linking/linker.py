"""Linking of mentions to the concepts of a dictionary: candidates, and a model that ranks them."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from tasks.linking.candidates import Candidates, Places, SparseIndex, TextVectors, highest
from tasks.linking.dictionary import Concept, Dictionary, plain_name
from tasks.linking.documents import Mention

Embed = Callable[[Sequence[str]], Float32[np.ndarray, "texts width"]]
"""Vectors of texts, none of them 0."""
CANDIDATES = 20
"""Names that a model ranks for a mention, as many as in BioSyn."""


class Link(NamedTuple):
    """A concept that a mention may mean."""

    concept: Concept
    name: str
    """That of the concept's names which is most like the mention."""
    score: float


class Linker:
    """The names of a dictionary, to look for mentions among them."""

    def __init__(self, dictionary: Dictionary) -> None:
        """Reads the names, once for all mentions."""
        self.dictionary = dictionary
        self.names = tuple(dictionary.names)
        self._place = {name: place for place, name in enumerate(self.names)}
        self._index = SparseIndex(self.names)

    def exact(self, mentions: Sequence[str], among: Sequence[Places | None]) -> list[Candidates]:
        """For each mention the name that it is, if it is one; of those at `among` if given."""
        found = []
        for mention, some in zip(mentions, among, strict=True):
            place = self._place.get(plain_name(mention), -1)
            right = place >= 0 and (some is None or place in some)
            places = np.array([place] if right else [], np.int64)
            found.append(Candidates(places, np.ones(len(places), np.float32)))
        return found

    def sparse(
        self, mentions: Sequence[str], among: Sequence[Places | None], most: int = CANDIDATES
    ) -> list[Candidates]:
        """For each mention the names that are spelled most like it, see `SparseIndex.search`."""
        return self._index.search([plain_name(each) for each in mentions], among, most)

    def reranked(
        self, embed: Embed, mentions: Sequence[str], candidates: Sequence[Candidates], weight: float
    ) -> list[Candidates]:
        """Candidates by the mean of two cosines, of which `weight` is that of spelling.

        The other, whose weight is 1, is that of a model's vectors of the mention and of the name.
        """
        asked = [plain_name(each) for each in mentions]
        names = [[self.names[place] for place in each.places] for each in candidates]
        texts = [text for text in dict.fromkeys([*asked, *chain(*names)]) if text]
        vectors = dict(zip(texts, unit(embed(texts)), strict=True))
        found = []
        for mention, each, candidate in zip(asked, names, candidates, strict=True):
            if each:
                cosines = np.stack([vectors[name] for name in each]) @ vectors[mention]
                scores = (cosines + np.float32(weight) * candidate.scores) / (1 + weight)
                order = highest(scores, len(scores)).places
                candidate = Candidates(candidate.places[order], scores[order])
            found.append(candidate)
        return found

    def nearest(
        self,
        embed: Embed,
        mentions: Sequence[str],
        among: Sequence[Places | None],
        weight: float,
        most: int = CANDIDATES,
    ) -> list[Candidates]:
        """For each mention those of all names that are the first by the mean of `reranked`."""
        asked = [plain_name(each) for each in mentions]
        vectors = unit(embed([each or self.names[0] for each in asked])), unit(embed(self.names))
        return self._index.search(asked, among, most, weight=weight, vectors=vectors)

    def links(self, candidates: Candidates, top: int) -> list[Link]:
        """The `top` concepts among candidates, the likeliest first, each by its best name."""
        links: dict[int, Link] = {}
        for place, score in zip(candidates.places, candidates.scores, strict=True):
            name = self.names[place]
            for concept in self.dictionary.names[name]:
                link = Link(self.dictionary.concepts[concept], name, float(score))
                links.setdefault(concept, link)
        return list(links.values())[:top]


def remembered(embed: Embed) -> Embed:
    """A function that asks another for each text only once."""
    known: dict[str, np.ndarray] = {}

    def asked(texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, embed(new), strict=True))
        return np.stack([known[text] for text in texts])

    return asked


def unit(vectors: TextVectors) -> TextVectors:
    """The same vectors with the length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def allowed(dictionary: Dictionary, mentions: Sequence[Mention]) -> list[Places | None]:
    """For each mention the places of the names that it may be; None: of all."""
    return [
        None
        if each.candidates is None
        else np.array(dictionary.names_of(each.candidates), np.int64)
        for each in mentions
    ]
