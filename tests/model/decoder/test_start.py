"""Decoders that start from other models compute what these compute."""

from typing import Any

import numpy as np
import pytest
from flax import nnx

from model import Bert, CausalLM, InputError, MaskedLM
from model.decoder.start import decoder_from, shallow_seq2seq
from tests.model.decoder.test_decoder import seq2seq
from tests.small import ARCHITECTURES, BERT, build, call, parameters, tokens

FIRST = np.arange(12) == np.zeros((3, 1))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_at_the_first_token_a_copy_of_an_encoder_predicts_what_it_predicts(
    architecture: str,
) -> None:
    # The first token sees itself alone, as a masked LM does where all others are padding.
    model = build(MaskedLM, ARCHITECTURES[architecture])
    copy = decoder_from(model, crosses=False, rngs=nnx.Rngs(0))
    one, other = (call(each, tokens(), FIRST).logits[:, 0] for each in (model, copy))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_a_copy_shares_no_memory_and_takes_the_layers_that_are_named() -> None:
    model = build(MaskedLM, BERT.replace(num_layers=4))
    copy = decoder_from(model, crosses=True, layers=(0, 3), rngs=nnx.Rngs(0))
    source, target = parameters(model), parameters(copy)
    drawn = {name for name in target if "cross" in name}
    assert copy.config == BERT and len(drawn) == 2 * (4 * 2 + 2)
    for name in target.keys() - drawn:
        assert np.array_equal(target[name], source[name.replace("layers.1.", "layers.3.")]), name
    model.head.bias[...] += 1
    assert np.array_equal(parameters(copy)["head.bias"], target["head.bias"])


def test_a_head_is_drawn_where_there_is_none() -> None:
    copy = decoder_from(build(Bert, BERT), crosses=False, rngs=nnx.Rngs(5))
    one, other = (parameters(each) for each in (copy, CausalLM(BERT, rngs=nnx.Rngs(5))))
    assert np.array_equal(one["head.dense.kernel"], other["head.dense.kernel"])


@pytest.mark.long
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_shallow_student_has_the_layers_of_its_teacher(architecture: str) -> None:
    teacher = deep(ARCHITECTURES[architecture])
    student = shallow_seq2seq(teacher, decoder_layers=(0, 2), encoder_layers=(1,), rngs=nnx.Rngs(0))
    assert student.decoder.config.num_layers == 2 and student.config.num_layers == 1
    source, target = parameters(teacher), parameters(student)
    for name, value in target.items():
        before, after = ("0", "1") if name.startswith("encoder.") else ("1", "2")
        old = name.replace(f"layers.{before}.", f"layers.{after}.")
        assert np.array_equal(value, source[old]), name
    whole = shallow_seq2seq(teacher, rngs=nnx.Rngs(0))
    assert all(np.array_equal(source[n], value) for n, value in parameters(whole).items())
    assert whole.generation == teacher.generation


def deep(config: Any) -> Any:
    def make(config: Any, rngs: nnx.Rngs) -> Any:
        model = seq2seq(config, rngs)
        shape = model.decoder.config.replace(num_layers=3)
        model.decoder = CausalLM(shape, crosses=True, rngs=rngs)
        return model

    return build(make, config)


def test_layers_that_are_not_there() -> None:
    with pytest.raises(InputError, match="2 is not among the teacher's layers 0 to 1"):
        decoder_from(build(Bert, BERT), crosses=True, layers=(0, 2), rngs=nnx.Rngs(0))
