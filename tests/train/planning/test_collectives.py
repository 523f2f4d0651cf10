"""What devices exchange, read from programs: one written by hand, and two that XLA compiled."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from train.planning.collectives import Collective, collectives, not_reductions

BY_HAND = """\
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[8,2]{1,0})->f32[8,2]{1,0}}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%inner.3 (p: bf16[7]) -> bf16[28] {
  %p = bf16[7]{0:T(512)} parameter(0)
  ROOT %all-gather = bf16[28]{0:T(512)} all-gather(%p), channel_id=4, replica_groups={{0,1,2,3}}, dimensions={0}
}

%body (carry: (s32[], f32[5])) -> (s32[], f32[5]) {
  %carry = (s32[], f32[5]{0}) parameter(0)
  %x = f32[5]{0} get-tuple-element(%carry), index=1
  %all-reduce.1 = f32[5]{0} all-reduce(%x), channel_id=1, to_apply=%add
  %gathered = bf16[28]{0} fusion(%x), kind=kCustom, calls=%inner.3
  ROOT %next = (s32[], f32[5]{0}) tuple(%i, %all-reduce.1)
}

%condition (carry: (s32[], f32[5])) -> pred[] {
  %n = s32[]{:T(128)} constant(LIMIT)
  ROOT %less = pred[]{:T(512)} compare(%i, %n), direction=LT, metadata={op_name="lt"}
}

ENTRY %main (x: f32[8,2]) -> f32[8,2] {
  %x = f32[8,2]{1,0:T(8,128)} parameter(0)
  %loop = (s32[], f32[5]{0}) while(%start), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"6"}}
  %all-reduce-start = (f32[8,2]{1,0:T(8,128)}, f32[]{:T(128)}) all-reduce-start(%x, %l), channel_id=2, to_apply=%add, metadata={op_name="jit(step)/transpose" source_file="a.py"}
  %all-reduce-done = (f32[8,2]{1,0}, f32[]) all-reduce-done(%all-reduce-start)
  %collective-permute-start = (pred[3]{0}, pred[3]{0}) collective-permute-start(%q), channel_id=3
  ROOT %out = f32[8,2]{1,0} get-tuple-element(%all-reduce-done), index=0
}
"""  # noqa: E501


def test_a_program_written_by_hand():
    found = {(one.kind, one.shapes, one.bytes, one.times) for one in collectives(BY_HAND)}
    assert found == {
        ("all-reduce", ((5,),), 20, 6),
        ("all-gather", ((28,),), 56, 6),
        ("all-reduce", ((8, 2), ()), 68, 1),
        ("collective-permute", ((3,),), 3, 1),
    }
    assert {one.source for one in collectives(BY_HAND)} == {"jit(step)/transpose", ""}
    assert sum(one.total for one in collectives(BY_HAND)) == 20 * 6 + 56 * 6 + 68 + 3


def test_the_length_of_a_loop_may_stand_in_its_condition_only():
    hlo = BY_HAND.replace(', backend_config={"known_trip_count":{"n":"6"}}', "")
    assert {one.times for one in collectives(hlo.replace("LIMIT", "9"))} == {9, 1}
    assert {one.times for one in collectives(hlo)} == {None, 1}


def test_programs_that_xla_compiled():
    """A loop sums 7 floats five times, then 12 are gathered: four devices, brute force."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def program(x):
        def again(total, _):
            return total + jax.lax.psum(x[0] * total, "data"), None

        total, _ = jax.lax.scan(again, jnp.ones(7), None, length=5)
        return jax.lax.all_gather(total[:3], "data")

    mapped = jax.shard_map(program, mesh=mesh, in_specs=P("data"), out_specs=P(), check_vma=False)
    hlo = jax.jit(mapped).lower(jnp.ones((4, 7))).compile().as_text()
    assert hlo is not None
    assert sorted((one.kind, one.bytes, one.times) for one in collectives(hlo)) == [
        ("all-gather", 48, 1),
        ("all-reduce", 28, 5),
    ]


def reduce(*shapes: tuple[int, ...], kind: str = "all-reduce", times: int | None = 1) -> Collective:
    size = sum(4 * jnp.zeros(shape).size for shape in shapes)
    return Collective(kind, shapes, size, times, "source")


PARAMETERS = [(300, 100), (100,), (300, 100)]


def test_sums_of_gradients_and_metrics_are_all_that_is_expected():
    fine = [reduce((300, 100), (30000,)), reduce((100,), ()), reduce((), (16,), times=16)]
    assert not_reductions(fine, PARAMETERS) == []


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (reduce((300, 100), kind="all-gather"), "all-gather of 120,000 bytes, for source"),
        (reduce((8, 512, 768)), "all-reduce of 12,582,912 bytes, for source"),
        (reduce((8, 512), times=5), "all-reduces of 81,984 bytes altogether that are no"),
    ],
)
def test_anything_else_is_reported(more, sentence):
    fine = [reduce((300, 100), (30000,)), reduce((100,), (), times=16)]
    [line] = not_reductions([*fine, more], PARAMETERS)
    assert line.startswith(sentence)
