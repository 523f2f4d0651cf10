"""A teacher's columns against the teacher called by hand."""

from pathlib import Path

import numpy as np
import pytest

from data.tokenizer import save_vocabulary
from model.bert import Bert
from model.distilbert import DistilBert
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.pretrained import save
from model.tasks import Embedder, SequenceClassification
from tasks.embeddings.embed import embed
from tasks.embeddings.examples import PairExample
from tasks.embeddings.kind import Pairs, Similarity
from tasks.embeddings.parallel import ParallelTexts
from tests.small import BERT, DISTILBERT, build, call
from tests.spelling import speller

VOCABULARY = speller("abc")  # another than any student's
EXAMPLES = [
    PairExample("0", "ab", "cd", ("ef", "g")),
    PairExample("1", "hi", "ab"),
    PairExample("2", "j", "cd", ("abcdefghijklm",)),
]
KIND = Pairs(negatives=2)
STUDENT = Embedder(build(DistilBert, DISTILBERT))
SHAPE = BERT.replace(vocab_size=VOCABULARY.size)


def saved(model, folder: Path) -> Checkpoint:
    save(model, folder)
    save_vocabulary(VOCABULARY, folder)
    return open_checkpoint(folder)


def test_an_embedder_gives_vectors_of_length_1(tmp_path):
    wide = SHAPE.replace(hidden_size=24)
    teacher = Embedder(build(Bert, wide), normalised=False)
    columns = KIND.ask_teacher(saved(teacher, tmp_path), EXAMPLES, STUDENT, 9)
    assert columns.keys() == {"teacher_vectors"}
    found = columns["teacher_vectors"]
    assert (found.shape, found.dtype) == ((3, 4, 24), np.float32)
    for row, example in zip(found, EXAMPLES, strict=True):
        texts = [example.query, example.document, *example.negatives]
        expected = embed(teacher, VOCABULARY, texts, max_length=9)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(row[: len(texts)], expected, atol=1e-6)
        assert not row[len(texts) :].any()


def test_of_a_translation_the_teacher_reads_the_text(tmp_path):
    teacher = saved(Embedder(build(Bert, SHAPE)), tmp_path)
    found = ParallelTexts().ask_teacher(teacher, EXAMPLES[1:2], STUDENT, 9)["teacher_vectors"]
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    ours = Pairs().ask_teacher(teacher, EXAMPLES[1:2], STUDENT, 9)["teacher_vectors"]
    np.testing.assert_allclose(found[:, 0], ours[:, 0], atol=1e-6)
    assert abs(found[:, 1] - ours[:, 1]).max() > 1e-3


def test_a_cross_encoder_scores_pairs(tmp_path):
    teacher = build(SequenceClassification, SHAPE.replace(labels=("LABEL_0",)))
    kind = Pairs(negatives=2).of_form("margin")
    columns = kind.ask_teacher(saved(teacher, tmp_path), EXAMPLES, STUDENT, 12)
    assert columns.keys() == {"teacher_scores"}
    for row, example in zip(columns["teacher_scores"], EXAMPLES, strict=True):
        texts = [example.document, *example.negatives]
        for score, text in zip(row, texts, strict=False):
            encoding = VOCABULARY.tokenizer.encode(example.query, text)
            ids, types = list(encoding.ids), list(encoding.type_ids)
            if len(ids) > 12:  # the longer one is cut
                ids, types = [*ids[:11], ids[-1]], types[:12]
            arrays = (np.array(a, np.int32)[None] for a in (ids, [1] * len(ids), types))
            np.testing.assert_allclose(score, call(teacher, *arrays).logits[0, 0], atol=1e-5)
        assert not row[len(texts) :].any()


def test_teachers_that_cannot_teach(tmp_path):
    cross = saved(
        build(SequenceClassification, SHAPE.replace(labels=("LABEL_0",))), tmp_path / "cross"
    )
    wide = saved(Embedder(build(Bert, SHAPE.replace(hidden_size=24))), tmp_path / "wide")
    prompts = Embedder(build(Bert, SHAPE), prompts=(("query", "q: "),))
    prompted = saved(prompts, tmp_path / "prompts")
    for kind, teacher, sentence in [
        (
            KIND,
            cross,
            "is a cross-encoder, which scores pairs and has no vectors: give --loss.form",
        ),
        (KIND.of_form("vectors"), wide, "is 24 wide and the student 16: give kl, for which widths"),
        (KIND, prompted, "was trained with prompts before its texts"),
        (Pairs(form="margin"), wide, "--loss.form margin needs negatives, and no example has one"),
        (Similarity(form="margin"), cross, "--loss.form margin needs negatives, and no example"),
    ]:
        with pytest.raises(InputError, match=sentence):
            kind.ask_teacher(teacher, EXAMPLES, STUDENT, 9)
