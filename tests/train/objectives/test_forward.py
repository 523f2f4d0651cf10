"""What student and teacher read, and how."""

import jax
import numpy as np
from flax import nnx

from tests import tiny
from train.objectives.forward import Forward


def test_dropout_is_the_students_alone():
    """A student that is its own teacher."""
    config = tiny.TEACHER.replace(hidden_dropout=0.5, attention_dropout=0.5)
    graphdef, params = nnx.split(tiny.model(config))
    batch = jax.tree.map(lambda array: array[0], tiny.batch(rows=4))

    @jax.jit
    def hidden(params, batch):
        model = nnx.merge(graphdef, params)
        rngs = nnx.Rngs(dropout=0)
        same = Forward(batch, model, model, outputs=(), lift=lambda hidden: hidden, rngs=rngs)
        alone = model.backbone(batch["input_ids"], batch["attention_mask"])
        return [output.last_hidden for output in (same.student, same.teacher, alone)]

    student, teacher, alone = hidden(params, batch)
    np.testing.assert_array_equal(teacher, alone)
    assert tiny.difference(student, alone) > 0.1
