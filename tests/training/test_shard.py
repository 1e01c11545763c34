"""Shards of a batch: random numbers and statistics of the whole batch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax.training.devices.shard import Shard

pytestmark = pytest.mark.usefixtures("standard_promotion")


def shards_of(size, count):
    """Shards of a batch of `size`, on one device."""
    each = size // count
    return [Shard(jnp.int32(n * each), jnp.float32(size), size, None) for n in range(count)], each


def test_keys_are_those_of_the_positions_in_the_batch(key):
    (whole,), _ = shards_of(8, 1)
    shards, each = shards_of(8, 4)
    keys = np.concatenate([jax.random.key_data(shard.keys(key, each)) for shard in shards])
    np.testing.assert_array_equal(keys, jax.random.key_data(whole.keys(key, 8)))
    assert len({row.tobytes() for row in keys}) == 8


@pytest.mark.parametrize("deterministic", [False, True])
def test_dropout_is_that_of_the_whole_batch(key, deterministic):
    x = jax.random.normal(key, (8, 5))
    layer = nn.Dropout(0.4, deterministic=deterministic)
    expected = layer.apply({}, x, rngs={"dropout": key})
    shards, _ = shards_of(8, 4)
    results = []
    for shard, rows in zip(shards, jnp.split(x, 4), strict=True):
        with shard.applied():
            results.append(layer.apply({}, rows, rngs={"dropout": key}))
    np.testing.assert_array_equal(np.concatenate(results), expected)


def test_the_weight_of_a_shard_is_that_of_its_examples():
    shards, _ = shards_of(4, 2)
    assert shards[0].normalized_weight(jnp.array([1.0, 0.0])) == 1
