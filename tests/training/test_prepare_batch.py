"""Batches of a training step: chunks of whole utterances, and augmented copies."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax.data import batches
from serjax.features import front_ends
from serjax.training import prepare_batch

pytestmark = pytest.mark.usefixtures("standard_promotion")

FRONT_END = dataclasses.replace(front_ends.GUIZZO_REAL, frames=32, bins=32, segment_seconds=0.25)
LABELS = [0, 1, 2, 0, 1]


def examples_of():
    rng = np.random.default_rng(0)
    size = FRONT_END.segment_samples
    waveforms = [0.1 * rng.normal(size=size).astype(np.float32) for _ in LABELS]
    return jax.device_put(batches.pack(waveforms, LABELS, size, room=size))


def test_chunks_are_normalized_with_their_whole_utterance():
    """A chunk is a part of the input of evaluation, of one of the four lengths for the batch.

    Padi et al. (2021), section 4.2. The utterances grow louder, so that a chunk has other
    statistics than the whole; one is shorter than every chunk.
    """
    rng = np.random.default_rng(0)
    seconds = (4.5, 3.7, 1.0)
    waveforms = [
        (np.linspace(0.001, 0.3, samples) * rng.normal(size=samples)).astype(np.float32)
        for samples in (round(16_000 * s) for s in seconds)
    ]
    front_end = dataclasses.replace(front_ends.PADI, bins=16)
    size = front_end.segment_samples
    examples = jax.device_put(batches.pack(waveforms, [0, 1, 2], size, room=size))
    indices = jnp.arange(3, dtype=jnp.int32)
    prepare = jax.jit(functools.partial(prepare_batch, front_end=front_end))
    batch = prepare(jax.random.key(0), examples, indices)
    assert batch.x.shape == (3, 300, 16, 1)
    counts = batch.mask.sum(axis=1).tolist()
    assert counts[0] == counts[1]
    assert counts[0] in (150, 200, 250, 300)
    assert counts[2] == 101
    np.testing.assert_array_equal(batch.x[~batch.mask], 0)
    start, length, _, _ = batches.select(examples, indices)
    waveform = batches.cut(examples.samples, start, length, examples.longest)
    whole, _ = jax.jit(front_end)(waveform, length)
    for chunk, count, utterance in zip(batch.x, counts, whole, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(utterance[..., 0], count, axis=0)
        distance = np.abs(windows - np.asarray(chunk[:count, :, 0]).T).max(axis=(1, 2))
        assert distance.min() < 1e-4


def test_augmented_copies_stand_next_to_the_unchanged_example():
    """Copy c of example i has the index i + c * examples; copy 0 is unchanged."""
    examples, key = examples_of(), jax.random.key(0)
    prepare = functools.partial(prepare_batch, key, examples, front_end=FRONT_END)
    indices = jnp.array([1, 1 + len(LABELS), 1 + 2 * len(LABELS), -1], jnp.int32)
    batch = prepare(indices, augmentation="waveform+conservative", augment_copies=2)
    plain = prepare(jnp.array([1], jnp.int32))
    np.testing.assert_allclose(batch.x[0], plain.x[0], atol=1e-5)
    assert np.abs(batch.x[1] - plain.x[0]).max() > 0.1
    assert np.abs(batch.x[1] - batch.x[2]).max() > 0.1
    assert batch.label[:3].tolist() == [LABELS[1]] * 3
    assert batch.weight.tolist() == [1, 1, 1, 0]
    assert batch.indices.tolist() == [1, 1, 1, -1]
