"""Checkpoints of random numbers for a server."""

import pytest

from data.tokenizer import save_vocabulary
from data.wordpiece import train_wordpiece
from model.hf.weight_map import ENCODERS
from model.pretrained import save
from model.tasks import Embedder
from tests import runs
from tests.eval.test_predict import HEADS, PROBLEM_TYPES, save_model
from tests.small import build


@pytest.fixture(scope="module")
def vocabulary():
    return train_wordpiece([" ".join(runs.WORDS)] * 3 + [". , ' ?"] * 2, 90)


@pytest.fixture
def folder(vocabulary, tmp_path):
    """A function that writes the checkpoint of a head."""

    def write(name: str):
        if name in HEADS:
            kind, labels = HEADS[name]
            problem = PROBLEM_TYPES.get(name)
            return save_model(
                tmp_path / name, kind, vocabulary, labels=labels, problem_type=problem
            )
        config = runs.MODEL.replace(vocab_size=vocabulary.size)
        encoder = build(ENCODERS[config.architecture], config)
        save(Embedder(encoder) if name == "embedder" else encoder, tmp_path / name)
        save_vocabulary(vocabulary, tmp_path / name)
        return tmp_path / name

    return write
