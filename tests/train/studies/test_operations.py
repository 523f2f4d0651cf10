"""Operations of an update: against a count by hand."""

from dataclasses import replace

import pytest

from tests import runs
from train.studies.operations import update_operations


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return runs.make_home(tmp_path_factory.mktemp("home"))


def test_masked_lm_alone_counts_the_student_and_no_teacher(home):
    """Every product forward has two behind it, but for those of the input, which needs no gradient.

    In the first layer there is none to leave out: the embeddings are trained.
    """
    config = replace(runs.distill_config(home), steps=10)
    config = replace(config, loss=config.loss.with_weights(mlm=1.0))
    shape = runs.MODEL
    rows, length, width = config.batch_size, config.data.sequence_length, shape.hidden_size
    products = 4 * width**2 + 2 * width * shape.intermediate_size + 2 * length * width
    layers = 1  # half the teacher's
    masked = 5 * rows // 2  # 15 % of the 32 tokens of two rows that are masked together
    vocabulary = 80
    head = masked * (width**2 + width * vocabulary)
    assert update_operations(config) == 3 * 2 * (rows * length * layers * products + head)
