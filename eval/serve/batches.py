"""Requests that come at the same time, answered together: what waits is read in one batch.

Nobody waits for a batch to fill up. While the model reads one, in a thread of its own, requests
gather for the next.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from eval.serve.ability import Ability, Query, Reply, answer_each
from eval.serve.query import RefusedError


class ClientGoneError(Exception):
    """Nobody waits for the reply any more."""


@dataclass(eq=False)
class Waiting:
    """A request in the queue."""

    ability: Ability
    query: Query
    is_gone: Callable[[], Awaitable[bool]]
    """True if its client has left."""
    reply: asyncio.Future[Reply]

    @property
    def texts(self) -> int:
        return len(self.query.texts)


class Batcher:
    """A bounded queue of requests, and the task that answers them.

    Args:
        most_waiting: texts that may wait; what comes then is refused.
        observe: is told of every batch: the name of the ability, and the texts.
    """

    def __init__(self, most_waiting: int, observe: Callable[[str, int], None]):
        self._most, self._observe = most_waiting, observe
        self._queue: list[Waiting] = []
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """The texts that wait."""
        return sum(each.texts for each in self._queue)

    async def ask(
        self, ability: Ability, query: Query, is_gone: Callable[[], Awaitable[bool]]
    ) -> Reply:
        """The reply to a query, when its turn has come.

        Raises:
            RefusedError: too many wait.
            ClientGoneError: its client has left.
            InputError: a text cannot be read.
        """
        if self.waiting + len(query.texts) > self._most:
            raise RefusedError(
                429, f"{self.waiting} texts wait already, of at most {self._most}: try again later"
            )
        reply = asyncio.get_running_loop().create_future()
        self._queue.append(Waiting(ability, query, is_gone, reply))
        self._wake.set()
        return await reply

    async def work(self) -> None:
        """Answers what comes, until cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "model") as thread:
            while True:
                await self._wake.wait()
                batch = [each for each in self._next() if not await self._has_left(each)]
                if batch:
                    self._observe(batch[0].ability.name, sum(each.texts for each in batch))
                    queries = [each.query for each in batch]
                    replies = await loop.run_in_executor(
                        thread, answer_each, batch[0].ability, queries
                    )
                    for each, reply in zip(batch, replies, strict=True):
                        if each.reply.done():
                            continue
                        if isinstance(reply, Exception):
                            each.reply.set_exception(reply)
                        else:
                            each.reply.set_result(reply)

    def _next(self) -> list[Waiting]:
        """The first of the queue, with all others that can be answered together with it."""
        first, texts = self._queue[0], 0
        key, chosen, rest = first.ability.key(first.query), [], []
        for each in self._queue:
            alike = each.ability is first.ability and each.ability.key(each.query) == key
            if each is first or (alike and texts + each.texts <= first.ability.together):
                chosen.append(each)
                texts += each.texts
            else:
                rest.append(each)
        self._queue = rest
        if not rest:
            self._wake.clear()
        return chosen

    async def _has_left(self, each: Waiting) -> bool:
        if each.reply.done():
            return True
        if gone := await each.is_gone():
            each.reply.set_exception(ClientGoneError())
        return gone
