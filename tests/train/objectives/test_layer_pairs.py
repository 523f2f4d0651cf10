import re

import pytest

from model.errors import InputError
from train.objectives.layer_pairs import layer_pairs


@pytest.mark.parametrize(
    ("layers", "student", "teacher", "pairs"),
    [
        ("last", 6, 12, ((5, 11),)),
        ("last", 1, 1, ((0, 0),)),
        # As TinyBERT: every second layer, up to the last.
        ("uniform", 6, 12, ((0, 1), (1, 3), (2, 5), (3, 7), (4, 9), (5, 11))),
        ("uniform", 4, 12, ((0, 2), (1, 5), (2, 8), (3, 11))),
        ("uniform", 12, 12, tuple((layer, layer) for layer in range(12))),
        ("uniform", 5, 12, ((0, 1), (1, 4), (2, 6), (3, 9), (4, 11))),
        ("uniform", 1, 12, ((0, 11),)),
        ("uniform", 3, 1, ((0, 0), (1, 0), (2, 0))),
        ("0:1,5:11", 6, 12, ((0, 1), (5, 11))),
        ("5:0", 6, 12, ((5, 0),)),
        (" 0:1, 0:2", 6, 12, ((0, 1), (0, 2))),
    ],
)
def test_the_pairs_of_a_choice(layers, student, teacher, pairs):
    assert layer_pairs(layers, student, teacher) == pairs


@pytest.mark.parametrize(("student", "teacher"), [(2, 3), (4, 6), (5, 7), (6, 12), (11, 12)])
def test_uniform_rises_through_the_teacher_to_its_last_layer(student, teacher):
    ours, theirs = zip(*layer_pairs("uniform", student, teacher), strict=True)
    assert ours == tuple(range(student))
    assert list(theirs) == sorted(set(theirs)) and theirs[-1] == teacher - 1


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("first", "layers 'first' are unknown: there are last, uniform, and pairs"),
        ("", "layers '' are unknown"),
        ("0", "layers '0' are unknown"),
        ("0:1:2", "layers '0:1:2' are unknown"),
        ("0:1,", "layers '0:1,' are unknown"),
        ("a:b", "layers 'a:b' are unknown"),
        ("0:1,6:11", "layers '0:1,6:11': the student has no layer 6, only 0 to 5"),
        ("0:12", "layers '0:12': the teacher has no layer 12, only 0 to 11"),
        ("-1:11", "layers '-1:11': the student has no layer -1, only 0 to 5"),
        ("5:-1", "layers '5:-1': the teacher has no layer -1, only 0 to 11"),
    ],
)
def test_layers_that_are_not_there(layers, message):
    with pytest.raises(InputError, match=re.escape(message)):
        layer_pairs(layers, 6, 12)
