"""What student and teacher read, and how."""

import jax
import jax.numpy as jnp
from flax import nnx

from model.tasks import MaskedLM
from tests import tiny
from tests.small import build
from train.objectives.forward import Forward


def test_dropout_is_the_students_alone():
    batch = jax.tree.map(lambda array: jnp.asarray(array[0]), tiny.batch(rows=4))

    def draws(**dropout: float) -> bool:
        """Whether anything is drawn with these shares of dropout in the models."""

        def read(key):
            rngs = nnx.Rngs(dropout=key)
            forward = Forward(batch, **models, outputs=(), lift=lambda hidden: hidden, rngs=rngs)
            return forward.student.last_hidden, forward.teacher.last_hidden

        models = {
            name: build(MaskedLM, tiny.STUDENT.replace(hidden_dropout=p, attention_dropout=p))
            for name, p in dropout.items()
        }
        return "random_bits" in str(jax.make_jaxpr(read)(jax.random.key(0)))

    assert draws(student=0.1, teacher=0.0)
    assert not draws(student=0.0, teacher=0.1)
