"""A teacher's vectors, or its scores of pairs, for all texts of the training examples.

It reads texts and not windows, and so may have another vocabulary, another width, or fewer
languages.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from data.tokenizer import load_vocabulary
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.hf.weight_map import class_name
from model.pretrained import load
from model.tasks import Embedder, SequenceClassification
from tasks.embeddings.embed import embed
from tasks.embeddings.examples import PairExample
from tasks.model import check_inputs
from tasks.predict import predictor
from tasks.reading import Reading
from tasks.texts.encode import encode_texts
from tasks.texts.examples import TextExample
from tasks.values.kind import Regression


def is_cross_encoder(checkpoint: Checkpoint) -> bool:
    """True for a classifier with one output, which scores two texts that it reads together."""
    name = class_name(SequenceClassification, checkpoint.config.architecture)
    return name in checkpoint.classes and checkpoint.config.num_labels == 1


def pair_scores(
    checkpoint: Checkpoint, examples: Sequence[PairExample], length: int
) -> Float32[np.ndarray, "examples texts"]:
    """A cross-encoder's scores of each query with its document and negatives; 0 for absent ones.

    Raises:
        InputError: the model does not fit its tokenizer, or has fewer than `length` positions.
    """
    model, vocabulary = load(checkpoint, SequenceClassification), load_vocabulary(checkpoint.place)
    check_inputs(checkpoint.name, model, vocabulary, length)
    pairs = [
        TextExample("", example.query, text)
        for example in examples
        for text in (example.document, *example.negatives)
    ]
    windows = encode_texts(pairs, vocabulary, length, Reading())
    found = iter(predictor(Regression(), windows)(model)["logits"])
    scores = np.zeros((len(examples), 1 + _most(examples)), np.float32)
    for row, example in zip(scores, examples, strict=True):
        for place in range(1 + len(example.negatives)):
            row[place] = next(found)[0]
    return scores


def text_vectors(
    checkpoint: Checkpoint,
    examples: Sequence[PairExample],
    length: int,
    *,
    translated: bool = False,
) -> Float32[np.ndarray, "examples texts width"]:
    """An embedder's vectors of query, document and negatives, of length 1; 0 for absent ones.

    Each text is read once, up to `length` tokens. Where documents are `translated`, the vector of a
    document is that of its query, and the teacher need not know the other language.

    Raises:
        InputError: as `embed`, or the teacher was trained with prompts.
    """
    model, vocabulary = load(checkpoint, Embedder), load_vocabulary(checkpoint.place)
    if model.prompts:
        raise InputError(
            f"the teacher {checkpoint.name} was trained with prompts before its texts, which it "
            "would miss here: take one without"
        )
    rows = [(e.query, e.query if translated else e.document, *e.negatives) for e in examples]
    places = {
        text: place for place, text in enumerate(dict.fromkeys(t for row in rows for t in row))
    }
    length = min(length, model.config.max_positions)
    found = embed(model, vocabulary, list(places), max_length=length)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    vectors = np.zeros((len(rows), 2 + _most(examples), found.shape[1]), np.float32)
    for target, row in zip(vectors, rows, strict=True):
        target[: len(row)] = found[[places[text] for text in row]]
    return vectors


def _most(examples: Sequence[PairExample]) -> int:
    return max(len(example.negatives) for example in examples)
