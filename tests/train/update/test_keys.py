"""Keys of the streams of random numbers."""

from typing import get_args

import jax
import numpy as np

from train.update.keys import Stream, keys_of, stream_key


def test_every_use_of_every_seed_has_its_own_key():
    keys = [stream_key(seed, stream) for seed in range(3) for stream in get_args(Stream)]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 9
    for name, key in keys_of(2)._asdict().items():
        np.testing.assert_array_equal(key, stream_key(2, name))
