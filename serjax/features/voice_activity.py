"""Voice activity detection: removal of silent or unvoiced blocks of utterances, on the device.

Blocks have `block_samples` samples and do not overlap. Removed blocks leave no gap: the remaining
blocks move to the front, and zeros fill up the array, whose size does not change.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from serjax.errors import InputError
from serjax.features.arrays import Lengths, Waveform, as_utterances, with_rank
from serjax.features.fourier import frame
from serjax.features.level import remove_offset
from serjax.kernels import kernel

# Blocks below this fraction of the largest amplitude are silent; Praat's default (Boersma 1993).
SILENCE_THRESHOLD = 0.03
# Blocks whose normalized autocorrelation stays below this are unvoiced; Praat's default.
VOICING_THRESHOLD = 0.45


@kernel
def remove_silence(
    waveform: Waveform,
    lengths: Lengths | None = None,
    *,
    threshold: float = SILENCE_THRESHOLD,
    block_samples: int = 320,
) -> tuple[Float[Array, "*batch samples"], Int32[Array, "*batch"]]:
    """Removes silent blocks by a threshold that adapts to each utterance.

    With `A_t` the largest minus the smallest sample in block `t`, block `t` is silent if

        A_t < threshold * max_u A_u.

    So neither the level of the utterance nor a constant offset matters. A last block that is
    shorter is silent if the one before it is. A constant utterance is returned unchanged.

    Deepika & Kuchibhotla (2025), "Pre-Processing", pass each frame's largest amplitude through "an
    appropriate threshold" that adapts, and join the frames above it. They give neither the
    threshold nor the length of a frame. We chose the threshold of Praat (Boersma 1993), a fraction
    of the utterance's own largest amplitude (30 dB below it), and frames of 20 ms at 16 kHz; and
    the range of a frame's samples as its amplitude, which an offset does not change.

    Args:
        waveform: Floating `[..., samples]`.
        lengths: Integer `[...]`, number of samples of each utterance in a padded batch; None: all
            samples.
        threshold: Fraction of the utterance's amplitude, in [0, 1]; 0 removes nothing.
        block_samples: Number of samples in a block, at least 1. An utterance's last block may be
            shorter.

    Returns:
        Waveform of the same shape, float32 or wider, with the remaining blocks first, in their
        order, and zeros after them; and the new lengths, int32 `[...]`.

    Raises:
        InputError: An argument is out of range, or as `serjax.features.stft`.

    Example:
        >>> sound = jnp.sin(jnp.arange(320.0))
        >>> waveform = jnp.concatenate([jnp.zeros(320), sound, jnp.zeros(640)])
        >>> speech, length = remove_silence(waveform)
        >>> speech.shape, int(length)
        ((1280,), 320)
    """
    _check_blocks(block_samples, threshold)
    waveform, lengths = as_utterances(waveform, lengths)
    blocks = _blocks(waveform, block_samples)
    end = (jnp.arange(blocks.shape[-2], dtype=jnp.int32) + 1) * block_samples
    is_whole = with_rank(end, waveform.ndim) <= lengths[..., None]
    amplitude = jnp.where(is_whole, blocks.max(axis=-1) - blocks.min(axis=-1), 0)
    is_loud = amplitude >= threshold * amplitude.max(axis=-1, keepdims=True)
    before = jnp.concatenate([jnp.ones_like(is_loud[..., :1]), is_loud[..., :-1]], axis=-1)
    is_loud = jnp.where(is_whole, is_loud, before)
    return _select_blocks(waveform, lengths, is_loud, block_samples)


# librosa's pitch trackers decide by other methods, and run on the host one utterance at a time.
@kernel
def voiced_frames(
    waveform: Waveform,
    lengths: Lengths | None = None,
    *,
    sample_rate: int = 16_000,
    block_samples: int = 160,
    min_hz: float = 75.0,
    max_hz: float = 500.0,
    silence_threshold: float = SILENCE_THRESHOLD,
    voicing_threshold: float = VOICING_THRESHOLD,
) -> Bool[Array, "*batch blocks"]:
    """Marks the voiced blocks, in which the vocal folds vibrate.

    A window of three periods of `min_hz` around each block is analysed: the mean is subtracted, a
    Hann window applied, and the autocorrelation divided by that of the Hann window, each normalized
    to 1 at lag 0 (eq. 9). The block is voiced if its largest value at the lags of `min_hz` to
    `max_hz` exceeds

        voicing_threshold + max(0, 2 - (A_t / A) (1 + voicing_threshold) / silence_threshold)

    (eq. 23), where `A_t` is the largest magnitude in the window after subtraction of its mean, and
    `A` the largest magnitude in the utterance after subtraction of its mean. Values above 1, an
    artefact of short windows, are replaced by their inverse. Lags are whole samples: interpolation
    between lags and the costs of octaves and jumps determine the pitch, which is not needed here.

    Source: Boersma, Accurate short-term analysis of the fundamental frequency and the
    harmonics-to-noise ratio of a sampled sound, Proceedings of the Institute of Phonetic Sciences
    17 (1993).

    Args:
        waveform: Floating `[..., samples]`.
        lengths: Integer `[...]`, number of samples of each utterance in a padded batch; None: all
            samples.
        sample_rate: Sample rate of the waveform, in Hz.
        block_samples: Number of samples in a block, at least 1; Praat's step is a quarter of the
            window.
        min_hz: Lowest pitch, in Hz.
        max_hz: Highest pitch, in Hz.
        silence_threshold: Fraction of the utterance's peak, in (0, 1].
        voicing_threshold: Normalized autocorrelation of a voiced block, in [0, 1].

    Returns:
        bool `[..., ceil(samples / block_samples)]`, True for voiced blocks, False past an
        utterance's end.

    Raises:
        InputError: An argument is out of range, or as `serjax.features.stft`.

    Example:
        >>> tone = np.sin(2 * np.pi * 200 * np.arange(3200) / 16_000)
        >>> voiced_frames(np.concatenate([tone, np.zeros(3200)]))[::8].tolist()
        [True, True, True, False, False]
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
    # An offset would be a step at both ends, where windows reach into the padding.
    waveform = remove_offset(waveform, lengths)
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
    taper_correlation = np.correlate(taper, taper, "full")[window_samples - 1 :]
    bias = jnp.asarray(taper_correlation[lags] / taper_correlation[0], waveform.dtype)
    fft_size = _power_of_two(window_samples + int(lags[-1]))
    tapered = windows * with_rank(jnp.asarray(taper, waveform.dtype), windows.ndim)
    spectrum = jnp.fft.rfft(tapered, fft_size)
    correlation = jnp.fft.irfft(spectrum.real**2 + spectrum.imag**2, fft_size)
    energy = correlation[..., :1]
    has_energy = energy > 0
    normalized = correlation[..., lags] / jnp.where(has_energy, energy, 1)
    strength = jnp.where(has_energy, normalized, 0) / with_rank(bias, normalized.ndim)
    strength = jnp.where(strength > 1, 1 / jnp.maximum(strength, 1), strength).max(axis=-1)

    peak = jnp.abs(windows).max(axis=-1)
    loudest = jnp.abs(waveform).max(axis=-1, keepdims=True)
    relative = jnp.where(loudest > 0, peak / jnp.where(loudest > 0, loudest, 1), 0)
    weakness = jnp.maximum(0, 2 - relative * ((1 + voicing_threshold) / silence_threshold))
    first = with_rank(jnp.arange(blocks, dtype=jnp.int32) * block_samples, waveform.ndim)
    is_valid = first < lengths[..., None]
    return is_valid & (strength > voicing_threshold + weakness)


@kernel
def remove_unvoiced(
    waveform: Waveform,
    lengths: Lengths | None = None,
    *,
    sample_rate: int = 16_000,
    block_samples: int = 160,
) -> tuple[Float[Array, "*batch samples"], Int32[Array, "*batch"]]:
    """Removes the blocks that `voiced_frames` does not mark.

    Args:
        waveform: Floating `[..., samples]`.
        lengths: Integer `[...]`, number of samples of each utterance in a padded batch; None: all
            samples.
        sample_rate: Sample rate of the waveform, in Hz.
        block_samples: Number of samples in a block, at least 1.

    Returns:
        Waveform of the same shape, float32 or wider, with the voiced blocks first, in their order,
        and zeros after them; and the new lengths, int32 `[...]`, 0 where no block is voiced.

    Raises:
        InputError: An argument is out of range, or as `serjax.features.stft`.
    """
    waveform, lengths = as_utterances(waveform, lengths)
    voiced = voiced_frames(waveform, lengths, sample_rate=sample_rate, block_samples=block_samples)
    return _select_blocks(waveform, lengths, voiced, block_samples)


@kernel
def voiced_chunks(
    waveform: Waveform,
    lengths: Lengths | None = None,
    *,
    chunk_samples: int = 480,
    sample_rate: int = 16_000,
    block_samples: int = 160,
) -> tuple[Float[Array, "*batch chunks {chunk_samples}"], Bool[Array, "*batch chunks"]]:
    """Cuts the voiced speech of each utterance into chunks.

    The output of `remove_unvoiced` is cut, and a remainder shorter than a chunk is dropped. Kapoor
    & Kumar cut chunks of 30 ms.

    Args:
        waveform: Floating `[..., samples]`.
        lengths: Integer `[...]`, number of samples of each utterance in a padded batch; None: all
            samples.
        chunk_samples: Number of samples in a chunk; 480 are 30 ms at 16 kHz.
        sample_rate: Sample rate of the waveform, in Hz.
        block_samples: Number of samples in a block of `voiced_frames`, at least 1.

    Returns:
        Chunks `[..., samples // chunk_samples, chunk_samples]`, float32 or wider, with the valid
        chunks first and zeros after them; and bool `[..., samples // chunk_samples]`, True for
        valid chunks. An utterance with less voiced speech than a chunk has no valid chunks.

    Raises:
        InputError: An argument is out of range, the waveform is shorter than a chunk, or as
            `serjax.features.stft`.
    """
    waveform, lengths = as_utterances(waveform, lengths)
    samples = waveform.shape[-1]
    if not 1 <= chunk_samples <= samples:
        raise InputError(
            f"chunk_samples: expected a value in [1, {samples}], the samples of the waveform, "
            f"found {chunk_samples}"
        )
    speech, lengths = remove_unvoiced(
        waveform, lengths, sample_rate=sample_rate, block_samples=block_samples
    )
    count = samples // chunk_samples
    chunks = speech[..., : count * chunk_samples].reshape(*speech.shape[:-1], count, chunk_samples)
    position = with_rank(jnp.arange(count, dtype=jnp.int32), speech.ndim)
    is_valid = position < (lengths // chunk_samples)[..., None]
    return jnp.where(is_valid[..., None], chunks, 0), is_valid


def _check_blocks(block_samples: int, threshold: float) -> None:
    if block_samples < 1:
        raise InputError(f"block_samples: expected at least 1, found {block_samples}")
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold: expected a fraction of the peak in [0, 1], found {threshold}")


def _blocks(waveform: jax.Array, block_samples: int) -> jax.Array:
    """Cuts `[..., samples]` into `[..., blocks, block_samples]`, the last block zero-padded."""
    missing = -waveform.shape[-1] % block_samples
    padded = jnp.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(0, missing)])
    return padded.reshape(*waveform.shape[:-1], -1, block_samples)


def _select_blocks(
    waveform: jax.Array, lengths: jax.Array, is_selected: jax.Array, block_samples: int
) -> tuple[jax.Array, jax.Array]:
    """Moves the selected blocks to the front and clears the others; see `remove_silence`."""
    blocks = _blocks(waveform, block_samples)
    first = jnp.arange(blocks.shape[-2], dtype=jnp.int32) * block_samples
    first = with_rank(first, waveform.ndim)
    size = jnp.where(is_selected, jnp.clip(lengths[..., None] - first, 0, block_samples), 0)
    # Only an utterance's last block can be shorter than the others, and it stays the last. So whole
    # blocks can be moved.
    order = jnp.argsort(~is_selected, axis=-1, stable=True)
    moved = jnp.take_along_axis(blocks, order[..., None], axis=-2)
    moved = moved.reshape(*waveform.shape[:-1], -1)[..., : waveform.shape[-1]]
    lengths = size.sum(axis=-1, dtype=jnp.int32)
    position = with_rank(jnp.arange(waveform.shape[-1], dtype=jnp.int32), waveform.ndim)
    return jnp.where(position < lengths[..., None], moved, 0), lengths


def _power_of_two(minimum: int) -> int:
    """Rounds up to a power of two."""
    return 1 << (minimum - 1).bit_length()
