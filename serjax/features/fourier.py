"""Short-time Fourier transforms of utterances padded into a batch.

Public as `serjax.features`, whose conventions these functions follow.
"""

from typing import Literal, TypedDict, TypeVar, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from serjax.errors import InputError

Window = str | tuple[str | float, ...]
Samples = TypeVar("Samples", int, jax.Array)


class StftOptions(TypedDict, total=False):
    """Keyword options of `stft`, which the features built on it pass on."""

    lengths: jax.Array | np.ndarray | None
    window: Window
    window_samples: int
    hop_samples: int
    fft_size: int | None
    center: bool
    pad_mode: Literal["constant", "reflect"]


def frame_count(
    samples: Samples,
    hop_samples: int = 160,
    *,
    window_samples: int = 400,
    fft_size: int | None = None,
    center: bool = True,
) -> Samples:
    """Number of frames of a waveform.

    With `center` and an even `fft_size`: `1 + samples // hop_samples`. No samples, no frames.

    Args:
        samples: an int, or an int32 array of any shape.
        hop_samples: as in `stft`, like all that follow.
        window_samples: sets the default of `fft_size`.
        fft_size: size of the transform.
        center: whether frames are centred on multiples of the hop.

    Returns:
        An int for an int, an int32 array of the same shape for an array.
    """
    fft_size = window_samples if fft_size is None else fft_size
    excess = fft_size % 2 if center else fft_size  # centring pads by fft_size // 2 on both sides
    count = 1 + (samples - excess) // hop_samples
    if isinstance(samples, int):
        return max(count, 0) if samples > 0 else 0
    return jnp.where(samples > 0, jnp.maximum(count, 0), 0)


def frame_mask(
    lengths: jax.Array | np.ndarray,
    frames: int,
    hop_samples: int = 160,
    *,
    window_samples: int = 400,
    fft_size: int | None = None,
    center: bool = True,
) -> jax.Array:
    """Marks the frames that belong to utterances padded into a batch.

    Args:
        lengths: integer `[...]`, samples of each utterance.
        frames: number of frames of the padded batch.
        hop_samples: as in `stft`, like all that follow.
        window_samples: sets the default of `fft_size`.
        fft_size: size of the transform.
        center: whether frames are centred on multiples of the hop.

    Returns:
        bool `[..., frames]`, True for the frames that each utterance has alone.
    """
    count = frame_count(
        jnp.asarray(lengths).astype(jnp.int32),
        hop_samples,
        window_samples=window_samples,
        fft_size=fft_size,
        center=center,
    )
    return jnp.arange(frames, dtype=jnp.int32) < count[..., None]


def stft(
    waveform: jax.Array | np.ndarray,
    *,
    lengths: jax.Array | np.ndarray | None = None,
    window: Window = "hann",
    window_samples: int = 400,
    hop_samples: int = 160,
    fft_size: int | None = None,
    center: bool = True,
    pad_mode: Literal["constant", "reflect"] = "constant",
) -> jax.Array:
    """Short-time Fourier transform, as `librosa.stft` defines it.

    Args:
        waveform: floating `[..., samples]`. Types narrower than float32 are computed in float32.
        lengths: integer `[...]`, samples of each utterance of a padded batch; all when None.
        window: a name that `scipy.signal.get_window` knows, or `(name, parameter)`; periodic.
        window_samples: length of the window.
        hop_samples: distance between frames.
        fft_size: size of the transform, in whose middle the window lies; `window_samples` when
            None.
        center: whether frame `i` is centred on sample `i * hop_samples`, the waveform being padded
            by `fft_size // 2` on both sides; otherwise it begins there, and nothing is padded.
        pad_mode: "constant" pads with zeros, "reflect" mirrors the utterance at its own ends, as
            often as its length requires.

    Returns:
        complex64 `[..., frames, fft_size // 2 + 1]` (complex128 of float64), with `frames` as given
        by `frame_count`. Frames past an utterance's end are zero.

    Raises:
        InputError: an argument is out of range, or the waveform is too short for one frame.
    """
    waveform = as_waveform(waveform)
    fft_size = window_samples if fft_size is None else fft_size
    _check_framing(window_samples, hop_samples, fft_size, pad_mode)
    samples = waveform.shape[-1]
    least = 1 if center else fft_size
    if samples < least:
        raise InputError(
            f"waveform must have at least {least} samples for one frame, "
            f"found shape {waveform.shape}"
        )
    if lengths is not None:
        lengths = as_lengths(lengths, waveform)
        position = jnp.arange(samples, dtype=jnp.int32)
        waveform = jnp.where(position < lengths[..., None], waveform, 0)
    padded = _pad(waveform, lengths, fft_size // 2, pad_mode) if center else waveform

    frames = frame_count(samples, hop_samples, fft_size=fft_size, center=center)
    taper = jnp.asarray(_centred_window(window, window_samples, fft_size), waveform.dtype)
    spectrum = jnp.fft.rfft(frame(padded, frames, hop_samples, fft_size) * taper)
    if lengths is None:
        return spectrum
    mask = frame_mask(lengths, frames, hop_samples, fft_size=fft_size, center=center)
    return jnp.where(mask[..., None], spectrum, 0)


def magnitude_spectrogram(
    waveform: jax.Array | np.ndarray, *, power: float = 1.0, **stft_options: Unpack[StftOptions]
) -> jax.Array:
    """Magnitude of the short-time Fourier transform, to a power.

    Args:
        waveform: floating `[..., samples]`.
        power: 1 for the magnitude, 2 for the power spectrogram; positive.
        **stft_options: see `stft`.

    Returns:
        float32 `[..., frames, fft_size // 2 + 1]`, not negative. Its gradient at silence is zero,
        a subgradient of the magnitude, not NaN.

    Raises:
        InputError: `power` is not positive, or as `stft`.
    """
    if power <= 0:
        raise InputError(f"power must be positive, found {power}")
    spectrum = stft(waveform, **stft_options)
    squared = spectrum.real**2 + spectrum.imag**2
    if power == 2.0:
        return squared
    # The derivative of a root is infinite at zero, and infinity times the zero that arrives from a
    # `where` around the result is NaN: so the root itself must not see the zero.
    silent = squared == 0
    safe = jnp.where(silent, 1, squared)
    root = jnp.sqrt(safe) if power == 1.0 else safe ** (power / 2)
    return jnp.where(silent, 0, root)


def as_waveform(waveform: jax.Array | np.ndarray) -> jax.Array:
    """The waveform as an array of float32 at least, or InputError."""
    waveform = jnp.asarray(waveform)
    if waveform.ndim < 1 or not jnp.issubdtype(waveform.dtype, jnp.floating):
        raise InputError(
            "waveform must be floating [..., samples] in [-1, 1], "
            f"found {waveform.dtype} of shape {waveform.shape}"
        )
    return at_least_float32(waveform)


def at_least_float32(x: jax.Array) -> jax.Array:
    """Widens 16-bit floats, whose sums of squares would overflow or lose their small terms."""
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def as_lengths(lengths: jax.Array | np.ndarray, waveform: jax.Array) -> jax.Array:
    """Lengths as int32 `[...]` between 0 and the waveform's samples, or InputError."""
    lengths = jnp.asarray(lengths)
    if lengths.shape != waveform.shape[:-1] or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise InputError(
            f"lengths must be integer of shape {waveform.shape[:-1]} for a waveform of shape "
            f"{waveform.shape}, found {lengths.dtype} of shape {lengths.shape}"
        )
    return jnp.clip(lengths.astype(jnp.int32), 0, waveform.shape[-1])


def as_utterances(
    waveform: jax.Array | np.ndarray, lengths: jax.Array | np.ndarray | None
) -> tuple[jax.Array, jax.Array]:
    """A waveform of at least one sample, zero past its utterances' ends, and int32 lengths."""
    waveform = as_waveform(waveform)
    samples = waveform.shape[-1]
    if samples == 0:
        raise InputError(f"waveform: expected at least one sample, found shape {waveform.shape}")
    if lengths is None:
        return waveform, jnp.full(waveform.shape[:-1], samples, jnp.int32)
    lengths = as_lengths(lengths, waveform)
    real = jnp.arange(samples, dtype=jnp.int32) < lengths[..., None]
    return jnp.where(real, waveform, 0), lengths


def _check_framing(window_samples: int, hop_samples: int, fft_size: int, pad_mode: str) -> None:
    if window_samples < 1:
        raise InputError(f"window_samples must be positive, found {window_samples}")
    if hop_samples < 1:
        raise InputError(f"hop_samples must be positive, found {hop_samples}")
    if window_samples > fft_size:
        raise InputError(
            f"window_samples must not exceed fft_size ({fft_size}), found {window_samples}"
        )
    if pad_mode not in ("constant", "reflect"):
        raise InputError(f'pad_mode must be "constant" or "reflect", found {pad_mode!r}')


def _pad(waveform: jax.Array, lengths: jax.Array | None, width: int, mode: str) -> jax.Array:
    """Pads both ends of each utterance by `width` samples; zeros already lie past its end."""
    if mode == "constant":
        return jnp.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(width, width)])
    samples = waveform.shape[-1]
    if lengths is None:
        lengths = jnp.full(waveform.shape[:-1], samples, jnp.int32)
    # Mirroring at both ends repeats the utterance, forwards and backwards, with this period. As an
    # index, the mirror can stand at the end of each utterance of a batch.
    period = jnp.maximum(2 * (lengths - 1), 1)[..., None]
    phase = jnp.arange(-width, samples + width, dtype=jnp.int32) % period
    return jnp.take_along_axis(waveform, jnp.minimum(phase, period - phase), axis=-1)


def frame(waveform: jax.Array, frames: int, hop_samples: int, fft_size: int) -> jax.Array:
    """Overlapping frames `[..., frames, fft_size]`, gathered as whole slices.

    A matrix of indices gathers as fast, but its gradient scatters single samples and takes twice as
    long; concatenating shifted blocks of one hop is slower forwards and fast only where the hop
    divides the window.
    """

    def one(signal: jax.Array) -> jax.Array:
        starts = jnp.arange(frames) * hop_samples
        return jax.vmap(lambda start: jax.lax.dynamic_slice(signal, (start,), (fft_size,)))(starts)

    flat = jax.vmap(one)(waveform.reshape(-1, waveform.shape[-1]))
    return flat.reshape(*waveform.shape[:-1], frames, fft_size)


def _centred_window(window: Window, window_samples: int, fft_size: int) -> np.ndarray:
    """Periodic window, float64 `[fft_size]`, zero outside its middle `window_samples`."""
    from scipy.signal import get_window

    try:
        taper = get_window(window, window_samples, fftbins=True)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"window must be one that scipy.signal.get_window knows, found {window!r}: {error}"
        ) from error
    left = (fft_size - window_samples) // 2
    return np.pad(taper, (left, fft_size - window_samples - left))


def as_spectrogram(spectrogram: jax.Array | np.ndarray) -> jax.Array:
    """The array, or InputError."""
    spectrogram = jnp.asarray(spectrogram)
    if spectrogram.ndim < 2 or not jnp.issubdtype(spectrogram.dtype, jnp.floating):
        raise InputError(
            "spectrogram must be floating [..., frames, bins], "
            f"found {spectrogram.dtype} of shape {spectrogram.shape}"
        )
    return spectrogram


def as_masked(
    spectrogram: jax.Array | np.ndarray, mask: jax.Array | np.ndarray | None
) -> tuple[jax.Array, jax.Array]:
    """A spectrogram, and a mask of all its frames where there is none, or InputError."""
    spectrogram = as_spectrogram(spectrogram)
    real = jnp.ones(spectrogram.shape[:-1], bool) if mask is None else jnp.asarray(mask)
    if real.dtype != bool or real.shape != spectrogram.shape[:-1]:
        raise InputError(
            f"mask must be bool of shape {spectrogram.shape[:-1]}, "
            f"found {real.dtype} of shape {real.shape}"
        )
    return spectrogram, real
