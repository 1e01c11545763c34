"""Short-time Fourier transforms of utterances in a padded batch; public as `serjax.features`."""

from typing import Literal, TypedDict, TypeVar, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from serjax.errors import InputError
from serjax.features.arrays import Lengths, Waveform, as_lengths, as_waveform, with_rank
from serjax.kernels import kernel

Window = str | tuple[str | float, ...]
Samples = TypeVar("Samples", int, jax.Array)


class StftOptions(TypedDict, total=False):
    """Keyword options of `stft`, which the features that are built on it pass on."""

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
    """Computes the number of frames of a waveform.

    With `center` and an even `fft_size` it is `1 + samples // hop_samples`. A waveform without
    samples has no frames.

    Args:
        samples: Number of samples, an int or an int32 array of any shape.
        hop_samples: Distance between frames, in samples.
        window_samples: Length of the window, the default of `fft_size`.
        fft_size: Size of the transform, in samples; None: `window_samples`.
        center: True if frames are centred on multiples of the hop.

    Returns:
        An int for an int, an int32 array of the same shape for an array.

    Example:
        >>> frame_count(16_000, hop_samples=160)
        101
    """
    fft_size = window_samples if fft_size is None else fft_size
    excess = fft_size % 2 if center else fft_size  # centring pads by fft_size // 2 on both sides
    count = 1 + (samples - excess) // hop_samples
    if isinstance(samples, int):
        return max(count, 0) if samples > 0 else 0
    return jnp.where(samples > 0, jnp.maximum(count, 0), 0)


@kernel
def frame_mask(
    lengths: Lengths,
    frames: int,
    hop_samples: int = 160,
    *,
    window_samples: int = 400,
    fft_size: int | None = None,
    center: bool = True,
) -> Bool[Array, "*batch {frames}"]:
    """Marks the valid (non-padded) frames of utterances in a padded batch.

    Args:
        lengths: Integer `[...]`, number of samples of each utterance.
        frames: Number of frames of the padded batch.
        hop_samples: Distance between frames, in samples.
        window_samples: Length of the window, the default of `fft_size`.
        fft_size: Size of the transform, in samples; None: `window_samples`.
        center: True if frames are centred on multiples of the hop.

    Returns:
        bool `[..., frames]`, True for the frames that each utterance has without padding.

    Example:
        >>> frame_mask(np.array([320, 100]), frames=3).tolist()
        [[True, True, True], [True, False, False]]
    """
    count = frame_count(
        jnp.asarray(lengths).astype(jnp.int32),
        hop_samples,
        window_samples=window_samples,
        fft_size=fft_size,
        center=center,
    )
    position = jnp.arange(frames, dtype=jnp.int32)
    return with_rank(position, count.ndim + 1) < count[..., None]


# `jax.scipy.signal.stft` has no lengths, no hop by itself, and scales by the window.
@kernel
def stft(
    waveform: Waveform,
    *,
    lengths: Lengths | None = None,
    window: Window = "hann",
    window_samples: int = 400,
    hop_samples: int = 160,
    fft_size: int | None = None,
    center: bool = True,
    pad_mode: Literal["constant", "reflect"] = "constant",
) -> Complex[Array, "*batch frames bins"]:
    """Computes the short-time Fourier transform, as `librosa.stft` defines it.

    Args:
        waveform: Floating `[..., samples]`. Types narrower than float32 are computed in float32.
        lengths: Integer `[...]`, number of samples of each utterance in a padded batch; None: all
            samples.
        window: Name of a window of `scipy.signal.get_window`, or `(name, parameter)`; periodic.
        window_samples: Length of the window.
        hop_samples: Distance between frames, in samples.
        fft_size: Size of the transform, in samples, with the window in its middle; None:
            `window_samples`.
        center: True to centre frame `i` on sample `i * hop_samples`, with the waveform padded by
            `fft_size // 2` on both sides; False to begin the frame there, without padding.
        pad_mode: "constant" pads with zeros, "reflect" mirrors the utterance at its own ends, as
            often as its length requires.

    Returns:
        complex64 `[..., frames, fft_size // 2 + 1]` (complex128 for float64), where `frames` is
        `frame_count` of the samples. Frames past an utterance's end are zero.

    Raises:
        InputError: An argument is out of range, or the waveform is too short for one frame.

    Example:
        >>> stft(jnp.ones(16_000), window_samples=400, hop_samples=160).shape
        (101, 201)
    """
    waveform = as_waveform(waveform)
    fft_size = window_samples if fft_size is None else fft_size
    _check_framing(window_samples, hop_samples, fft_size, pad_mode)
    samples = waveform.shape[-1]
    min_samples = 1 if center else fft_size
    if samples < min_samples:
        raise InputError(
            f"waveform must have at least {min_samples} samples for one frame, "
            f"found shape {waveform.shape}"
        )
    if lengths is not None:
        lengths = as_lengths(lengths, waveform)
        position = with_rank(jnp.arange(samples, dtype=jnp.int32), waveform.ndim)
        waveform = jnp.where(position < lengths[..., None], waveform, 0)
    padded = _pad(waveform, lengths, fft_size // 2, pad_mode) if center else waveform

    frames = frame_count(samples, hop_samples, fft_size=fft_size, center=center)
    taper = jnp.asarray(_centred_window(window, window_samples, fft_size), waveform.dtype)
    windows = frame(padded, frames, hop_samples, fft_size)
    spectrum = jnp.fft.rfft(windows * with_rank(taper, windows.ndim))
    if lengths is None:
        return spectrum
    mask = frame_mask(lengths, frames, hop_samples, fft_size=fft_size, center=center)
    return jnp.where(mask[..., None], spectrum, 0)


@kernel
def magnitude_spectrogram(
    waveform: Waveform, *, power: float = 1.0, **stft_options: Unpack[StftOptions]
) -> Float[Array, "*batch frames bins"]:
    """Computes the magnitude of the short-time Fourier transform, raised to a power.

    Args:
        waveform: Floating `[..., samples]`.
        power: Exponent, positive: 1 for the magnitude, 2 for the power spectrogram.
        **stft_options: Options of `stft`.

    Returns:
        float32 (float64 for float64) `[..., frames, fft_size // 2 + 1]`, not negative. Its gradient
        at silence is zero, a subgradient of the magnitude, not NaN.

    Raises:
        InputError: `power` is not positive, or as `stft`.

    Example:
        >>> magnitude_spectrogram(jnp.ones(16_000), power=2.0).shape
        (101, 201)
    """
    if power <= 0:
        raise InputError(f"power must be positive, found {power}")
    spectrum = stft(waveform, **stft_options)
    squared = spectrum.real**2 + spectrum.imag**2
    if power == 2.0:
        return squared
    # The derivative of a root is infinite at zero, and infinity times the zero that arrives from a
    # `where` around the result is NaN. So zero is replaced before the root is taken.
    is_silent = squared == 0
    safe = jnp.where(is_silent, 1, squared)
    root = jnp.sqrt(safe) if power == 1.0 else safe ** (power / 2)
    return jnp.where(is_silent, 0, root)


def frame(
    waveform: Float[Array, "*batch samples"], frames: int, hop_samples: int, fft_size: int
) -> Float[Array, "*batch {frames} {fft_size}"]:
    """Cuts waveforms into overlapping frames.

    The frames are gathered as whole slices. A matrix of indices gathers as fast, but its gradient
    scatters single samples and takes twice as long. Concatenating shifted blocks of one hop has a
    slower forward pass, and is fast only where the hop divides the window.

    Args:
        waveform: Floating `[..., samples]`, long enough for all frames.
        frames: Number of frames.
        hop_samples: Distance between the starts of two frames, in samples.
        fft_size: Length of a frame, in samples.

    Returns:
        `[..., frames, fft_size]` in the same dtype.
    """

    def frame_one(signal: jax.Array) -> jax.Array:
        starts = jnp.arange(frames) * hop_samples
        return jax.vmap(lambda start: jax.lax.dynamic_slice(signal, (start,), (fft_size,)))(starts)

    flat = jax.vmap(frame_one)(waveform.reshape(-1, waveform.shape[-1]))
    return flat.reshape(*waveform.shape[:-1], frames, fft_size)


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
    """Pads both ends of each utterance by `width` samples; its padding is zero already."""
    if mode == "constant":
        return jnp.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(width, width)])
    samples = waveform.shape[-1]
    if lengths is None:
        lengths = jnp.full(waveform.shape[:-1], samples, jnp.int32)
    # Mirroring at both ends repeats the utterance, forwards and backwards, with this period. As an
    # index, the mirror can stand at the end of each utterance in a batch.
    period = jnp.maximum(2 * (lengths - 1), 1)[..., None]
    position = jnp.arange(-width, samples + width, dtype=jnp.int32)
    phase = with_rank(position, waveform.ndim) % period
    return jnp.take_along_axis(waveform, jnp.minimum(phase, period - phase), axis=-1)


def _centred_window(
    window: Window, window_samples: int, fft_size: int
) -> Float[np.ndarray, " {fft_size}"]:
    """Computes a periodic window, float64, that is zero outside its middle `window_samples`."""
    from scipy.signal import get_window

    try:
        taper = get_window(window, window_samples, fftbins=True)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"window must be one that scipy.signal.get_window knows, found {window!r}: {error}"
        ) from error
    left = (fft_size - window_samples) // 2
    return np.pad(taper, (left, fft_size - window_samples - left))
