"""A teacher's classes become those of the student by their names, whatever the order of either."""

from dataclasses import replace

import numpy as np
import pytest

from data.tokenizer import save_vocabulary
from data.wordpiece import train_wordpiece
from model.hf.checkpoint import open_checkpoint
from model.pretrained import save
from tasks.catalogue import TASKS
from tasks.choices.examples import ChoiceExample
from tasks.kind import NEVER
from tasks.reading import Reading
from tasks.texts.examples import TextExample
from tasks.words.examples import TaggedExample
from tests import runs
from tests.small import build, call
from train.config import RunConfig
from train.loop.soft_targets import with_soft_targets
from train.recipes import FINETUNE

TEACHER, STUDENT = ("O", "I-a", "B-a"), ("B-a", "O", "I-a")
PLACES = [2, 0, 1]  # of the student's classes among the teacher's
TEXTS = ("the cat", "a red bird sees the dog", "on")


@pytest.mark.parametrize("kind", ["classification", "tags"])
def test_what_the_teacher_says_is_in_the_order_of_the_student(kind, tmp_path):
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
    shape = runs.MODEL.replace(vocab_size=vocabulary.size, labels=TEACHER)
    teacher = build(TASKS[kind].kind.model, shape)
    save(teacher, tmp_path)
    save_vocabulary(vocabulary, tmp_path)
    task = replace(TASKS[kind], labels=("O", "B-a", "I-a"))
    examples = [
        TaggedExample(text, tuple(text.split())) if kind == "tags" else TextExample(text, text)
        for text in TEXTS
    ]
    windows = task.to_windows(examples, vocabulary, STUDENT, Reading(max_length=16))
    config = replace(FINETUNE[kind](), teacher=str(tmp_path), run=RunConfig(devices=1))
    student = build(TASKS[kind].kind.model, shape.replace(labels=STUDENT))
    taught = with_soft_targets(
        config, open_checkpoint(tmp_path), task, examples, vocabulary, windows, student
    )
    name = "teacher_logits"
    logits = taught.tokens[name][0] if kind == "tags" else taught.values[name]
    for ids, values in zip(windows.input_ids, logits, strict=True):
        alone = call(teacher, ids[None], np.ones((1, len(ids)), bool), np.zeros_like(ids)[None])
        np.testing.assert_allclose(values, alone.logits[0][..., PLACES], atol=1e-5)


def test_what_the_teacher_says_of_choices(tmp_path):
    """Examples have different numbers of them."""
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
    task = TASKS["choices"]
    teacher = build(task.kind.model, runs.MODEL.replace(vocab_size=vocabulary.size))
    save(teacher, tmp_path)
    save_vocabulary(vocabulary, tmp_path)
    choices = (TEXTS, TEXTS[:2])
    examples = [ChoiceExample(str(n), "a tree", each, n) for n, each in enumerate(choices)]
    windows = task.to_windows(examples, vocabulary, (), Reading(max_length=16))
    config = replace(FINETUNE["choices"](), teacher=str(tmp_path), run=RunConfig(devices=1))
    taught = with_soft_targets(
        config, open_checkpoint(tmp_path), task, examples, vocabulary, windows, teacher
    )
    for each, values in zip(choices, taught.values["teacher_logits"], strict=True):
        for choice, value in zip(each, values, strict=False):
            encoding = vocabulary.tokenizer.encode("a tree", choice)
            arrays = (encoding.ids, encoding.attention_mask, encoding.type_ids)
            alone = call(teacher, *(np.array(a, np.int32)[None, None] for a in arrays))
            np.testing.assert_allclose(value, alone.logits[0, 0], atol=1e-5)
    assert taught.values["teacher_logits"][1, 2] == NEVER
