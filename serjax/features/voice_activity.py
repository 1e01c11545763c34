"""Removal of silence, and of what is not voiced, from utterances on the device.

Utterances are judged in blocks, `block_samples` long and not overlapping. What is removed leaves
no gap: the kept blocks move to the front, and zeros fill up the array, whose size stays the same.
"""

import jax
import jax.numpy as jnp
import numpy as np

from serjax.errors import InputError
from serjax.features.arrays import as_utterances
from serjax.features.fourier import frame

# Blocks weaker than this share of the utterance's peak are silent; Praat's default (Boersma 1993).
SILENCE_THRESHOLD = 0.03
# Blocks whose normalized autocorrelation stays below this are unvoiced; Praat's default.
VOICING_THRESHOLD = 0.45


def remove_silence(
    waveform: jax.Array | np.ndarray,
    lengths: jax.Array | np.ndarray | None = None,
    *,
    threshold: float = SILENCE_THRESHOLD,
    block_samples: int = 320,
) -> tuple[jax.Array, jax.Array]:
    """Removes silent blocks by a threshold that adapts to each utterance.

    With `A_t` the largest magnitude in block `t`, block `t` is silent if

        A_t < threshold * max_u A_u.

    An utterance without any sound has no silence beside it, and stays as it is.

    Deepika & Kuchibhotla (2025), "Pre-Processing", take each frame's largest amplitude, pass it
    through "an appropriate threshold" that adapts, and join what is left. They give neither the
    threshold nor the length of a frame. Chosen here: a share of the utterance's own peak, which
    makes the result independent of loudness, of the size at which Praat calls a frame silent
    (Boersma 1993), 30 dB below the peak; and frames of 20 ms at 16 kHz.

    Args:
        waveform: floating `[..., samples]`.
        lengths: integer `[...]`, samples of each utterance of a padded batch; all when None.
        threshold: share of the utterance's peak, in [0, 1]; 0 keeps everything.
        block_samples: samples of a block, at least 1. An utterance's last block may be shorter.

    Returns:
        Waveform of the same shape, float32 at least, its kept blocks first and in order and zeros
        after them, and the new lengths, int32 `[...]`.

    Raises:
        InputError: an argument is out of range, or as `serjax.features.stft`.
    """
    _check_blocks(block_samples, threshold)
    waveform, lengths = as_utterances(waveform, lengths)
    peak = jnp.abs(_blocks(waveform, block_samples)).max(axis=-1)
    loud = peak >= threshold * peak.max(axis=-1, keepdims=True)
    return _keep(waveform, lengths, loud, block_samples)


def voiced_frames(
    waveform: jax.Array | np.ndarray,
    lengths: jax.Array | np.ndarray | None = None,
    *,
    sample_rate: int = 16_000,
    block_samples: int = 160,
    min_hz: float = 75.0,
    max_hz: float = 500.0,
    silence_threshold: float = SILENCE_THRESHOLD,
    voicing_threshold: float = VOICING_THRESHOLD,
) -> jax.Array:
    """Marks the blocks in which the vocal folds vibrate, by strength and autocorrelation.

    Around each block three periods of `min_hz` are analysed: the mean is subtracted, a Hann window
    applied, and the autocorrelation divided by that of the window, each normalized to 1 at lag 0
    (eq. 9). The block is voiced if its largest value at the lags of `min_hz` to `max_hz` exceeds

        voicing_threshold + max(0, 2 - (A_t / A) (1 + voicing_threshold) / silence_threshold)

    (eq. 23), where `A_t` is the largest magnitude in the window less its mean and `A` that of the
    utterance. Values above 1, an artefact of short windows, count as their inverse. Lags are whole
    samples: interpolation between them and the costs of octaves and jumps serve the pitch itself,
    which is not asked for here.

    Args:
        waveform: floating `[..., samples]`.
        lengths: integer `[...]`, samples of each utterance of a padded batch; all when None.
        sample_rate: rate of the waveform in Hz.
        block_samples: samples of a block, at least 1; Praat's step is a quarter of the window.
        min_hz: lowest pitch.
        max_hz: highest pitch.
        silence_threshold: share of the utterance's peak, in (0, 1].
        voicing_threshold: autocorrelation, in [0, 1].

    Returns:
        bool `[..., ceil(samples / block_samples)]`; False past an utterance's end.

    Raises:
        InputError: an argument is out of range, or as `serjax.features.stft`.

    References:
        Boersma, "Accurate short-term analysis of the fundamental frequency and the
        harmonics-to-noise ratio of a sampled sound" (Proceedings of the Institute of Phonetic
        Sciences 17, 1993).
    """
    _check_blocks(block_samples, silence_threshold)
    if not silence_threshold > 0:
        raise InputError(f"silence_threshold: expected more than 0, found {silence_threshold}")
    if not 0 <= voicing_threshold <= 1:
        raise InputError(
            f"voicing_threshold: expected a value in [0, 1], found {voicing_threshold}"
        )
    if not 0 < min_hz < max_hz <= sample_rate / 2:
        raise InputError(
            f"expected 0 < min_hz < max_hz <= {sample_rate / 2}, half the sample rate, "
            f"found min_hz {min_hz} and max_hz {max_hz}"
        )
    waveform, lengths = as_utterances(waveform, lengths)
    window_samples = round(3 * sample_rate / min_hz)
    if block_samples > window_samples:
        raise InputError(
            f"block_samples: expected at most {window_samples}, three periods of min_hz, "
            f"found {block_samples}"
        )
    blocks = -(-waveform.shape[-1] // block_samples)
    # Windows centred on their blocks.
    left = (window_samples - block_samples) // 2
    right = (blocks - 1) * block_samples + window_samples - left - waveform.shape[-1]
    padded = jnp.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(left, max(right, 0))])
    windows = frame(padded, blocks, block_samples, window_samples)
    windows = windows - windows.mean(axis=-1, keepdims=True)

    lags = np.arange(int(np.ceil(sample_rate / max_hz)), int(sample_rate / min_hz) + 1)
    taper = np.hanning(window_samples + 1)[:-1]
    of_taper = np.correlate(taper, taper, "full")[window_samples - 1 :]
    bias = jnp.asarray(of_taper[lags] / of_taper[0], waveform.dtype)
    transform = _power_of_two(window_samples + int(lags[-1]))
    spectrum = jnp.fft.rfft(windows * jnp.asarray(taper, waveform.dtype), transform)
    correlation = jnp.fft.irfft(spectrum.real**2 + spectrum.imag**2, transform)
    energy = correlation[..., :1]
    heard = energy > 0
    strength = jnp.where(heard, correlation[..., lags] / jnp.where(heard, energy, 1), 0) / bias
    strength = jnp.where(strength > 1, 1 / jnp.maximum(strength, 1), strength).max(axis=-1)

    peak = jnp.abs(windows).max(axis=-1)
    loudest = jnp.abs(waveform).max(axis=-1, keepdims=True)
    relative = jnp.where(loudest > 0, peak / jnp.where(loudest > 0, loudest, 1), 0)
    weakness = jnp.maximum(0, 2 - relative * ((1 + voicing_threshold) / silence_threshold))
    real = jnp.arange(blocks, dtype=jnp.int32) * block_samples < lengths[..., None]
    return real & (strength > voicing_threshold + weakness)


def remove_unvoiced(
    waveform: jax.Array | np.ndarray,
    lengths: jax.Array | np.ndarray | None = None,
    *,
    sample_rate: int = 16_000,
    block_samples: int = 160,
) -> tuple[jax.Array, jax.Array]:
    """Removes what is not voiced, as `remove_silence` removes silence.

    Args:
        waveform: floating `[..., samples]`.
        lengths: integer `[...]`, samples of each utterance of a padded batch; all when None.
        sample_rate: rate of the waveform in Hz.
        block_samples: as in `voiced_frames`, which decides what is voiced.

    Returns:
        Waveform of the same shape, float32 at least, its voiced blocks first and in order and
        zeros after them, and the new lengths, int32 `[...]`, 0 where nothing is voiced.

    Raises:
        InputError: an argument is out of range, or as `serjax.features.stft`.
    """
    waveform, lengths = as_utterances(waveform, lengths)
    voiced = voiced_frames(waveform, lengths, sample_rate=sample_rate, block_samples=block_samples)
    return _keep(waveform, lengths, voiced, block_samples)


def voiced_chunks(
    waveform: jax.Array | np.ndarray,
    lengths: jax.Array | np.ndarray | None = None,
    *,
    chunk_samples: int = 480,
    sample_rate: int = 16_000,
    block_samples: int = 160,
) -> tuple[jax.Array, jax.Array]:
    """Cuts what is voiced of each utterance into chunks, as Kapoor & Kumar do with 30 ms.

    What `remove_unvoiced` leaves is cut; what is left at the end, shorter than a chunk, is dropped.

    Args:
        waveform: floating `[..., samples]`.
        lengths: integer `[...]`, samples of each utterance of a padded batch; all when None.
        chunk_samples: samples of a chunk; 480 are 30 ms at 16 kHz.
        sample_rate: rate of the waveform in Hz.
        block_samples: as in `voiced_frames`, which decides what is voiced.

    Returns:
        Chunks `[..., samples // chunk_samples, chunk_samples]`, float32 at least, the real ones
        first and zeros after them, and bool `[..., samples // chunk_samples]`, True for real ones.
        An utterance in which less than a chunk is voiced has none.

    Raises:
        InputError: an argument is out of range, or the waveform is shorter than a chunk; or as
            `serjax.features.stft`.
    """
    waveform, lengths = as_utterances(waveform, lengths)
    samples = waveform.shape[-1]
    if not 1 <= chunk_samples <= samples:
        raise InputError(
            f"chunk_samples: expected a value in [1, {samples}], the samples of the waveform, "
            f"found {chunk_samples}"
        )
    kept, lengths = remove_unvoiced(
        waveform, lengths, sample_rate=sample_rate, block_samples=block_samples
    )
    count = samples // chunk_samples
    chunks = kept[..., : count * chunk_samples].reshape(*kept.shape[:-1], count, chunk_samples)
    real = jnp.arange(count, dtype=jnp.int32) < (lengths // chunk_samples)[..., None]
    return jnp.where(real[..., None], chunks, 0), real


def _check_blocks(block_samples: int, threshold: float) -> None:
    if block_samples < 1:
        raise InputError(f"block_samples: expected at least 1, found {block_samples}")
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold: expected a share of the peak in [0, 1], found {threshold}")


def _blocks(waveform: jax.Array, block_samples: int) -> jax.Array:
    """`[..., samples]` -> `[..., blocks, block_samples]`, the last filled up with zeros."""
    missing = -waveform.shape[-1] % block_samples
    padded = jnp.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(0, missing)])
    return padded.reshape(*waveform.shape[:-1], -1, block_samples)


def _keep(
    waveform: jax.Array, lengths: jax.Array, keep: jax.Array, block_samples: int
) -> tuple[jax.Array, jax.Array]:
    """Moves the blocks to keep to the front; see `remove_silence`."""
    blocks = _blocks(waveform, block_samples)
    first = jnp.arange(blocks.shape[-2], dtype=jnp.int32) * block_samples
    size = jnp.where(keep, jnp.clip(lengths[..., None] - first, 0, block_samples), 0)
    # Only an utterance's last block is shorter than the others, and it stays the last: whole blocks
    # can be moved.
    order = jnp.argsort(~keep, axis=-1, stable=True)
    moved = jnp.take_along_axis(blocks, order[..., None], axis=-2)
    moved = moved.reshape(*waveform.shape[:-1], -1)[..., : waveform.shape[-1]]
    lengths = size.sum(axis=-1, dtype=jnp.int32)
    return jnp.where(
        jnp.arange(waveform.shape[-1], dtype=jnp.int32) < lengths[..., None], moved, 0
    ), lengths


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
