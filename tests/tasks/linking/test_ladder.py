import numpy as np
import pytest

from tasks.linking.candidates import Candidates
from tasks.linking.dictionary import read_dictionary
from tasks.linking.ladder import first_right, half_width, ladder, sought
from tasks.linking.linker import Linker
from tasks.linking.pubtator import pubtator_documents
from tests.tasks.linking.invented import ABSTRACTS, write_dictionary, write_documents


@pytest.fixture
def dictionary(tmp_path):
    return read_dictionary(write_dictionary(tmp_path))


@pytest.fixture
def documents(tmp_path):
    return list(pubtator_documents(write_documents(tmp_path)))


def test_mentions_are_sought_by_their_long_forms(documents):
    plain, expanded = (sought(documents, expanded=flag) for flag in (False, True))
    assert [each.document for each in plain] == [0] * 5 + [1] * 2 + [2] * 2
    changed = {a.name: b.name for a, b in zip(plain, expanded, strict=True) if a.name != b.name}
    assert changed == {"GBS": "glass bone syndrome", "late GBS": "late glass bone syndrome"}


def test_exact_names_are_counted_by_hand(documents, dictionary):
    rungs = {(r.ranking, r.abbreviations): r for r in ladder(documents, dictionary)}
    exact = rungs["exact name", False]
    # Of the composite mention there is no name; "weaver's palsy" is none; "dusk stumbling" neither.
    assert exact.hits(1).tolist() == [True, False, True, False, False, False, True, False, True]
    assert exact.best[1] == "" and exact.best[6] == "brazier disease"
    assert rungs["exact name", True].hits(1).tolist() == [
        *(True, True, True, True, False, False, True, False, True)
    ]
    assert [*rungs] == [
        *((name, flag) for flag in (False, True) for name in ("exact name", "spelling"))
    ]
    spelling = rungs["spelling", True]
    assert spelling.hits(1).tolist() == [*[True] * 7, False, True]
    assert (spelling.hits(20) >= spelling.hits(1)).all()


def test_training_mentions_are_names(documents, dictionary):
    *_, exact, spelling = ladder(documents, dictionary, training=documents)
    assert exact.training_mentions and exact.abbreviations and exact.ranking == "exact name"
    assert exact.hits(1).all() and spelling.hits(1).all()


def test_training_mentions_are_names_by_their_long_forms(tmp_path, dictionary):
    training = ("1", "Sudden dusk stumbling (SDS).", "Of SDS.", (("SDS", "", "D000005"),))
    test = ("2", "Dusk.", "Sudden dusk stumbling.", (("Sudden dusk stumbling", "", "D000005"),))
    training, test = (
        list(pubtator_documents(write_documents(tmp_path, each))) for each in (training, test)
    )
    assert [rung.hits(1).tolist() for rung in ladder(test, dictionary, training)][-2:] == [
        [True]
    ] * 2


def test_mentions_of_no_concept_are_left_out(tmp_path):
    odd = ("1", "Of one.", "And two.", (("one", "", "-1"), ("two", "", "D000005")))
    documents = list(pubtator_documents(write_documents(tmp_path, odd)))
    assert [each.name for each in sought(documents, expanded=False)] == ["two"]


def test_a_model_ranks_the_candidates(documents, dictionary):
    """A model that knows one answer by heart and nothing else."""

    def embed(texts):
        known = {"dusk stumbling", "ataxia nocturna"}
        return np.array([[1, 0] if text in known else [0, 1] for text in texts], np.float32)

    rungs = {
        r.ranking: r
        for r in ladder(documents, dictionary, models={"oracle": embed}, all_names=True)
        if r.abbreviations
    }
    assert [*rungs] == [
        *("exact name", "spelling", "oracle", "oracle, of all names", "oracle + spelling"),
        "oracle + spelling, of all names",
    ]
    assert rungs["oracle"].best[7] == rungs["oracle + spelling"].best[7] == "ataxia nocturna"
    assert rungs["oracle + spelling"].hits(1)[:5].all()  # spelling decides between equal vectors


def test_candidate_lists_hold_for_every_rung(tmp_path, dictionary):
    (document,) = pubtator_documents(write_documents(tmp_path, ABSTRACTS[2]))
    (first, _) = document.mentions
    listed = type(first)(first.start, first.text, ids=first.ids, candidates=("D000005",))
    only = type(document)(document.id, document.text, (listed,))
    rungs = list(ladder([only], dictionary))
    assert [rung.hits(1).tolist() for rung in rungs] == [[False], [True]] * 2


def test_the_first_right_name_is_found(documents, dictionary):
    linker, asked = Linker(dictionary), sought(documents, expanded=False)[:3]
    place = {name: number for number, name in enumerate(linker.names)}
    lists = [
        ["copper fever", "brittle glass syndrome"],  # right by OMIM:100200's concept D000002
        ["night ataxia"],
        [],
    ]
    candidates = [
        Candidates(np.array([place[n] for n in each], np.int64), np.ones(len(each), np.float32))
        for each in lists
    ]
    assert first_right(dictionary, asked, candidates).tolist() == [1, -1, -1]


def test_intervals_are_those_of_documents():
    """With one mention a document the t interval of a mean; copies of mentions add nothing."""
    from scipy import stats

    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, 40).astype(float)
    expected = stats.t.ppf(0.975, 39) * values.std(ddof=1) / 40**0.5
    single = half_width(values, np.arange(40))
    assert single == pytest.approx(expected, rel=1e-9)
    assert half_width(np.repeat(values, 3), np.repeat(np.arange(40), 3)) == pytest.approx(single)
    assert half_width(values[:5], np.arange(5)) is None
    gaps = half_width(values, 3 * np.arange(40))  # documents without mentions
    assert gaps == pytest.approx(single)
