import dataclasses
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model import InputError, MaskedLM, PreTraining
from model.hf.weight_map import tensor_name
from model.student import choose_layers, sinusoids, student_from_teacher
from tests.small import BERT, build, call, parameters, tokens

# A published model's deviation, for the narrower width: 0.02 * sqrt(768 / 16).
TEACHER = BERT.replace(
    num_layers=12, hidden_dropout=0.15, layer_norm_eps=1e-9, initializer_range=0.14
)


@pytest.fixture(scope="module")
def teacher() -> Any:
    return build(MaskedLM, TEACHER)


def shallow(teacher: MaskedLM, layers: tuple[int, ...], *, zero_types: bool) -> Any:
    """The BERT that has only these layers of the teacher, built parameter by parameter."""
    model = build(MaskedLM, teacher.config.replace(num_layers=len(layers)), seed=1)
    source = dict(nnx.to_flat_state(nnx.state(teacher)))
    values = {}
    for place, param in nnx.to_flat_state(nnx.state(model)):
        original = tuple(layers[part] if isinstance(part, int) else part for part in place)
        zero = zero_types and "token_type" in place
        values[place] = param.replace(0 * param[...] if zero else source[original][...])
    return nnx.merge(nnx.graphdef(model), nnx.from_flat_state(values))


@pytest.mark.long
@pytest.mark.parametrize("layers", ["original", "last", (11, 3, 3, 0)])
def test_with_zero_token_types_the_student_is_a_shallow_bert_bit_by_bit(
    teacher: Any, layers: str | tuple[int, ...]
) -> None:
    ids, mask = jnp.asarray(tokens()), jnp.arange(12)[None] < jnp.array([[12], [7], [1]])
    student = student_from_teacher(teacher, layers=layers, rngs=nnx.Rngs(0))
    bert = shallow(teacher, choose_layers(layers, 12), zero_types=True)
    assert student.config.architecture == "distilbert"
    outputs = ("hidden_states", "attentions")
    # Operation by operation: in one program XLA would order the sums of the two differently.
    ours, theirs = (model(ids, mask, outputs=outputs) for model in (student, bert))
    assert all(map(np.array_equal, jax.tree.leaves(ours), jax.tree.leaves(theirs)))


@pytest.mark.long
def test_with_folded_token_types_the_student_is_a_shallow_bert(teacher: Any) -> None:
    folded, dropped = (
        student_from_teacher(teacher, token_types=how, rngs=nnx.Rngs(0)) for how in ("fold", "drop")
    )
    bert = shallow(teacher, (0, 2, 4, 7, 9, 11), zero_types=False)
    expected = call(bert, tokens()).last_hidden
    # Three vectors added in another order: some units in the last place, above 1e-6 with AVX2.
    np.testing.assert_allclose(call(folded, tokens()).last_hidden, expected, rtol=1e-6, atol=1e-6)
    assert not np.allclose(call(dropped, tokens()).last_hidden, expected, atol=1e-2)


def test_tensors_of_the_original_extraction(teacher: Any) -> None:
    # The tensors that extract_distilbert.py copies, by their names in checkpoints.
    def tensors(model: nnx.Module, architecture: Any) -> dict[str, np.ndarray]:
        return {
            tensor_name(place, type(model), architecture): np.asarray(param[...])
            for place, param in nnx.to_flat_state(nnx.state(model))
        }

    student = student_from_teacher(teacher, copy_head=False, rngs=nnx.Rngs(0))
    ours, theirs = tensors(student, "distilbert"), tensors(teacher, "bert")
    expected = {"vocab_projector.bias": "cls.predictions.bias"}
    for name in ("word_embeddings.weight", "position_embeddings.weight"):
        expected[f"distilbert.embeddings.{name}"] = f"bert.embeddings.{name}"
    for kind in ("weight", "bias"):
        expected[f"distilbert.embeddings.LayerNorm.{kind}"] = f"bert.embeddings.LayerNorm.{kind}"
        for index, layer in enumerate((0, 2, 4, 7, 9, 11)):
            new, old = f"distilbert.transformer.layer.{index}", f"bert.encoder.layer.{layer}"
            expected |= {
                f"{new}.attention.q_lin.{kind}": f"{old}.attention.self.query.{kind}",
                f"{new}.attention.k_lin.{kind}": f"{old}.attention.self.key.{kind}",
                f"{new}.attention.v_lin.{kind}": f"{old}.attention.self.value.{kind}",
                f"{new}.attention.out_lin.{kind}": f"{old}.attention.output.dense.{kind}",
                f"{new}.sa_layer_norm.{kind}": f"{old}.attention.output.LayerNorm.{kind}",
                f"{new}.ffn.lin1.{kind}": f"{old}.intermediate.dense.{kind}",
                f"{new}.ffn.lin2.{kind}": f"{old}.output.dense.{kind}",
                f"{new}.output_layer_norm.{kind}": f"{old}.output.LayerNorm.{kind}",
            }
    head = {
        f"vocab_{part}.{kind}"
        for part in ("transform", "layer_norm")
        for kind in ("weight", "bias")
    }
    assert ours.keys() == expected.keys() | head
    assert all(np.array_equal(ours[new], theirs[old]) for new, old in expected.items())
    # The head's dense layer and LayerNorm are drawn at random.
    assert not np.any(ours["vocab_transform.bias"])
    assert abs(ours["vocab_transform.weight"].std() / 0.14 - 1) < 5 / math.sqrt(2 * 16 * 16)
    assert np.all(ours["vocab_layer_norm.weight"] == 1)


def test_the_student_has_the_configuration_of_its_teacher(teacher: Any) -> None:
    config = student_from_teacher(teacher, rngs=nnx.Rngs(0)).config
    assert config == TEACHER.distilled(6)
    differing = {
        field.name
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != getattr(TEACHER, field.name)
    }
    assert differing == {"architecture", "num_layers", "type_vocab_size", "classifier_dropout"}


def test_the_student_shares_no_memory_with_its_teacher(teacher: Any) -> None:
    for copy_head in (True, False):
        student = student_from_teacher(teacher, copy_head=copy_head, rngs=nnx.Rngs(0))
        before = {name: np.array(value) for name, value in parameters(teacher).items()}
        # A train step that donates the student deletes its arrays.
        for leaf in jax.tree.leaves(nnx.state(student)):
            leaf.delete()
        after = parameters(teacher)
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_teacher_with_more_heads_or_no_token_types_will_do() -> None:
    teacher = build(PreTraining, BERT)
    student = student_from_teacher(teacher, layers="first", num_layers=1, rngs=nnx.Rngs(0))
    assert type(student) is MaskedLM and student.config == BERT.distilled(1)
    smaller = student_from_teacher(student, layers=(0,), rngs=nnx.Rngs(0))
    ours, theirs = (call(model, tokens()).logits for model in (smaller, student))
    assert np.array_equal(ours, theirs)
    with pytest.raises(InputError, match="no token types to fold"):
        student_from_teacher(student, layers=(0,), token_types="fold", rngs=nnx.Rngs(0))


def test_random_is_a_new_model_with_sinusoidal_positions(teacher: Any) -> None:
    student = student_from_teacher(teacher, layers="random", rngs=nnx.Rngs(3))
    fresh = parameters(MaskedLM(TEACHER.distilled(6), rngs=nnx.Rngs(3)))
    for name, value in parameters(student).items():
        same = np.array_equal(value, fresh[name])
        assert same is (name != "backbone.embeddings.position.embedding")
    other = student_from_teacher(teacher, layers="random", num_layers=2, rngs=nnx.Rngs(3))
    assert other.config.num_layers == 2


@pytest.mark.parametrize("width", [16, 15])
def test_sinusoids(width: int) -> None:
    table = sinusoids(20, width)
    assert table.dtype == np.float32
    for position in range(20):
        for column in range(width):
            angle = position / 10000 ** (2 * (column // 2) / width)
            expected = math.cos(angle) if column % 2 else math.sin(angle)
            assert table[position, column] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("layers", "depth", "num_layers", "chosen"),
    [
        ("original", 12, 6, (0, 2, 4, 7, 9, 11)),
        ("original", 12, None, (0, 2, 4, 7, 9, 11)),
        ("original", 12, 3, (0, 6, 11)),
        ("original", 24, 2, (0, 23)),
        ("original", 12, 1, (0,)),
        ("original", 3, 3, (0, 1, 2)),
        ("first", 12, 6, (0, 1, 2, 3, 4, 5)),
        ("last", 12, 6, (6, 7, 8, 9, 10, 11)),
        ("last", 12, 2, (10, 11)),
        ("even", 12, 6, (0, 2, 4, 6, 8, 10)),
        ("even", 3, None, (0, 2)),
        ("odd", 12, 6, (1, 3, 5, 7, 9, 11)),
        ((5, 1), 12, None, (5, 1)),
        ("0,5,11", 12, None, (0, 5, 11)),
        ("3", 12, 1, (3,)),
    ],
)
def test_choice_of_layers(
    layers: str | tuple[int, ...], depth: int, num_layers: int | None, chosen: tuple[int, ...]
) -> None:
    assert choose_layers(layers, depth, num_layers) == chosen


@pytest.mark.parametrize(
    ("layers", "depth", "num_layers", "message"),
    [
        ("middle", 12, 6, "'middle' are unknown: there are original, first, last, even, odd, ran"),
        ("1;2", 12, 2, "'1;2' are unknown"),
        ("0,12", 12, None, "12 is not among the teacher's layers 0 to 11"),
        ((-1,), 12, None, "-1 is not among the teacher's layers 0 to 11"),
        ("first", 4, 6, "a teacher with 4 layers has no student of 6"),
        ("last", 4, 6, "a teacher with 4 layers has no student of 6"),
        ("original", 4, 6, "a teacher with 4 layers has no student of 6"),
        ("original", 4, 0, "has no student of 0"),
        ((), 4, None, "has no student of 0"),
        ("even", 12, 4, "'even' of 12 are 6, and the student is to have 4"),
        ("0,1", 12, 6, "'0,1' of 12 are 2, and the student is to have 6"),
    ],
)
def test_impossible_choices(
    layers: str | tuple[int, ...], depth: int, num_layers: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        choose_layers(layers, depth, num_layers)


@pytest.mark.parametrize(
    ("asked", "shape"),
    [
        ({}, (16, 2, 24)),
        # Four times the student's width.
        ({"hidden_size": 8}, (8, 2, 32)),
        ({"hidden_size": 8, "num_heads": 4, "intermediate_size": 12}, (8, 4, 12)),
        ({"num_heads": 8}, (16, 8, 24)),
        ({"intermediate_size": 40}, (16, 2, 40)),
    ],
    ids=str,
)
def test_a_random_student_may_have_another_shape(
    teacher: Any, asked: dict[str, Any], shape: tuple[int, ...]
) -> None:
    def make() -> MaskedLM:
        return student_from_teacher(
            teacher, layers="random", num_layers=1, rngs=nnx.Rngs(0), **asked
        )

    student = nnx.eval_shape(make)
    width, heads, feed_forward = shape
    assert student.config == TEACHER.distilled(1).replace(
        hidden_size=width, num_heads=heads, intermediate_size=feed_forward
    )
    assert student.backbone.embeddings.position.embedding.shape == (20, width)
    assert student.backbone.encoder.layers[0].feed_forward.up.kernel.shape == (width, feed_forward)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"hidden_size": 8},
            "the student's hidden_size is 8 and the teacher's 16, so no layer can be copied: let "
            "the student start at random (--student.layers random)",
        ),
        ({"num_heads": 4}, "the student's num_heads is 4 and the teacher's 2"),
        ({"intermediate_size": 48}, "the student's intermediate_size is 48 and the teacher's 24"),
        (
            {"layers": "random", "hidden_size": 9},
            "num_heads 2 does not divide hidden_size 9",
        ),
        ({"layers": "random", "num_heads": 3}, "num_heads 3 does not divide hidden_size 16"),
    ],
    ids=str,
)
def test_shapes_that_cannot_be(teacher: Any, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        student_from_teacher(teacher, **asked, rngs=nnx.Rngs(0))
