import numpy as np
import pytest

from tasks.linking.candidates import Candidates
from tasks.linking.dictionary import read_dictionary
from tasks.linking.documents import Mention
from tasks.linking.linker import Linker, allowed, remembered
from tests.tasks.linking.invented import write_dictionary


@pytest.fixture(scope="module")
def linker(tmp_path_factory):
    return Linker(read_dictionary(write_dictionary(tmp_path_factory.mktemp("linker"))))


def names(linker, candidates):
    return [linker.names[place] for place in candidates.places]


def test_an_exact_name_is_one_but_for_case_and_punctuation(linker):
    found = linker.exact(["FEVER (copper)", "copper fevers", "--"], [None] * 3)
    assert [names(linker, each) for each in found] == [["fever copper"], [], []]
    (elsewhere,) = linker.exact(["copper fever"], [np.array([3])])
    assert names(linker, elsewhere) == []


def test_the_nearest_spelling_comes_first(linker):
    (found,) = linker.sparse(["Weavers' palsies"], [None], 3)
    assert set(names(linker, found)[:2]) == {"weaver palsy", "palsy of weavers"}


def test_links_are_concepts_by_their_best_names(linker):
    places = [linker.names.index(n) for n in ("fever copper", "brazier disease", "copper fever")]
    candidates = Candidates(np.array(places), np.array([3, 2, 1], np.float32))
    links = linker.links(candidates, 5)
    assert [(link.concept.id, link.name, link.score) for link in links] == [
        ("D000001", "fever copper", 3.0),
        ("C000008", "brazier disease", 2.0),
    ]
    assert linker.links(candidates, 1) == links[:1]


def model_of(seed):
    """Vectors of texts by chance, of any length, and the texts that were asked for."""
    rng, known, asked = np.random.default_rng(seed), {}, []

    def embed(texts):
        asked.extend(texts)
        for text in texts:
            known.setdefault(text, rng.normal(size=4).astype(np.float32))
        return np.stack([known[text] for text in texts])

    return embed, known, asked


def cosine(known, one, other):
    a, b = known[one], known[other]
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_model_ranks_candidates_by_the_cosine(linker, weight):
    embed, known, asked = model_of(0)
    spelled = np.array([3, 2, 1], np.float32)
    candidates = [Candidates(np.array([2, 5, 9]), spelled)] * 2
    none = Candidates(np.zeros(0, np.int64), np.zeros(0, np.float32))
    found = linker.reranked(embed, ["Ataxia!", "ataxia", "--"], [*candidates, none], weight)
    cosines = [cosine(known, "ataxia", linker.names[place]) for place in (2, 5, 9)]
    scores = (cosines + weight * spelled) / (1 + weight)
    order = np.argsort(-scores)
    for each in found[:2]:
        np.testing.assert_array_equal(each.places, np.array([2, 5, 9])[order])
        np.testing.assert_allclose(each.scores, scores[order], rtol=1e-5)
    assert found[2].places.size == 0
    assert len(asked) == 4  # each text once


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_model_ranks_all_names(linker, weight):
    embed, known, _ = model_of(1)
    among = [None, np.array([1, 3]), None]
    found = linker.nearest(embed, ["Ataxia!", "ataxia", "--"], among, weight, most=4)
    (spelled,) = linker.sparse(["ataxia"], [None], len(linker.names))
    scores = np.array([cosine(known, "ataxia", name) for name in linker.names])
    scores[spelled.places] += weight * spelled.scores
    scores /= 1 + weight
    np.testing.assert_array_equal(found[0].places, np.argsort(-scores)[:4])
    np.testing.assert_allclose(found[0].scores, np.sort(scores)[:-5:-1], rtol=1e-5)
    assert found[1].places.tolist() == sorted([1, 3], key=lambda place: -scores[place])
    assert found[2].places.size == 0


def test_remembered_texts_are_asked_for_once():
    embed, known, asked = model_of(2)
    again = remembered(embed)
    for texts in (["a", "b", "a"], ["b", "c"], ["a"]):
        np.testing.assert_array_equal(again(texts), [known[text] for text in texts])
    assert asked == ["a", "b", "c"]


def test_a_candidate_list_allows_the_names_of_its_concepts(linker):
    mentions = [Mention(0, "x", candidates=("C000008", "unknown")), Mention(0, "x")]
    places, everything = allowed(linker.dictionary, mentions)
    assert everything is None and places is not None
    assert {linker.names[place] for place in places} == {"blue tongue disease", "brazier disease"}
