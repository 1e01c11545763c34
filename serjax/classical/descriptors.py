"""What the classical baselines hear of an utterance: statistics of its frames, on the device."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from serjax import features
from serjax.data import batches
from serjax.data.batches import Examples
from serjax.features.front_ends import FrontEnd

# 25 ms every 10 ms; half a minute holds every utterance of the usual corpora whole.
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


def descriptors(waveform: jax.Array | np.ndarray, lengths: jax.Array | np.ndarray) -> jax.Array:
    """Statistics over an utterance's frames of its cepstrum and spectrum.

    Per frame there are 20 MFCC of 40 mel bands, and centroid, bandwidth and 85 % roll-off (Hz),
    flatness, and level (dB) of the spectrum, as librosa defines them: `feature.mfcc`,
    `spectral_centroid`, `spectral_bandwidth`, `spectral_rolloff`, `spectral_flatness`, and
    `power_to_db` of the mean power. Of these 25 tracks come mean, standard deviation, lowest and
    highest value, and mean and standard deviation of the differences between neighbouring frames.

    Args:
        waveform: float32 `[batch, samples]` in [-1, 1] at 16 kHz.
        lengths: `[batch]` int32, real samples; what lies past them is ignored.

    Returns:
        float32 `[batch, 150]`, all six statistics one after the other, in the order above.
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
    real = features.frame_mask(
        jnp.asarray(lengths),
        tracks.shape[-2],
        FRONT_END.hop_samples,
        fft_size=FRONT_END.fft_size,
    )[..., None]
    steps, both = tracks[:, 1:] - tracks[:, :-1], real[:, 1:] & real[:, :-1]
    return jnp.concatenate(
        [
            *_mean_and_deviation(tracks, real),
            jnp.where(real, tracks, jnp.inf).min(axis=1),
            jnp.where(real, tracks, -jnp.inf).max(axis=1),
            *_mean_and_deviation(steps, both),
        ],
        axis=-1,
    )


def describe(examples: Examples, batch_size: int = 16) -> np.ndarray:
    """Descriptors of all examples, computed on the device in batches of like length.

    Args:
        examples: On the host or the device.
        batch_size: Examples at a time.

    Returns:
        float32 `[examples, 150]`.
    """
    lengths = np.asarray(examples.length)
    sizes = batches.length_sizes(int(lengths.max()), FRONT_END.samples_of_frames(_SHORTEST_FRAMES))
    starts, samples = np.asarray(examples.start), jax.device_put(examples.samples)
    everything = np.arange(len(lengths))
    result = np.zeros((len(lengths), SIZE), np.float32)
    for indices, size in batches.evaluation_batches(lengths, everything, batch_size, sizes):
        real = indices >= 0
        # What fills up a batch is its first example again.
        filled = np.where(real, indices, indices[0])
        rows = _described(samples, starts[filled], lengths[filled], size)
        result[indices[real]] = np.asarray(rows)[real]
    return result


@functools.partial(jax.jit, static_argnums=3)
def _described(samples: jax.Array, start: jax.Array, length: jax.Array, size: int) -> jax.Array:
    return descriptors(batches.cut(samples, start, length, size), length)


def _spectral(magnitude: jax.Array) -> jax.Array:
    """Centroid, bandwidth, roll-off, flatness and level, `[..., frames, 5]`; 0 Hz in silence."""
    bins = magnitude.shape[-1]
    hz = jnp.linspace(0, FRONT_END.sample_rate / 2, bins, dtype=jnp.float32)
    total = magnitude.sum(axis=-1, keepdims=True)
    share = jnp.where(total > 0, magnitude / jnp.where(total > 0, total, 1), 0)
    centroid = (share * hz).sum(axis=-1, keepdims=True)
    bandwidth = jnp.sqrt((share * (hz - centroid) ** 2).sum(axis=-1))
    # The first bin at which the sum has reached the share; rounding keeps it within the bins.
    below = (jnp.cumsum(share, axis=-1) < _ROLLOFF * share.sum(axis=-1, keepdims=True)).sum(-1)
    rolloff = hz[jnp.minimum(below, bins - 1)]
    power = jnp.maximum(magnitude**2, _FLOOR)
    mean_power = power.mean(axis=-1)
    flatness = jnp.exp(jnp.log(power).mean(axis=-1)) / mean_power
    level = (10 / jnp.log(jnp.float32(10))) * jnp.log(mean_power)
    return jnp.stack([centroid[..., 0], bandwidth, rolloff, flatness, level], axis=-1)


def _mean_and_deviation(tracks: jax.Array, real: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation over real frames, each `[batch, tracks]`; 0 without any."""
    count = jnp.maximum(real.sum(axis=1), 1).astype(tracks.dtype)
    mean = jnp.where(real, tracks, 0).sum(axis=1) / count
    spread = jnp.where(real, tracks - mean[:, None], 0)
    return mean, jnp.sqrt((spread**2).sum(axis=1) / count)
