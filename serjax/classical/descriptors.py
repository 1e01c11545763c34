"""Descriptors of an utterance for the classical baselines: statistics of its frames."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from serjax import features
from serjax.data import batches
from serjax.data.batches import Examples
from serjax.features.arrays import with_rank
from serjax.features.front_ends import FrontEnd

# 25 ms every 10 ms; every utterance of the usual corpora is shorter than half a minute.
FRONT_END = FrontEnd(
    spectrogram="magnitude",
    bins=256,
    frames=300,
    segment_seconds=30.0,
    normalization="standard",
    window="hann",
    window_samples=400,
    hop_samples=160,
    fft_size=512,
    variable_length=True,
)
_COEFFICIENTS = 20
_MEL_BINS = 40
_ROLLOFF = 0.85
_FLOOR = 1e-10
_SHORTEST_FRAMES = 200

SIZE = 6 * (_COEFFICIENTS + 5)
_LEVEL_STATISTICS = (0, 2, 3)  # mean, minimum and maximum; differences do not depend on the level


# librosa's functions take 6.6 s for 339 utterances of EMO-DB on two cores, the batched ones below
# 3.0 s. 98.0 % of their values agree within 1e-5 relative, 99.97 % within 1e-3.
def descriptors(waveform: jax.Array | np.ndarray, lengths: jax.Array | np.ndarray) -> jax.Array:
    """Computes statistics of the cepstrum and spectrum over the frames of utterances.

    Each frame has 20 MFCC of 40 mel bands, and centroid, bandwidth and 85 % roll-off (Hz),
    flatness, and level (dB) of the spectrum, with librosa's definitions: `feature.mfcc`,
    `spectral_centroid`, `spectral_bandwidth`, `spectral_rolloff`, `spectral_flatness`, and
    `power_to_db` of the mean power. The statistics of these 25 tracks are mean, standard deviation,
    minimum, maximum, and mean and standard deviation of the differences of neighbouring frames.

    Args:
        waveform: Waveforms, float32 `[batch, samples]` in [-1, 1] at 16 kHz.
        lengths: Number of valid samples of each waveform, int32 `[batch]`; the others are ignored.

    Returns:
        float32 `[batch, 150]`, the six statistics one after the other, in the order above.
    """
    framing: features.StftOptions = {
        "lengths": jnp.asarray(lengths),
        "window": FRONT_END.window,
        "window_samples": FRONT_END.window_samples,
        "hop_samples": FRONT_END.hop_samples,
        "fft_size": FRONT_END.fft_size,
    }
    cepstrum = features.mfcc(
        waveform,
        FRONT_END.sample_rate,
        coefficients=_COEFFICIENTS,
        mel_bins=_MEL_BINS,
        **framing,
    )
    magnitude = features.magnitude_spectrogram(waveform, **framing)
    tracks = jnp.concatenate([cepstrum, _spectral(magnitude)], axis=-1)
    mask = features.frame_mask(
        jnp.asarray(lengths),
        tracks.shape[-2],
        FRONT_END.hop_samples,
        fft_size=FRONT_END.fft_size,
    )[..., None]
    differences, both = tracks[:, 1:] - tracks[:, :-1], mask[:, 1:] & mask[:, :-1]
    return jnp.concatenate(
        [
            *_mean_and_deviation(tracks, mask),
            jnp.where(mask, tracks, jnp.inf).min(axis=1),
            jnp.where(mask, tracks, -jnp.inf).max(axis=1),
            *_mean_and_deviation(differences, both),
        ],
        axis=-1,
    )


def describe(examples: Examples, batch_size: int = 16) -> np.ndarray:
    """Computes the descriptors of all examples on the device, in batches of similar length.

    They are computed at full level, where the floors of logarithms are as far below the speech of a
    quiet recording as of a loud one. Then the levels are those of the recording again.

    Args:
        examples: Examples on the host or the device.
        batch_size: Number of examples in a batch.

    Returns:
        float32 `[examples, 150]`.
    """
    lengths = np.asarray(examples.length)
    sizes = batches.length_sizes(int(lengths.max()), FRONT_END.samples_of_frames(_SHORTEST_FRAMES))
    starts, samples = np.asarray(examples.start), jax.device_put(examples.samples)
    all_indices = np.arange(len(lengths))
    result = np.zeros((len(lengths), SIZE), np.float32)
    for indices, size in batches.evaluation_batches(lengths, all_indices, batch_size, sizes):
        is_valid = indices >= 0
        # Empty entries of a batch repeat its first example.
        padded = np.where(is_valid, indices, indices[0])
        rows = _cut_and_describe(samples, starts[padded], lengths[padded], size)
        result[indices[is_valid]] = np.asarray(rows)[is_valid]
    if examples.gain is not None:
        gain_db = 20 * np.log10(np.asarray(examples.gain))
        statistics = result.reshape(len(result), 6, SIZE // 6)
        for statistic in _LEVEL_STATISTICS:
            # The first MFCC is the sum of the bands, in dB, over the root of their number.
            statistics[:, statistic, 0] -= gain_db * np.sqrt(_MEL_BINS)
            statistics[:, statistic, -1] -= gain_db
    return result


@functools.partial(jax.jit, static_argnums=3)
def _cut_and_describe(
    samples: jax.Array, start: jax.Array, length: jax.Array, size: int
) -> jax.Array:
    """Computes the descriptors of segments of concatenated waveforms."""
    return descriptors(batches.cut(samples, start, length, size), length)


def _spectral(magnitude: jax.Array) -> jax.Array:
    """Returns centroid, bandwidth, roll-off, flatness and level, `[..., frames, 5]`.

    Frequencies are 0 Hz in silence.
    """
    bins = magnitude.shape[-1]
    hz = jnp.linspace(0, FRONT_END.sample_rate / 2, bins, dtype=jnp.float32)
    total = magnitude.sum(axis=-1, keepdims=True)
    fraction = jnp.where(total > 0, magnitude / jnp.where(total > 0, total, 1), 0)
    of_bins = with_rank(hz, fraction.ndim)
    centroid = (fraction * of_bins).sum(axis=-1, keepdims=True)
    bandwidth = jnp.sqrt((fraction * (of_bins - centroid) ** 2).sum(axis=-1))
    # The first bin at which the sum reaches the fraction; the minimum guards against rounding.
    threshold = _ROLLOFF * fraction.sum(axis=-1, keepdims=True)
    below = (jnp.cumsum(fraction, axis=-1) < threshold).sum(-1)
    rolloff = hz[jnp.minimum(below, bins - 1)]
    power = jnp.maximum(magnitude**2, _FLOOR)
    mean_power = power.mean(axis=-1)
    flatness = jnp.exp(jnp.log(power).mean(axis=-1)) / mean_power
    level = (10 / jnp.log(jnp.float32(10))) * jnp.log(mean_power)
    return jnp.stack([centroid[..., 0], bandwidth, rolloff, flatness, level], axis=-1)


def _mean_and_deviation(tracks: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns mean and standard deviation over valid frames, `[batch, tracks]`; 0 if none is."""
    count = jnp.maximum(mask.sum(axis=1), 1).astype(tracks.dtype)
    mean = jnp.where(mask, tracks, 0).sum(axis=1) / count
    centred = jnp.where(mask, tracks - mean[:, None], 0)
    return mean, jnp.sqrt((centred**2).sum(axis=1) / count)
