"""Pairs against brute force over all names."""

import numpy as np
import pytest

from tasks.linking.dictionary import read_dictionary
from tasks.linking.documents import Mention
from tasks.linking.ladder import Sought
from tasks.linking.linker import Linker
from tasks.linking.pairs import WRONG_NAMES, training_pairs

CONCEPTS = 40


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory):
    """Each concept has three names of random letters, and the first two of them have one name."""
    random = np.random.default_rng(0)
    names = ["".join(random.choice([*"abcdefgh "], 9)).strip() for _ in range(3 * CONCEPTS)]
    lines = [f"D{n}|{n}00||{'|'.join(names[3 * n : 3 * n + 3])}" for n in range(CONCEPTS)]
    lines[:2] = [f"{line}|common cough" for line in lines[:2]]
    file = tmp_path_factory.mktemp("dictionary") / "dictionary.txt"
    file.write_text("\n".join(lines) + "\n")
    return read_dictionary(file)


def vectors():
    """Vectors of texts by chance, and those that were given."""
    random, known = np.random.default_rng(1), {}

    def embed(texts):
        for text in texts:
            known.setdefault(text, random.normal(size=3).astype(np.float32))
        return np.stack([known[text] for text in texts])

    return embed, known


def seek(name, *ids):
    return Sought(Mention(0, name, ids=ids), 0, name)


def test_the_nearest_names_are_chosen(dictionary):
    linker = Linker(dictionary)
    stranger = linker.names[-1]  # of another concept than the mention is
    itself = linker.names[dictionary.names_of(["D8"])[0]]
    mentions = [
        seek("Abbe of CDs", "D3"),
        seek("abbe of cds!", "D3"),
        seek("abbe of cds", "700"),
        seek("Head bag", "D4", "D5"),
        seek(stranger, "D6"),
        seek(itself, "D8"),
        seek("Coughing", "D1"),
        seek("unknown", "D4000"),
        seek("--", "D3"),
    ]
    embed, known = vectors()
    known["coughing"], known["common cough"] = np.ones((2, 3), np.float32)
    pairs = training_pairs(dictionary, mentions, embed)
    expected = []
    for query, ids in [
        ("abbe of cds", ["D3"]),
        ("abbe of cds", ["700"]),
        ("head bag", ["D4", "D5"]),
        (stranger, ["D6"]),
        (itself, ["D8"]),
        ("coughing", ["D1"]),
    ]:
        near = sorted(linker.names, key=lambda name: -cosine(known[query], known[name]))
        right = {
            name
            for name, places in dictionary.names.items()
            for place in places
            if dictionary.concepts[place].keys & set(ids)
        }
        wrong = [name for name in near[:20] if name not in right | {query}][:WRONG_NAMES]
        assert len(wrong) == WRONG_NAMES
        best = next(name for name in near if name in right - {query})
        expected.append((query, best, tuple(wrong), "|".join(ids)))
    assert [(p.query, p.document, p.negatives, p.key) for p in pairs] == expected
    assert pairs[-1].document == "common cough"


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def test_the_candidates_of_a_mention_are_its_only_names(dictionary):
    mention = Mention(0, "Abbe", ids=("D3",), candidates=("D3", "D7"))
    pairs = training_pairs(dictionary, [Sought(mention, 0, "Abbe")], vectors()[0])
    names = list(dictionary.names)
    assert {pair.document for pair in pairs} < {names[p] for p in dictionary.names_of(["D3"])}
    for pair in pairs:
        assert {*pair.negatives} == {names[place] for place in dictionary.names_of(["D7"])}


def test_without_a_right_name_there_are_no_pairs(dictionary):
    assert training_pairs(dictionary, [seek("unknown", "D4000")], vectors()[0]) == []
