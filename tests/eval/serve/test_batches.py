"""Requests that come together, without HTTP and without a model."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from eval.serve.ability import Query, Reply, answer_each
from eval.serve.batches import Batcher, ClientGoneError
from eval.serve.query import RefusedError
from model.errors import InputError
from tests.eval.serve.echo import Echo


async def stays() -> bool:
    return False


async def left() -> bool:
    return True


Gone = Callable[[], Awaitable[bool]]


def ask_all(echo: Echo, *asked: tuple[str, Query, Gone], most: int = 100) -> list:
    """What becomes of requests that come while the model reads the first."""

    async def run() -> list:
        batcher = Batcher(most, lambda name, texts: None)
        worker = asyncio.create_task(batcher.work())
        echo.may_go_on.clear()
        tasks = [asyncio.create_task(batcher.ask(echo, Query(("first",), {}), stays))]
        await asyncio.to_thread(echo.reading.wait)
        for _, query, is_gone in asked:
            tasks.append(asyncio.create_task(batcher.ask(echo, query, is_gone)))
            await asyncio.sleep(0)
        assert batcher.waiting <= most
        echo.may_go_on.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker
        return results

    return asyncio.run(run())


def query(*texts: str, **settings) -> tuple[str, Query, Gone]:
    return "", Query(texts, settings), stays


def test_what_waits_is_read_together_in_its_order_as_far_as_it_fits():
    echo = Echo()
    asked = [query("a"), query("bb", top=1), query("ccc", "dd"), query("e", "f"), query("g", top=1)]
    replies = ask_all(echo, *asked)
    assert echo.batches == [["first"], ["a", "ccc", "dd"], ["bb", "g"], ["e", "f"]]
    assert [reply.results for reply in replies] == [[5], [1], [2], [3, 2], [1, 1], [1]]


def test_a_request_of_more_texts_than_a_batch_is_read_alone():
    echo = Echo()
    ask_all(echo, query("a"), query(*"bcdef"), query("g"))
    assert echo.batches == [["first"], ["a", "g"], ["b", "c", "d", "e", "f"]]


def test_too_many_are_refused_and_the_others_answered():
    echo = Echo()
    *answered, refused, last = ask_all(
        echo, query("a", "b"), query("c"), query("d", "e"), query("f"), most=4
    )
    assert [reply.results for reply in (*answered, last)] == [[5], [1, 1], [1], [1]]
    assert isinstance(refused, RefusedError) and refused.status == 429
    assert str(refused) == "3 texts wait already, of at most 4: try again later"


def test_nothing_is_read_for_a_client_that_has_left():
    echo = Echo()
    _, gone, reply = ask_all(echo, ("", Query(("a",), {}), left), query("bb"))
    assert echo.batches == [["first"], ["bb"]]
    assert isinstance(gone, ClientGoneError) and reply.results == [2]


def test_a_wrong_text_is_not_noticed_by_others():
    replies = ask_all(Echo(), query("a"), query("unreadable"), query("bug"), query("cc"))
    assert [r.results if isinstance(r, Reply) else type(r) for r in replies] == [
        [5],
        [1],
        InputError,
        ZeroDivisionError,
        [2],
    ]


def test_answers_come_in_the_order_of_the_queries():
    queries = [Query((text,), {}) for text in ("a", "unreadable", "bb")]
    first, wrong, last = answer_each(Echo(), queries)
    assert isinstance(first, Reply) and isinstance(last, Reply)
    assert (first.results, str(wrong), last.results) == ([1], "text 1 is unreadable", [2])


@pytest.mark.parametrize("most", [1, 2])
def test_the_queue_is_free_again_behind_a_batch(most):
    echo = Echo()
    for _ in range(2):
        echo.reading.clear()
        assert ask_all(echo, query("a"), most=most)[1].results == [1]
