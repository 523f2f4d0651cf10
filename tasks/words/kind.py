"""Kind of task: a tag for every word, such as the entity that it belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from data.vocabulary import Vocabulary
from model.losses import cross_entropy
from model.tasks import TokenClassification
from tasks.formats.conll import conll_rows
from tasks.kind import Arrays, ClassNames, Kind, Mistake, Prediction, Ranking
from tasks.reading import Asked
from tasks.words.encode import encode_words, split_words
from tasks.words.examples import TagColumns, TaggedExample, iob2_tags
from tasks.words.tags import entity_f1, find_entities, word_tags


class Tags(Kind):
    """A tag for each word: that of its first piece."""

    name = "tags"
    own = {"title": "your tagging", "metrics": ("entity_f1",), "learning_rate": 5e-5}
    # A .tsv file has a word and its tag with a tab between.
    formats = {".tsv": (conll_rows, TagColumns()), "*": (conll_rows, TagColumns())}
    fields = ("text_field", "label_field")
    has_classes = True
    model = TokenClassification
    per_token = True
    metrics = {"entity_f1": entity_f1}
    titles = {"entity_f1": "entity F1 (seqeval, default mode)"}
    ranking = Ranking("The sentences with most wrong entities", "wrong", "{:.0f}")
    noun = "a tagger"
    to_windows = staticmethod(encode_words)

    def columns(self, fields: Mapping[str, Any]) -> TagColumns:
        return TagColumns((fields["text_field"],), (fields["label_field"],), own=True)

    def classes(self, examples: Sequence[TaggedExample]) -> ClassNames:
        """All tags that the types of the examples' tags may have in IOB2."""
        tags = {tag for example in examples for tag in example.tags or ()}
        return iob2_tags(sorted({tag[2:] for tag in tags if tag != "O"}))

    def targets(self, length: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"tags": jax.ShapeDtypeStruct((length,), jnp.int32)}

    def where(self, batch: Arrays) -> Bool[Array, "*micro rows length"]:
        """The first pieces of words."""
        return (batch["tags"] >= 0) & batch["valid"][..., None]

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, "rows length"]:
        return cross_entropy(output["logits"], jnp.maximum(batch["tags"], 0))

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each with its `words`."""
        counts = [len(example.words) for example in examples]
        tags = word_tags(fetched["logits"], windows, counts, labels)
        return [
            {"words": list(example.words), "prediction": predicted}
            for example, predicted in zip(examples, tags, strict=True)
        ]

    def gold(self, example: TaggedExample) -> list[str] | None:
        return None if example.tags is None else list(example.tags)

    def mistake(self, prediction: Prediction) -> Mistake:
        """Entities that are missed, and entities that are not there."""
        words, text = prediction["words"], " ".join(prediction["words"])
        ends = accumulate(len(word) + 1 for word in words)
        places = [(end - len(word) - 1, end - 1) for word, end in zip(words, ends, strict=True)]
        right, found = (
            find_entities(text, places, prediction[side]) for side in ("gold", "prediction")
        )
        named = (", ".join(f"{e.type}: {e.text}" for e in side) or "-" for side in (right, found))
        return Mistake(len({*right} ^ {*found}), *named)

    def quote(self, example: TaggedExample) -> str:
        return " ".join(example.words)

    def example(self, id: str, text: str, asked: Asked, vocabulary: Vocabulary) -> TaggedExample:
        words = split_words(text, vocabulary.tokenizer)
        return TaggedExample(id, tuple(text[start:end] for start, end in words))

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        found = find_entities(
            text, split_words(text, vocabulary.tokenizer), prediction["prediction"]
        )
        return {"entities": [entity._asdict() for entity in found]}

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        for entity in description["entities"]:
            yield f"  {entity['type']}: {entity['text']}  [{entity['start']}:{entity['end']}]"
        if not description["entities"]:
            yield "  no entities"
