"""Entities in texts with the concepts of a dictionary that they may mean, for `eval.predict`.

The entities are those that a tagger finds or, with any other model, those that are marked in the
texts. Candidates are the names of the dictionary that are spelled most like an entity or, if it is
an abbreviation that the text defines, like its long form; an encoder's vectors rank them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from data.tokenizer import load_vocabulary
from eval.asking.inference import Answering, Description, Input, check_input, describe, kind_of
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.tasks import Embedder, TokenClassification
from tasks.embeddings.embed import embed
from tasks.linking.abbreviations import abbreviations, expand
from tasks.linking.dictionary import plain_name, read_dictionary
from tasks.linking.linker import Embed, Linker
from tasks.linking.marked import marked_document
from tasks.reading import OF_TEXT, Asked
from tasks.windows import Remark
from tasks.words.kind import PlainTags

LINKS = 3
"""Concepts for an entity, if nobody says how many."""


def vectors_of(path: str, prompt: str | None = None) -> Embed:
    """The function from texts to the vectors of an encoder, a folder or hub name.

    Raises:
        InputError: there is none, or it was trained with prompts and none is given.
    """
    checkpoint = open_checkpoint(path)
    model, vocabulary = load(checkpoint, Embedder), load_vocabulary(checkpoint.place)
    return partial(embed, model, vocabulary, prompt=prompt)


def marked_entities(given: Input) -> Description:
    """A text without its marks, and what they mark as its `entities`.

    Raises:
        InputError: as `tasks.linking.marked.marked_document`.
    """
    document = marked_document(given.text, given.place)
    entities = [
        {"text": each.text, "start": each.start, "end": each.start + len(each.text)}
        for each in document.mentions
    ]
    id = {} if given.id is None else {"id": given.id}
    return {**id, "text": document.text, "entities": entities}


class EntityLinker:
    """Links entities to the concepts of a dictionary.

    Args:
        dictionary: its file, see `tasks.linking.dictionary.read_dictionary`.
        embed: an encoder's vectors, which rank candidates; None: only their spelling does.
        top: links of an entity, at most.

    Raises:
        InputError: the file is no dictionary.
    """

    def __init__(self, dictionary: Path, embed: Embed | None, top: int) -> None:
        self._linker = Linker(read_dictionary(dictionary))
        self._embed, self._top = embed, top

    def add_links(self, descriptions: list[Description]) -> list[Description]:
        """Puts `links` into each of the `entities` of texts, and returns these.

        The likeliest come first, each with the `id` and `name` of the concept and, as `as` and
        `score`, that of its names which is most like the entity, and how much.
        """
        entities, names = [], []
        for description in descriptions:
            long_forms = abbreviations(description["text"])
            for entity in description["entities"]:
                entities.append(entity)
                names.append(expand(entity["text"], long_forms))
        found = self._linker.sparse(names, [None] * len(names))
        if self._embed and names:
            found = self._linker.reranked(self._embed, names, found, weight=1.0)
        for entity, candidates in zip(entities, found, strict=True):
            entity["links"] = [
                {"id": concept.id, "name": concept.name, "as": name, "score": score}
                for concept, name, score in self._linker.links(candidates, self._top)
            ]
        return descriptions


def link_answering(path: str, dictionary: Path, link_model: str | None, asked: Asked) -> Answering:
    """Texts answered with their entities and links.

    Args:
        path: a tagger, which finds the entities, or any other model, which ranks the candidates of
            those that are marked.
        dictionary: see `EntityLinker`.
        link_model: for a tagger, the model that ranks; None: candidates go by their spelling.
        asked: with `top`, and nothing else but how texts are read.

    Raises:
        InputError: there is no such model or dictionary, or something else is asked.
    """
    for name in (*OF_TEXT, "null_threshold"):
        if getattr(asked, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} means nothing to --link")
    asked, top = replace(asked, top=None), asked.top or LINKS
    checkpoint = open_checkpoint(path)
    if checkpoint.model_class() is not TokenClassification:
        if link_model is not None:
            raise InputError(
                f"--link-model is for the entities of a tagger, and {path} is none: it ranks the "
                "candidates itself"
            )
        linker = EntityLinker(dictionary, vectors_of(path), top)
        return Answering(
            None,
            asked,
            marked_entities,
            lambda given: (linker.add_links([marked_entities(each) for each in given]), ()),
            linked_lines,
        )
    model, vocabulary = load(checkpoint), load_vocabulary(checkpoint.place)
    if isinstance(kind := kind_of(model), PlainTags):
        raise InputError(f"the tags of {path} mark no entities that could be linked")
    linker = EntityLinker(dictionary, vectors_of(link_model) if link_model else None, top)

    def answer(given: Sequence[Input]) -> tuple[list[Description], tuple[Remark, ...]]:
        found, remarks = describe(model, vocabulary, given)
        return linker.add_links(found), remarks

    return Answering(kind, asked, partial(check_input, model, vocabulary), answer, linked_lines)


def linked_lines(description: Mapping[str, Any]) -> Iterator[str]:
    """The entities and their links, for people."""
    for entity in description["entities"]:
        of_type = f"{entity['type']}: " if "type" in entity else ""
        yield f"  {of_type}{entity['text']}  [{entity['start']}:{entity['end']}]"
        for link in entity["links"]:
            other = "" if link["as"] == plain_name(link["name"]) else f", as {link['as']!r}"
            yield f"    {link['score']:.2f}  {link['id']}  {link['name']}{other}"
    if not description["entities"]:
        yield "  no entities"
