"""The cache of compiled programs: a damaged one is compiled again, whatever JAX compresses with."""

import random

import jax
import pytest
from jax._src import compilation_cache, lru_cache

from tests.disk import damage
from train.command.compiled import keep_compiled

PROGRAM = bytes(range(256)) * 8


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache that JAX opens after `keep_compiled`."""
    monkeypatch.setattr(compilation_cache, "LRUCache", lru_cache.LRUCache)  # put back at the end
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    keep_compiled()
    for name, value in before.items():
        jax.config.update(name, value)
    opened = compilation_cache.get_file_cache(str(tmp_path))
    assert opened is not None
    return opened[0]


def test_a_program_is_what_was_kept_or_compiled_again(cache, tmp_path, capsys):
    assert cache.get("step") is None
    for seed in range(50):
        cache.put("step", PROGRAM)
        assert cache.get("step") == PROGRAM
        what = damage(tmp_path / "step-cache", random.Random(seed))
        assert cache.get("step") is None, what
    [line] = capsys.readouterr().err.splitlines()
    assert line == f"compiled programs in {tmp_path} are damaged: they are compiled again"


def test_a_program_of_jax_alone_is_compiled_again(cache, tmp_path):
    for entry in (b"", b"short", PROGRAM):
        (tmp_path / "step-cache").write_bytes(entry)
        assert cache.get("step") is None
