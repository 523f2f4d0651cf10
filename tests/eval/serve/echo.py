"""An ability without a model: it says how long texts are, and waits if it is told to."""

import threading
from collections.abc import Iterator, Sequence

from eval.serve.ability import Ability, Query, Reply
from eval.serve.query import RequestLimits
from model.errors import InputError

LIMITS = RequestLimits(body=1000, texts=3, characters=50, seconds=0.3)


class Echo(Ability):
    name, noun = "echo", "an echo"
    fields = ("prompt", "choices", "top", "threshold")
    together = 4

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.reading = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def key(self, query: Query) -> object:
        return query.settings.get("top")

    def examine(self, query: Query) -> None:
        if "unreadable" in query.texts:
            raise InputError("text 1 is unreadable")

    def answer(self, queries: Sequence[Query]) -> list[Reply]:
        texts = [text for query in queries for text in query.texts]
        self.batches.append(texts)
        self.reading.set()
        assert self.may_go_on.wait(20)
        if "bug" in texts:
            raise ZeroDivisionError
        return [Reply([len(text) for text in query.texts], []) for query in queries]

    def rehearsals(self) -> Iterator[Query]:
        yield Query(("a",), {})
