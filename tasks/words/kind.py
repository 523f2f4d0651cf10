"""Kinds of task: a tag for every word, as a mark of an entity or for itself."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from data.vocabulary import Vocabulary
from model.config import EncoderConfig
from model.losses import cross_entropy
from model.tasks import TokenClassification
from tasks.formats.conll import conll_rows
from tasks.formats.labels import count_sentence, doubts, in_order
from tasks.kind import Arrays, ClassNames, Kind, Mistake, Prediction, Ranking
from tasks.reading import Asked
from tasks.texts.metrics import accuracy, collapsed, macro_f1
from tasks.words.encode import encode_words, split_words
from tasks.words.examples import TagColumns, TaggedExample
from tasks.words.scheme import explain, find_scheme, tags_of_types
from tasks.words.tags import entity_f1, f1_without_o, find_entities, typed_spans, word_tags


class Tags(Kind):
    """A tag for each word, that of its first piece; all tags together mark entities."""

    name = "tags"
    row = "words, tags, or columns of CoNLL"
    own = {"title": "your tagging", "metrics": ("entity_f1",), "learning_rate": 5e-5}
    # A .tsv file has a word and its tag with a tab between.
    formats = {".tsv": (conll_rows, TagColumns()), "*": (conll_rows, TagColumns())}
    fields = ("text_field", "label_field")
    named_outputs = True
    class_target = "tags"
    model = TokenClassification
    per_token = True
    metrics = {"entity_f1": entity_f1}
    titles = {
        "entity_f1": "entity F1 (seqeval, default mode)",
        "accuracy": "accuracy",
        "macro_f1": "macro F1",
        "f1_without_o": "micro F1 without O",
    }
    ranking = Ranking("The sentences with most wrong entities", "wrong", "{:.0f}")
    collapse = "all words are given the same tag"
    noun = "a tagger"
    to_windows = staticmethod(encode_words)

    def columns(self, fields: Mapping[str, Any]) -> TagColumns:
        return TagColumns((fields["text_field"],), (fields["label_field"],), own=True)

    def classes(self, examples: Sequence[TaggedExample]) -> ClassNames:
        """All tags that the types of the examples' tags may have, or plain tags as they are."""
        tags = {tag for example in examples for tag in example.tags or ()}
        scheme = find_scheme(tags)
        if scheme is None:
            return in_order(tags)
        return tags_of_types(sorted({tag[2:] for tag in tags if tag != "O"}), scheme)

    def classes_of(self, example: TaggedExample) -> list[str]:
        """The types of its entities, each as often as it has one."""
        return [kind for kind, _, _ in typed_spans(example.tags or ())]

    def of_labels(self, labels: ClassNames) -> "Tags":
        return Tags() if find_scheme(labels) or not labels else PlainTags()

    def remarks(self, examples: Sequence[TaggedExample], labels: ClassNames) -> tuple[str, ...]:
        """The scheme of the tags, and the number of entities of each type."""
        types = Counter(chain.from_iterable(map(self.classes_of, examples)))
        return explain(labels), count_sentence(dict(sorted(types.items())), "types of entities")

    def serves(self, config: EncoderConfig) -> bool:
        return config.summary_sentences is None

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
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

    def items(self, answers: Sequence[Sequence[str]]) -> Iterable[tuple[str | int, ...]]:
        """The entities, each with the places of its sentence and of its words."""
        return ((*s, place) for place, tags in enumerate(answers) for s in typed_spans(tags))

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


class PlainTags(Tags):
    """A tag for each word that means something by itself, such as its part of speech."""

    own = {**Tags.own, "metrics": ("accuracy", "macro_f1")}
    metrics = {"accuracy": accuracy, "macro_f1": macro_f1}
    ranking = Ranking("The sentences with most wrong tags", "wrong", "{:.0f}")

    def classes_of(self, example: TaggedExample) -> list[str]:
        """The tags of its words."""
        return list(example.tags or ())

    def remarks(self, examples: Sequence[TaggedExample], labels: ClassNames) -> tuple[str, ...]:
        """The lack of a scheme, and the number of words with each tag."""
        counts = Counter(chain.from_iterable(map(self.classes_of, examples)))
        numbers = count_sentence({name: counts[name] for name in labels}, "tags")
        return explain(labels), numbers, *doubts(labels)

    def measure(self, names, labels, gold, predicted) -> dict[str, float]:
        """Over the words of all sentences; also `collapsed`, 1 where all got the same tag."""
        places = {label: place for place, label in enumerate(labels)}
        right, guessed = (
            np.array([places[tag] for tag in chain(*side)]) for side in (gold, predicted)
        )
        values = super().measure(names, labels, right, guessed)
        return {**values, "collapsed": float(collapsed(guessed))}

    def items(self, answers: Sequence[Sequence[str]]) -> Iterable[tuple[str | int, ...]]:
        """The tags, each with the places of its sentence and of its word."""
        return ((t, n, place) for place, tags in enumerate(answers) for n, t in enumerate(tags))

    def breakdown(self, labels, predictions) -> dict[str, float]:
        """F1 of all tags together but O, where there is one: most words may have it."""
        gold, predicted = ([p[side] for p in predictions] for side in ("gold", "prediction"))
        return {"f1_without_o": f1_without_o(gold, predicted)} if "O" in chain(*gold) else {}

    def mistake(self, prediction: Prediction) -> Mistake:
        """Words with another tag than the right one."""
        right, found = prediction["gold"], prediction["prediction"]
        wrong = [place for place, tag in enumerate(right) if tag != found[place]]
        words = prediction["words"]
        named = (
            ", ".join(f"{tags[n]}: {words[n]}" for n in wrong) or "-" for tags in (right, found)
        )
        return Mistake(len(wrong), *named)

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        words = split_words(text, vocabulary.tokenizer)
        tagged = zip(words, prediction["prediction"], strict=True)
        return {
            "words": [
                {"tag": tag, "text": text[start:end], "start": start, "end": end}
                for (start, end), tag in tagged
            ]
        }

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        for word in description["words"]:
            yield f"  {word['tag']}: {word['text']}  [{word['start']}:{word['end']}]"
        if not description["words"]:
            yield "  no words"
