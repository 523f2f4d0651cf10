"""Predictions of a model's head for texts: those of `eval.predict`."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from data.vocabulary import Vocabulary
from eval.asking.inference import (
    ROWS,
    Input,
    check_input,
    describe,
    kind_of,
    remarks_on,
    shapes,
    window_length,
)
from eval.serve.ability import Ability, Query, Reply, split_results
from model.errors import InputError
from model.ranges import check_settings
from tasks.reading import OF_TEXT, Asked, Reading

MOST_CHOICES = 8
"""Of a text: for every number of choices there are programs of their own."""
REHEARSED = {"pair": "a", "question": "a", "choices": ("a", "b", "c", "d")}
"""What stands for a user's own words where programs are compiled."""


class Predicting(Ability):
    """Predictions of a task's head, answers to questions, or fillings for [MASK].

    Args:
        model: of `model.tasks`, with any head but next sentence.
        vocabulary: its own.
        max_length: tokens of a window; by default those that `eval.predict` takes.

    Raises:
        InputError: the head predicts nothing about a text.
    """

    together = ROWS[-1]

    def __init__(self, model: Any, vocabulary: Vocabulary, max_length: int | None = None):
        self.model, self.vocabulary = model, vocabulary
        self.kind = kind = kind_of(model)
        self.reading = Reading(max_length=max_length)
        if kind is None:
            self.name, self.noun, self.fields = "fill", "a masked LM", ("top",)
            if max_length is not None:
                raise InputError("--max-length: a masked LM reads every text as a whole")
            return
        self.name = "answer" if "question" in kind.asks else "predict"
        self.noun, self.fields = kind.noun, kind.asks
        try:
            kind.as_asked(Asked())
        except InputError:
            self.needs = tuple(name for name in OF_TEXT if name in kind.asks)

    def check(self, query: Query) -> None:
        asked = self._asked(query.settings)
        check_settings(asked, prefix="")
        if (count := len(asked.choices or ())) > MOST_CHOICES:
            raise InputError(f'"choices" has {count} texts: give at most {MOST_CHOICES}')
        if self.kind is not None:
            try:
                self.kind.as_asked(asked)
            except InputError as error:  # which speaks of flags
                raise InputError(str(error).replace("--choices", '"choices"')) from None

    def examine(self, query: Query) -> None:
        for each in self._inputs(query):
            check_input(self.model, self.vocabulary, each)

    def key(self, query: Query) -> Hashable:
        """Everything but the words of the user, which may differ for each text."""
        settings = query.settings
        common = tuple((name, settings.get(name)) for name in self.fields if name not in OF_TEXT)
        there = tuple(name for name in OF_TEXT if name in settings)
        return common, there, len(settings.get("choices", ()))

    def answer(self, queries: Sequence[Query]) -> list[Reply]:
        parts = [self._inputs(query) for query in queries]
        inputs = [each for part in parts for each in part]
        found, remarks = describe(self.model, self.vocabulary, inputs)
        results = split_results(found, queries)
        if not remarks:
            return [Reply(each, []) for each in results]
        own = [remarks_on(self.model, self.vocabulary, part) for part in parts]
        return [Reply(each, list(map(str, some))) for each, some in zip(results, own, strict=True)]

    def rehearsals(self) -> Iterator[Query]:
        settings = {name: REHEARSED[name] for name in self.needs}
        longest = window_length(self.model, self.reading)
        mask = self.vocabulary.pieces[self.vocabulary.special.mask]
        for length in shapes(1, longest)["lengths"]:
            words = ["a"] * max(1, length - 4)
            if self.kind is None:
                words[0] = mask
            for rows in ROWS:
                yield Query((" ".join(words),) * rows, settings)

    def _asked(self, settings: Mapping[str, Any]) -> Asked:
        return Asked(**settings, reading=self.reading)

    def _inputs(self, query: Query) -> list[Input]:
        asked = self._asked(query.settings)
        return [Input(f"text {n}", text, asked) for n, text in enumerate(query.texts, 1)]
