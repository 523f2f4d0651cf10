"""Scores of searches on a collection, against the formulas on vectors compared by hand."""

import json
import sys

import numpy as np
import pytest

from data.tokenizer import load_vocabulary, save_vocabulary
from eval.retrieval import RetrievalEvaluation, evaluate_retrieval
from model.errors import InputError
from model.hf.weight_map import ENCODERS
from model.pretrained import load, save
from model.tasks import Embedder, SequenceClassification
from tasks.embeddings.embed import embed
from tests.small import BERT, DISTILBERT, build
from tests.spelling import speller

RANDOM = np.random.default_rng(0)
WORDS = ["sun", "moon", "earth", "stone", "sea", "wind", "fire", "tree"]
IDS = [f"d{number}" for number in range(24)]
TEXTS = [" ".join(RANDOM.choice(WORDS, 3)) for _ in IDS]
# As in ArguAna a query may be a document, too: d3.
QUERIES = {"d3": TEXTS[3], **{f"q{n}": " ".join(RANDOM.choice(WORDS, 2)) for n in range(11)}}
GRADES = {
    query: {str(name): int(RANDOM.integers(0, 3)) for name in RANDOM.choice(IDS, 4, replace=False)}
    for query in QUERIES
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder, vocabulary = tmp_path_factory.mktemp("home"), speller()
    size = {"vocab_size": vocabulary.size}
    for name, model in (
        ("embedder", Embedder(build(ENCODERS["distilbert"], DISTILBERT.replace(**size)))),
        ("cross", build(SequenceClassification, BERT.replace(**size, labels=("LABEL_0",)))),
    ):
        save(model, folder / name)
        save_vocabulary(vocabulary, folder / name)
    place = folder / "set"
    (place / "qrels").mkdir(parents=True)
    for file, texts in (("corpus", dict(zip(IDS, TEXTS, strict=True))), ("queries", QUERIES)):
        rows = (json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items())
        (place / f"{file}.jsonl").write_text("".join(rows))
    lines = (f"{q}\t{d}\t{g}\n" for q, each in GRADES.items() for d, g in each.items())
    (place / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


def evaluated(home, output, model="embedder", **settings):
    model = str(home / model) if (home / model).exists() else model
    places = {"collection": str(home / "set"), "output": output, "cache": home / "cache"}
    return evaluate_retrieval(RetrievalEvaluation(model=model, **places, **settings))


def rankings(home):
    """By the model, without the query itself; of equal scores the first document."""
    model, vocabulary = load(home / "embedder", Embedder), load_vocabulary(str(home / "embedder"))
    vectors = embed(model, vocabulary, [*QUERIES.values(), *TEXTS])
    for query, scores in zip(QUERIES, vectors[:12] @ vectors[12:].T, strict=True):
        order = np.argsort(-scores, kind="stable")
        yield query, [IDS[row] for row in order if IDS[row] != query]


def ndcg(grades, order):
    gains = np.array([grades.get(name, 0) for name in order[:10]])
    ideal = np.array(sorted(grades.values(), reverse=True)[:10])
    discounts = 1 / np.log2(np.arange(2, 12))
    best = (ideal * discounts[: len(ideal)]).sum()
    return (gains * discounts).sum() / best if best else 0.0


def test_the_scores_of_a_model_and_of_words(home, tmp_path, capsys):
    metrics = evaluated(home, tmp_path / "out")
    orders = dict(rankings(home))
    expected = [ndcg(GRADES[query], order) for query, order in orders.items()]
    assert metrics["model"]["ndcg@10"] == pytest.approx(np.mean(expected), abs=1e-9)
    relevant = [any(GRADES[query].values()) for query in QUERIES]
    assert metrics["model"]["recall@100"] == pytest.approx(np.mean(relevant))
    first = [GRADES[query].get(order[0], 0) > 0 for query, order in orders.items()]
    assert metrics["model"]["precision@1"] == pytest.approx(np.mean(first))

    record = json.loads((tmp_path / "out/results.json").read_text())
    assert list(record["searches"]) == ["model", "bm25"]
    counts = {"documents": 24, "queries": 12, "judged": 48}
    assert {name: record["collection"][name] for name in counts} == counts
    half = record["searches"]["model"]["intervals"]["ndcg@10"]
    # The t interval of a mean: 2.201 is its quantile for 11 degrees of freedom.
    assert half == pytest.approx(2.20099 * np.std(expected, ddof=1) / 12**0.5, rel=1e-4)
    apart = record["difference"]["metrics"]["ndcg@10"]
    assert apart == pytest.approx(metrics["model"]["ndcg@10"] - metrics["bm25"]["ndcg@10"])

    lines = (tmp_path / "out/queries.jsonl").read_text().splitlines()
    each = [json.loads(line)["model"]["ndcg@10"] for line in lines]
    np.testing.assert_allclose(each, expected, atol=1e-9)
    printed = capsys.readouterr().out
    assert "there are 24 documents, fewer than 100: all count in recall@100" in printed
    assert f"{metrics['model']['ndcg@10']:.3f} ±" in printed
    assert "BM25: k1 0.9, b 0.4, Porter's stemmer" in printed


def test_what_was_found_is_a_run_of_trec_eval(home, tmp_path):
    ir_measures = pytest.importorskip("ir_measures")
    metrics = evaluated(home, tmp_path)
    run = list(ir_measures.read_trec_run(str(tmp_path / "run-bm25.trec")))
    again = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], GRADES, run)
    assert again[ir_measures.nDCG @ 10] == pytest.approx(metrics["bm25"]["ndcg@10"], abs=1e-9)
    assert ("d3", "d3") not in {(each.query_id, each.doc_id) for each in run}


def test_words_alone_and_re_ranked(home, tmp_path):
    alone = evaluated(home, tmp_path / "a", model="bm25")
    beside = evaluated(home, tmp_path / "b", rerank=str(home / "cross"), candidates=5)
    assert list(alone) == ["bm25"]
    assert list(beside) == ["model", "bm25", "model-reranked", "bm25-reranked"]
    assert beside["bm25"] == alone["bm25"] != beside["bm25-reranked"]
    runs = {name: (tmp_path / "b" / f"run-{name}.trec").read_text() for name in beside}
    found = {
        name: {tuple(line.split()[0:3]) for line in text.splitlines()}
        for name, text in runs.items()
    }
    assert found["bm25-reranked"] < found["bm25"]
    assert "difference" not in json.loads((tmp_path / "b/results.json").read_text())


@pytest.mark.parametrize("name", ["ir_measures", "bm25s"])
def test_a_missing_library_is_named_before_a_model_reads(name, home, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("eval.search.DenseSearch", None)
    with pytest.raises(InputError, match=f"needs {name}, which is not installed"):
        evaluated(home, tmp_path)


def test_another_models_folder_is_left_alone(home, tmp_path):
    evaluated(home, tmp_path, model="bm25")
    evaluated(home, tmp_path, model="bm25")
    with pytest.raises(InputError, match=f"{tmp_path} holds the scores of bm25 on .*set: choose"):
        evaluated(home, tmp_path)
