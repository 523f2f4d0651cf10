"""Slices of TPUs by name."""

import importlib.util

import pytest

from model.errors import InputError
from train.planning.tpus import CHIPS, find_topology


def test_the_slices_that_exist():
    assert set(CHIPS) == {"v3", "v4", "v5e", "v5p", "v6e"}
    for chip in CHIPS.values():
        sizes = [find_topology(f"{chip.name}:{layout}").chips for layout in chip.slices]
        assert sizes == sorted(sizes)
        assert sizes[-1] == 256
    assert find_topology("v5p:2x2x4").chips == 16


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("v5e:3x4", "there is no TPU topology 'v5e:3x4': did you mean v5e:.*v5e: 1x1, .* 16x16$"),
        ("v5:2x4", "did you mean v5.:2x.*v3: 2x2, .*v4: .*v5e: .*v5p: .*v6e: "),
        ("v4:2x2", "did you mean v4:2x2x.*There are v4: 2x2x1, "),
        ("", "there is no TPU topology ''"),
        ("v5e-16", r"did you mean v5e:4x4\? "),
        ("v5litepod-8", r"did you mean v5e:2x4\? "),
        ("v4-16", r"did you mean v4:2x2x2\? "),
        ("v6e-7", "there is no TPU topology 'v6e-7': did you mean v6e:"),
    ],
)
def test_a_slice_that_does_not_exist(name, sentence):
    with pytest.raises(InputError, match=sentence):
        find_topology(name)


def test_without_libtpu_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError,
        match=r"needs libtpu.* pip install .* libtpu, and begin the command with PYTHONPATH=",
    ):
        find_topology("v5e:2x2").devices()
