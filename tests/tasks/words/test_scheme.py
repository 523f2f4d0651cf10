"""Schemes of tags: found by names, and read as seqeval's strict reader of each scheme does."""

import random

import pytest
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from tasks.words.scheme import explain, find_scheme, tags_of_types, to_iob2
from tasks.words.tags import find_entities

STRICT = {"IOB1": IOB1, "IOB2": IOB2, "BIOES": IOBES, "BILOU": BILOU}


def written(entities: list[tuple[str, int, int]], length: int, scheme: str) -> list[str]:
    """The tags of entities (type, first, last) that do not overlap, by each scheme's definition."""
    tags = ["O"] * length
    before = ("", -1, -2)
    for kind, first, last in entities:
        for place in range(first, last + 1):
            mark = "I" if first < place else "B"
            if scheme == "IOB1":
                mark = "B" if place == first and before[::2] == (kind, first - 1) else "I"
            if scheme in ("BIOES", "BILOU"):
                single, end = ("U", "L") if scheme == "BILOU" else ("S", "E")
                mark = single if first == last else end if place == last else mark
            tags[place] = f"{mark}-{kind}"
        before = (kind, first, last)
    return tags


def drawn(seed: int) -> tuple[list[tuple[str, int, int]], int]:
    """Entities of three types, many right behind another, and the number of words."""
    dice = random.Random(seed)
    entities, place = [], dice.randrange(2)
    for _ in range(dice.randrange(1, 8)):
        last = place + dice.randrange(3)
        entities.append((dice.choice(["x", "x-y", "z"]), place, last))
        place = last + 1 + dice.randrange(2)
    return entities, place + dice.randrange(2)


@pytest.mark.parametrize("scheme", STRICT)
def test_entities_of_a_scheme_are_those_of_seqeval(scheme):
    for seed in range(50):
        entities, length = drawn(seed)
        tags = written(entities, length, scheme)
        [strict] = Entities([tags], scheme=STRICT[scheme]).entities
        assert sorted((e.tag, e.start, e.end - 1) for e in strict) == sorted(entities)
        places = [(2 * n, 2 * n + 1) for n in range(length)]
        found = find_entities("w " * length, places, tags)
        assert [(e.type, e.start // 2, e.end // 2) for e in found] == entities
        if scheme == "IOB1":
            assert to_iob2(tags) == tuple(written(entities, length, "IOB2"))


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O B-x I-x", "IOB1 or IOB2"),
        ("I-x O", "IOB1 or IOB2"),
        ("B-x", "IOB1 or IOB2"),
        ("O B-x I-x E-x S-x B-y", "BIOES"),
        ("O B-x I-x L-x U-x", "BILOU"),
        ("O B-x U-y", "BILOU"),
        ("B-x M-x E-x S-x", "BMES"),
        ("O B-x I-x E-x L-x", None),
        ("O S-x", None),
        ("NOUN VERB O", None),
        ("O PER ORG", None),
        ("O B-x I-x MISC", None),
        ("O ORG-B ORG-I", None),
        ("O B_PER I_PER", None),
        ("O B I", None),
        ("O B- I-x", None),
        ("O-x B-x", None),
        ("b-x i-x O", None),
        ("LABEL_0 LABEL_1", None),
        ("O", None),
        ("", None),
    ],
)
def test_a_scheme_is_one_that_all_tags_fit(tags, scheme):
    assert find_scheme(tags.split()) == scheme
    assert explain(tags.split()).startswith(
        f"the tags mark entities, in {scheme}" if scheme else "the tags are plain, one a word"
    )


def test_a_tag_that_keeps_others_from_a_scheme_is_named():
    assert explain(["O", "B-x", "I-x", "MISC"]).endswith("BIOES or BILOU, because of 'MISC'")
    assert explain(["ADJ", "NOUN", "O"]).endswith("BIOES or BILOU")


def test_the_tags_of_types():
    assert tags_of_types("xy") == ("O", "B-x", "I-x", "B-y", "I-y")
    assert tags_of_types("x", "BILOU") == ("O", "B-x", "I-x", "L-x", "U-x")
