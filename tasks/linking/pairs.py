"""Pairs to learn linking from: mentions with a right name, and with wrong ones that look right.

The wrong names are those that the model so far takes for the likeliest of all (Sung et al. 2020
take half of them by their spelling). A model that has learned from them has other such names: the
next round of learning begins with new pairs.
"""

from collections.abc import Sequence

import numpy as np

from tasks.embeddings.examples import PairExample
from tasks.linking.candidates import Places
from tasks.linking.dictionary import Dictionary, plain_name
from tasks.linking.documents import Mention
from tasks.linking.ladder import Sought
from tasks.linking.linker import Embed, Linker, allowed

WRONG_NAMES = 3
"""Of a mention, at most."""


def training_pairs(
    dictionary: Dictionary, mentions: Sequence[Sought], embed: Embed
) -> list[PairExample]:
    """A pair for each distinct mention and meaning, with the nearest other name that is right.

    The negatives are the nearest wrong names, of the 20 nearest names. All texts are as
    `plain_name` has them. The key is the mention's ids, so that other right names in a batch are no
    negatives. A mention of which the dictionary has no other right name has no pair.

    Args:
        dictionary: without these mentions, which would be the names nearest to themselves.
        mentions: those of training.
        embed: the vectors of the model that is to learn, by which names are near.
    """
    linker, keys = Linker(dictionary), dictionary.keys
    meant: dict[tuple[str, tuple[str, ...]], Mention] = {}
    right: list[Places] = []
    for each in mentions:
        query, ids = plain_name(each.name), each.mention.ids
        others = [place for place in dictionary.names_of(ids) if linker.names[place] != query]
        if query and others and (query, ids) not in meant:
            meant[query, ids] = each.mention
            right.append(np.array(others, np.int64))
    if not meant:
        return []
    queries = [query for query, _ in meant]
    documents = linker.nearest(embed, queries, right, weight=0.0, most=1)
    among = allowed(dictionary, list(meant.values()))
    likely = linker.nearest(embed, queries, among, weight=0.0)
    pairs = []
    for (query, ids), document, names in zip(meant, documents, likely, strict=True):
        wrong = [linker.names[place] for place in names.places if keys[place].isdisjoint(ids)]
        negatives = [name for name in wrong if name != query][:WRONG_NAMES]
        best = linker.names[document.places[0]]
        pairs.append(PairExample("", query, best, tuple(negatives), key="|".join(ids)))
    return pairs
