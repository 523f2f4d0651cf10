"""The cache of compiled programs: a step that was compiled once starts at once in other processes.

JAX trusts what it finds in it. Where zstd compresses the programs (from Python 3.14 on, or if
`zstandard` is installed) they have no checksum, and a bit that flips on the disk would be run as
other machine code. And JAX never replaces what a kill has cut short. So each program has a digest
of ours, and a damaged one is compiled again.
"""

import jax
import xxhash
from jax._src import compilation_cache, lru_cache

from data.storage.mirror import default_cache
from model.terminal import say

DIGEST_BYTES = 16


def keep_compiled() -> None:
    """Keeps what is compiled from now on in the folder `compiled` of the cache."""
    jax.config.update("jax_compilation_cache_dir", str(default_cache() / "compiled"))
    # Small programs, too: a start compiles dozens of them, JAX keeps what took over a second.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # Not public, and there is no other way in.
    compilation_cache.LRUCache = VerifiedPrograms  # pyright: ignore[reportPrivateImportUsage]


class VerifiedPrograms(lru_cache.LRUCache):
    """JAX's cache, with a digest after each program, where JAX by itself would not read it."""

    _damage_is_reported = False

    def get(self, key: str) -> bytes | None:
        entry = super().get(key)
        if entry is None:
            return None
        program, digest = entry[:-DIGEST_BYTES], entry[-DIGEST_BYTES:]
        if xxhash.xxh3_128_digest(program) == digest:
            return program
        (self.path / f"{key}-cache").unlink(missing_ok=True)  # or `put` would let it be
        if not self._damage_is_reported:
            self._damage_is_reported = True
            say(
                f"compiled programs in {self.path} are damaged: they are compiled again", error=True
            )
        return None

    def put(self, key: str, value: bytes) -> None:
        super().put(key, value + xxhash.xxh3_128_digest(value))
