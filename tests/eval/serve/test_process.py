"""A server as a process: start, clients that misbehave, and its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from data.extras import library
from eval.serve.__main__ import ServeConfig, serve
from eval.serve.process import bound_socket
from model.errors import InputError
from tests import runs

ROOT = Path(__file__).parents[3]
BODY = json.dumps({"texts": ["the [MASK]"], "top": 2}).encode()


class Served:
    """A server of a tiny masked LM."""

    def __init__(self, model: Path, *flags: str):
        line = [sys.executable, "-m", "eval.serve", str(model), "--port", "0", *flags]
        self.process = subprocess.Popen(
            line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.printed = self.process.stdout.readline() + self.process.stdout.readline()
        self.port = int(self.printed.rpartition(":")[2])

    def post(self, body: bytes = BODY) -> tuple[int, dict]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("POST", "/fill", body)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def raw(self, data: bytes) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        client.sendall(data)
        return client


def everything(client: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    return b"".join(iter(lambda: client.recv(9999), b""))


def fillings(reply: dict) -> dict[str, float]:
    [[mask]] = [result["masks"] for result in reply["results"]]
    return {filling["token"]: filling["probability"] for filling in mask}


def head(size: int) -> bytes:
    return f"POST /fill HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return runs.write_teacher(tmp_path_factory.mktemp("serve") / "model")


@pytest.fixture(scope="module")
def served(model) -> Iterator[Served]:
    server = Served(model, "--patience", "2", "--most-waiting", "5", "--most-texts", "1")
    yield server
    server.process.kill()
    server.process.communicate()


@pytest.mark.long
def test_it_says_when_it_is_ready(served, model):
    assert served.printed.startswith(f"{model}: compiling its programs\nready: http://127.0.0.1")
    status, reply = served.post()
    assert status == 200 and len(reply["results"][0]["masks"][0]) == 2


@pytest.mark.long
def test_clients_that_leave_or_are_slow_are_not_noticed(served):
    _, expected = served.post()
    for data in (b"POST /fill HT", head(len(BODY)), head(len(BODY)) + BODY[:9], head(9**9) + BODY):
        served.raw(data).close()
    gone = served.raw(head(len(BODY)) + BODY)
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    gone.close()  # by a reset, as of a process that is killed
    slow = [served.raw(head(len(BODY)) + BODY[:9]) for _ in range(20)]
    start = time.monotonic()
    assert served.post() == (200, expected)
    assert time.monotonic() - start < 2
    for client in slow:
        answer = everything(client)
        assert answer.startswith(b"HTTP/1.1 408 ") and b"not there after 2 seconds" in answer
        client.close()
    nonsense = served.raw(b"\x16\x03\x01nonsense\r\n\r\n")
    assert everything(nonsense).startswith(b"HTTP/1.1 400 ")
    nonsense.close()
    assert served.post() == (200, expected)


@pytest.mark.long
def test_a_body_that_is_too_large_is_told_so(served):
    for size in (2_000_000, 10_000_000):
        status, reply = served.post(b"a" * size)
        assert status == 413 and reply["error"].startswith("the body is larger than the 1,000,000")


@pytest.mark.long
def test_of_many_at_once_some_are_refused_and_the_others_answered(served):
    _, expected = served.post()
    together = threading.Barrier(30)

    def post(_: int) -> tuple[int, dict]:
        together.wait()
        return served.post()

    with ThreadPoolExecutor(30) as threads:
        replies = list(threads.map(post, range(30)))
    counts = Counter(status for status, _ in replies)
    assert counts.keys() <= {200, 429} and counts[200] >= 5
    for status, reply in replies:
        told = "texts wait already, of at most 5: try again later"
        if status == 200:
            # Its last digits depend on what was read together.
            assert fillings(reply) == pytest.approx(fillings(expected))
        else:
            assert told in reply["error"]


@pytest.mark.long
def test_a_port_that_is_taken(served, model):
    with pytest.raises(InputError, match=f"--port {served.port} is taken at 127.0.0.1: give"):
        serve(ServeConfig(model=str(model), port=served.port))


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_when_what_was_begun_is_answered(model, number):
    server = Served(model)
    _, expected = server.post()
    idle = server.raw(b"")
    begun = server.raw(head(len(BODY)) + BODY[:9])
    time.sleep(0.2)
    server.process.send_signal(number)
    time.sleep(0.5)
    begun.sendall(BODY[9:])
    answer = everything(begun)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == expected
    output, errors = server.process.communicate(timeout=60)
    assert (server.process.returncode, output, errors) == (0, "stopped, after 2 requests\n", "")
    idle.close()
    begun.close()


def test_addresses_that_are_none():
    for host, port, sentence in (
        ("nowhere.invalid", 0, "--host nowhere.invalid is no address: "),
        ("127.0.0.300", 0, "--host 127.0.0.300 is no address: "),
    ):
        with pytest.raises(InputError, match=sentence):
            bound_socket(host, port)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every port")
def test_a_port_that_is_not_allowed():
    with pytest.raises(InputError, match=r"127.0.0.1, port 1, cannot be used: .*Permission"):
        bound_socket("127.0.0.1", 1)


def test_a_library_that_is_missing(monkeypatch):
    def absent(name: str, extra: str, what: str):
        return library("starlette_that_is_missing", extra, what)

    monkeypatch.setattr("eval.serve.__main__.library", absent)
    with pytest.raises(InputError) as error:
        serve(ServeConfig(model="model"))
    assert str(error.value) == (
        "eval.serve needs starlette_that_is_missing, which is not installed: "
        "pip install -c constraints.txt -e '.[serve]'"
    )


def test_a_queue_that_is_shorter_than_a_request():
    with pytest.raises(InputError, match="--most-texts is 64: --most-waiting 9 are fewer"):
        serve(ServeConfig(model="model", most_waiting=9))
