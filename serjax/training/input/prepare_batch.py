"""Batch of a training step: cut from the waveforms, augmented, and converted to model input."""

import jax
import jax.numpy as jnp

from serjax import augment
from serjax.data import batches
from serjax.data.batches import Examples
from serjax.features.front_ends import FrontEnd
from serjax.training.devices.shard import Shard
from serjax.training.objective.task_loss import Batch

# Padi et al. (2021), section 4.2: the length of a batch's chunks, in frames, is one of these.
CHUNK_FRAMES = (150, 200, 250, 300)


def _random_chunks(
    key: jax.Array, x: jax.Array, mask: jax.Array, shard: Shard
) -> tuple[jax.Array, jax.Array]:
    """Samples a chunk of each spectrogram at a random offset, of one random length for all.

    Chunks are cut to a fixed size and masked, which the model cannot distinguish from shorter
    ones, so that all lengths are one compiled program.

    Args:
        key: PRNG key.
        x: Spectrograms `[batch, frames, bins]`, zero in padded frames.
        mask: `[batch, frames]`, True for valid frames.
        shard: Shard of the batch.
    """
    length_key, offset_key = jax.random.split(key)
    chunk = jax.random.choice(length_key, jnp.array(CHUNK_FRAMES, jnp.int32))
    longest = max(CHUNK_FRAMES)
    valid = mask.sum(axis=-1, dtype=jnp.int32)
    sample = jax.vmap(lambda key, bound: jax.random.randint(key, (), 0, bound))
    offset = sample(shard.keys(offset_key, len(x)), jnp.maximum(valid - chunk, 0) + 1)
    # Room at the end, so that every cut has the same size.
    padded = jnp.pad(x, ((0, 0), (0, longest), (0, 0)))
    cut = jax.vmap(lambda rows, first: jax.lax.dynamic_slice_in_dim(rows, first, longest))
    mask = jnp.arange(longest, dtype=jnp.int32)[None] < jnp.minimum(valid, chunk)[:, None]
    return jnp.where(mask[..., None], cut(padded, offset), 0), mask


def _whole_batch(size: int) -> Shard:
    return Shard(jnp.int32(0), jnp.float32(size), size, None)


def prepare_batch(
    key: jax.Array,
    examples: Examples,
    indices: jax.Array,
    step: jax.Array | int = 0,
    *,
    front_end: FrontEnd,
    augmentation: str = "none",
    augment_copies: int = 0,
    shard: Shard | None = None,
) -> Batch:
    """Cuts a batch from the waveforms, augments it and computes the model input.

    Args:
        key: PRNG key of the step; `jax.random.fold_in(run_key, step)` in training.
        examples: Examples of the corpus, on the device.
        indices: `[batch]` int32 indices of the examples, see `augment_copies`; -1 for padding of
            the batch.
        step: Number of training steps before this one.
        front_end: Front end of the model.
        augmentation: Name that `serjax.augment.preset` knows.
        augment_copies: Number of augmented copies of each example, whose indices follow those of
            all unchanged examples, see `serjax.training.input.sampler.Sampler`; 0: every example
            is augmented.
        shard: Shard that the indices are; None: they are the whole batch.
    """
    shard = _whole_batch(len(indices)) if shard is None else shard
    preset = augment.preset(augmentation)
    chunk_key, augment_key, _ = jax.random.split(key, 3)
    is_augmented = jnp.ones(len(indices), bool)
    if augment_copies:
        is_augmented = indices >= len(examples)
        indices = jnp.where(indices >= 0, indices % len(examples), indices)
    start, length, label, weight = batches.select(examples, indices)
    waveform_keys, spectrogram_keys = (
        shard.keys(each, len(start)) for each in jax.random.split(augment_key)
    )
    waveform = batches.cut(examples.samples, start, length, examples.longest)
    changed, lengths = jax.vmap(preset.apply_to_waveform)(waveform_keys, waveform, length)
    waveform = jnp.where(is_augmented[:, None], changed, waveform)
    length = jnp.where(is_augmented, lengths, length)
    x, mask = front_end.spectrograms(waveform, length)
    if front_end.variable_length:
        x, mask = _random_chunks(chunk_key, x, mask, shard)
    masked = jax.vmap(preset.apply_to_spectrogram)(spectrogram_keys, x, mask)
    x = jnp.where(is_augmented[:, None, None], masked, x)
    x, mask = front_end.to_model_input(x, mask)
    utterance = examples.utterance[jnp.maximum(indices, 0)]
    return Batch(x, mask, label, weight, utterance, indices, jnp.asarray(step))
