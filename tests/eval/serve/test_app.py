"""Addresses of a server: answers, and one sentence for everything wrong."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from starlette.testclient import TestClient

from eval.predict import open_model, predict
from eval.serve.ability import Query, answer_each
from eval.serve.app import make_app
from eval.serve.query import RequestLimits
from eval.serve.start import about_model, open_abilities, warm_up
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.tasks import Embedder, NextSentence
from tasks.embeddings.embed import embed
from tasks.predict import _fetch
from tasks.reading import Asked
from tests.eval.serve.echo import LIMITS, Echo
from tests.eval.test_predict import HEADS, save_model

TEXTS = ["the old cat sees a red bird", "a tree"]
LARGE = RequestLimits(body=100_000, texts=64, characters=10_000, seconds=10.0)
ASKED = {
    "answers": {"question": "what?", "top": 2},
    "choices": {"choices": ["a dog", "the tree"]},
    "classes": {"pair": "a dog"},
    "labels": {"threshold": 0.3},
    "masks": {"top": 2},
}


def client_of(folder, **settings) -> TestClient:
    checkpoint = open_checkpoint(str(folder))
    abilities = open_abilities(checkpoint, **settings)
    return TestClient(make_app(abilities, about_model(checkpoint), LARGE, most_waiting=64))


A_FEW = ("classes", "tags", "masks")
LONG = [name for name in HEADS if name not in A_FEW]


@pytest.mark.parametrize(
    "name", [*A_FEW, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]
)
def test_answers_are_exactly_those_of_predict(folder, name):
    place = folder(name)
    texts = [f"[MASK] {text}" for text in TEXTS] if name == "masks" else TEXTS
    settings = ASKED.get(name, {})
    asked: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in settings.items()}
    expected = predict(*open_model(str(place)), texts, Asked(**asked))
    address = {"masks": "/fill", "answers": "/answer"}.get(name, "/predict")
    with client_of(place) as client:
        response = client.post(address, json={"texts": texts, **settings})
        assert response.status_code == 200
        assert response.json() == {
            "results": json.loads(json.dumps(expected)),
            "remarks": [],
        }


def test_vectors_are_exactly_those_of_embed(folder):
    place = folder("embedder")
    checkpoint = open_checkpoint(str(place))
    _, vocabulary = open_model(str(place))
    expected = embed(load(checkpoint, Embedder), vocabulary, TEXTS)
    with client_of(place) as client:
        results = client.post("/embed", json={"texts": TEXTS}).json()["results"]
        assert [row["text"] for row in results] == TEXTS
        np.testing.assert_array_equal(
            np.array([row["vector"] for row in results], np.float32), expected
        )
        response = client.post("/embed", json={"texts": ["the cat " * 20, "a"]})
        assert response.json()["remarks"] == [
            "1 of 2 are longer than 16 tokens: their beginning is read"
        ]
        assert client.post("/predict", json={"texts": ["a"]}).json()["error"] == (
            '"pair" is missing: /predict of this model needs "texts" and "pair"'
        )


def test_attention_is_that_of_the_layer(folder):
    place = folder("classes")
    model, vocabulary = open_model(str(place))
    with client_of(place) as client:
        [found] = client.post("/attention", json={"texts": ["a cat"], "layer": 1}).json()["results"]
        response = client.post("/attention", json={"texts": ["a"], "layer": 2})
        assert (response.status_code, response.json()["error"]) == (
            400,
            '"layer" is 2: this model has the layers 0 to 1',
        )
        [cut] = client.post("/attention", json={"texts": ["a " * 50]}).json()["results"]
        assert len(cut["tokens"]) == 24 and cut["tokens"][-1] == "[SEP]"
    assert found["tokens"] == ["[CLS]", "a", "cat", "[SEP]"]
    ids = jnp.array([vocabulary.tokenizer.encode("a cat").ids])
    maps = model.backbone(ids, outputs=("attentions",)).attentions
    np.testing.assert_allclose(found["heads"], maps[1][0], atol=5e-5)


@pytest.mark.parametrize(
    ("name", "settings", "addresses"),
    [
        ("masks", {}, ["/fill", "/attention"]),
        ("tags", {"with_vectors": True}, ["/predict", "/embed", "/attention"]),
        ("embedder", {}, ["/embed", "/predict", "/attention"]),
        ("encoder", {}, ["/embed", "/attention"]),
    ],
)
def test_a_model_has_an_address_for_everything_that_it_can_do(folder, name, settings, addresses):
    with client_of(folder(name), **settings) as client:
        about = client.get("/model").json()
    assert [each["path"] for each in about["endpoints"]] == addresses
    assert about["layers"] == 2 and about["limits"]["texts"] == 64


def test_a_model_for_next_sentences_has_vectors_only(vocabulary, tmp_path):
    place = save_model(tmp_path / "next", NextSentence, vocabulary)
    assert [a.name for a in open_abilities(open_checkpoint(str(place)))] == ["embed", "attention"]


def test_no_program_is_compiled_behind_the_start(folder):
    abilities = open_abilities(open_checkpoint(str(folder("classes"))))
    warm_up(abilities[:1])
    before = _fetch._cache_size()  # type: ignore[attr-defined]
    for count in (1, 2, 9, 32):
        for settings in ({}, {"top": 1}, {"pair": "a cat"}):
            [reply] = answer_each(abilities[0], [Query((TEXTS[0],) * count, settings)])
            assert not isinstance(reply, Exception)
    assert _fetch._cache_size() == before  # type: ignore[attr-defined]


def test_requests_have_their_own_remarks(folder):
    ability = open_abilities(open_checkpoint(str(folder("classes"))))[0]
    short, long = answer_each(ability, [Query(("a",), {}), Query(("a", "the cat " * 20), {})])
    assert not isinstance(short, Exception) and not isinstance(long, Exception)
    assert short.remarks == []
    assert long.remarks == ["1 of 2 are longer than 24 tokens: their beginning is read"]


@pytest.fixture
def echo() -> Iterator[TestClient]:
    with TestClient(make_app([Echo()], {}, LIMITS, most_waiting=8)) as client:
        yield client


DEEP = b"[" * 100_000
WRONG = [
    (b"", 400, 'the body is empty: send a JSON object such as {"texts": ["..."]}'),
    (b"{", 400, "the body is no JSON (line 1, column 2: "),
    (b"\xff{}", 400, "the body is not UTF-8 text (byte 1)"),
    (b'{"texts": ["a"], "top": NaN}', 400, "the body has a number that is none"),
    (b"[]", 400, "the body is a list: send an object"),
    (b"null", 400, "the body is null: send an object"),
    (b"true", 400, "the body is true or false: send an object"),
    (b"{}", 400, '"texts" is missing: /echo of this model needs "texts"'),
    (b'{"text": ["a"]}', 400, '/echo knows no field "text": did you mean texts?'),
    (b'{"texts": "a"}', 400, '"texts" is a text: give a list of texts'),
    (b'{"texts": []}', 400, '"texts" is empty: give at least one text'),
    (b'{"texts": ["a", 3]}', 400, '"texts" is to hold texts, and number 2 is a whole number'),
    (b'{"texts": ["a", " "]}', 400, "text 2 is empty: give a text"),
    (b'{"texts": ["\\ud800"]}', 400, "text 1 is not UTF-8 text (character 1)"),
    (b'{"texts": ["a"], "top": true}', 400, '"top" is true or false: give a whole number'),
    (b'{"texts": ["a"], "top": 1.5}', 400, '"top" is a number: give a whole number'),
    (b'{"texts": ["a"], "threshold": "1"}', 400, '"threshold" is a text: give a number'),
    (b'{"texts": ["a"], "choices": {}}', 400, '"choices" is an object: give a list of texts'),
    (b'{"texts": ["a"], "choices": [""]}', 400, '"choices" is empty: give a text'),
    (b'{"texts": ["a", "b", "c", "d"]}', 413, '"texts" has 4: this server takes at most 3'),
    (b'{"texts": ["' + b"a" * 51 + b'"]}', 413, "text 1 has 51 characters: this server reads at "),
    (b'{"texts": ["' + b"a" * 2000 + b'"]}', 413, "the body is larger than the 1,000 bytes"),
    (b'{"texts": ["unreadable"]}', 400, "text 1 is unreadable"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "sentence"), WRONG)
def test_what_is_wrong_is_said_in_one_sentence(echo, body, status, sentence):
    response = echo.post("/echo", content=body)
    assert response.status_code == status, response.text
    told = response.json()
    assert list(told) == ["error"] and told["error"].startswith(sentence)
    assert "\n" not in told["error"]
    assert echo.post("/echo", json={"texts": ["abc"]}).json()["results"] == [3]


def test_a_body_that_is_nested_too_deeply(echo):
    limits = RequestLimits(body=10**6, texts=3, characters=50, seconds=5.0)
    with TestClient(make_app([Echo()], {}, limits, most_waiting=8)) as client:
        response = client.post("/echo", content=DEEP)
    assert response.status_code == 400
    assert response.json()["error"].startswith(("the body is nested too", "the body is no JSON"))


def test_a_bug_is_told_and_logged_and_others_are_answered(echo, caplog):
    response = echo.post("/echo", json={"texts": ["bug"]})
    assert response.status_code == 500 and "the server's log says why" in response.json()["error"]
    assert "/echo failed" in caplog.text and "ZeroDivisionError" in caplog.text
    assert echo.post("/echo", json={"texts": ["abc"]}).json()["results"] == [3]


def test_a_model_that_fails_everywhere_does_not_start():
    class Broken(Echo):
        def rehearsals(self):
            yield Query(("bug",), {})

    with pytest.raises(ZeroDivisionError):
        warm_up([Broken()])


def test_other_addresses(echo):
    assert echo.get("/health").json() == {"status": "ready"}
    for method, path, status, sentence in (
        ("POST", "/predict", 404, "there is no /predict here: POST to /echo, or GET /, /model"),
        ("GET", "/echo", 405, "/echo is no address for GET: send POST"),
    ):
        response = echo.request(method, path)
        assert response.status_code == status
        assert response.json()["error"].startswith(sentence)


def test_numbers_for_prometheus(echo):
    echo.post("/echo", json={"texts": ["a", "b"]})
    echo.post("/echo", json={"texts": []})
    response = echo.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    numbers = dict(re.findall(r"^(serve_\S+) (\S+)$", response.text, re.MULTILINE))
    assert numbers['serve_requests_total{endpoint="echo",status="200"}'] == "1.0"
    assert numbers['serve_requests_total{endpoint="echo",status="400"}'] == "1.0"
    assert numbers['serve_batch_texts_sum{endpoint="echo"}'] == "2.0"
    assert numbers["serve_waiting_texts"] == "0.0"
    assert "process_resident_memory_bytes" in response.text


def test_the_page_needs_nothing_from_elsewhere(echo):
    response = echo.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    addresses = re.findall(r"(?:https?:)?//[\w.]+\.\w+", response.text)
    assert addresses == ["http://www.w3.org"]  # the name of SVG
    assert not re.search(r"\b(src|@import|url\()", response.text)
