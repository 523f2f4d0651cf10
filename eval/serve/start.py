"""The start of a server: what a model can do, and all programs for that, compiled."""

from collections.abc import Sequence
from typing import Any

from data.tokenizer import load_vocabulary
from eval.serve.ability import Ability, answer_each
from eval.serve.attending import Attending
from eval.serve.embedding import Embedding
from eval.serve.predicting import Predicting
from model.backbone import Backbone
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.pretrained import load
from model.tasks import Embedder, NextSentence


def open_abilities(
    checkpoint: Checkpoint, max_length: int | None = None, *, with_vectors: bool = False
) -> list[Ability]:
    """The abilities of a checkpoint; the first is what it was made for.

    Args:
        checkpoint: of any class of `model.tasks`, or of an encoder alone.
        max_length: tokens of a window; by default the model's.
        with_vectors: of a model with a head, too.

    Raises:
        InputError: its files are damaged, or it can do nothing of what is asked for.
    """
    model: Any = load(checkpoint)
    vocabulary = load_vocabulary(checkpoint.place)
    found: list[Ability] = []
    if not isinstance(model, Backbone | NextSentence):
        found.append(Predicting(model, vocabulary, max_length))
    backbone = model if isinstance(model, Backbone) else getattr(model, "backbone", None)
    if not isinstance(backbone, Backbone) or backbone.causal:
        if with_vectors:
            raise InputError(f"--embed: {checkpoint.name} is no encoder, and has no vectors")
        return found
    if isinstance(model, Embedder):
        found.insert(0, Embedding(model, vocabulary, max_length))
    elif with_vectors or not found:
        embedder = Embedder(backbone, **checkpoint.read_embedder()._asdict())
        found.append(Embedding(embedder, vocabulary, max_length))
    return [*found, Attending(backbone, vocabulary)]


def about_model(checkpoint: Checkpoint) -> dict[str, Any]:
    """Facts about a checkpoint, for people who ask it."""
    config = checkpoint.config
    return {
        "model": checkpoint.name,
        "architecture": config.architecture,
        "layers": config.num_layers,
        "heads": config.num_heads,
        "width": config.hidden_size,
        "labels": list(config.labels),
    }


def warm_up(abilities: Sequence[Ability]) -> None:
    """Asks everything once for which a program is compiled.

    Raises:
        InputError: the model cannot answer.
    """
    for ability in abilities:
        for query in ability.rehearsals():
            [reply] = answer_each(ability, [query])
            if isinstance(reply, Exception):
                raise reply
