"""Vectors of texts: those of `eval.predict --embed`."""

from collections.abc import Hashable, Iterator, Sequence

from data.vocabulary import Vocabulary
from eval.serve.ability import Ability, Query, Reply, split_results
from model.tasks import Embedder
from tasks.embeddings.embed import SMALL_BATCHES, embed, lengths_of_batches, text_length
from tasks.embeddings.encode import token_rows
from tasks.predict import EVALUATION_ROWS
from tasks.windows import too_long


class Embedding(Ability):
    """The vector of each text.

    Args:
        model: an encoder that says how it makes one vector of a text.
        vocabulary: its own.
        max_length: tokens of a text; by default the model's.
    """

    name = "embed"
    noun = "an encoder"
    fields = ("prompt",)
    together = SMALL_BATCHES[-1]

    def __init__(self, model: Embedder, vocabulary: Vocabulary, max_length: int | None = None):
        self.model, self.vocabulary = model, vocabulary
        self.length = text_length(model, max_length)
        prompts = dict(model.prompts)
        self.prompt = prompts.get(model.default_prompt or "", "")
        self.known = {name: text for name, text in prompts.items() if text}
        if self.known and not model.default_prompt:
            self.needs = ("prompt",)

    def key(self, query: Query) -> Hashable:
        return query.settings.get("prompt", self.prompt)

    def answer(self, queries: Sequence[Query]) -> list[Reply]:
        prompt = queries[0].settings.get("prompt", self.prompt)
        texts = [text for query in queries for text in query.texts]
        parts = [texts[n : n + EVALUATION_ROWS] for n in range(0, len(texts), EVALUATION_ROWS)]
        vectors = [
            vector.tolist()
            for part in parts  # of more there would be other programs
            for vector in embed(
                self.model, self.vocabulary, part, prompt=prompt, max_length=self.length
            )
        ]
        rows = [
            {"text": text, "vector": vector} for text, vector in zip(texts, vectors, strict=True)
        ]
        return [
            Reply(each, self._remarks(query, prompt))
            for each, query in zip(split_results(rows, queries), queries, strict=True)
        ]

    def _remarks(self, query: Query, prompt: str) -> list[str]:
        texts = [f"{prompt}{text}" for text in query.texts]
        _, longer = token_rows(texts, self.vocabulary, self.length)
        remarks = too_long(longer, len(texts), self.length, "their beginning is read")
        return list(map(str, remarks))

    def rehearsals(self) -> Iterator[Query]:
        settings = {"prompt": self.prompt}
        before, _ = token_rows([self.prompt], self.vocabulary, self.length)
        for length in lengths_of_batches(self.length):
            words = max(0, length - len(before[0]))
            for rows in SMALL_BATCHES:
                yield Query((" ".join(["a"] * words),) * rows, settings)
