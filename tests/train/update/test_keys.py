"""Keys of the streams of random numbers."""

from typing import get_args

import jax

from train.update.keys import Stream, keys_of, stream_key


def test_every_use_of_every_seed_has_its_own_key():
    keys = {
        (seed, stream): tuple(jax.random.key_data(stream_key(seed, stream)).tolist())
        for seed in range(3)
        for stream in get_args(Stream)
    }
    assert len(set(keys.values())) == 9
    for stream, key in keys_of(2)._asdict().items():
        assert tuple(jax.random.key_data(key).tolist()) == keys[2, stream]
