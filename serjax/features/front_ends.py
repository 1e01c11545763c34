"""Front ends: from waveforms to model input, on the device."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from serjax import features
from serjax.errors import InputError, unknown_name
from serjax.features import image, voice_activity
from serjax.features.arrays import Lengths, Mask, Spectrogram, Waveform, with_rank

_SILENCE = ("keep", "remove", "voiced", "voiced_segment")
_FITS = ("pad", "resize")
# Longest utterance that is resized as a whole.
_RESIZED_SECONDS = 30.0
# Utterances keep their silence if less speech than this would remain.
_LEAST_SPEECH_SECONDS = 0.1
# Waveforms are padded to a multiple of it, so that few programs are compiled.
_PAD_MULTIPLE_SAMPLES = 2**15


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """A front end: the computation of a model's input from waveforms.

    A call runs `spectrograms` and `to_model_input` in turn. Training augments waveforms before the
    first and spectrograms between the two. The waveforms are segments of the utterances that
    `select_speech` returns.

    Attributes:
        spectrogram: "magnitude", linear and without the Nyquist bin, or "log_mel", in dB.
        bins: Number of frequency bins.
        frames: Number of frames of the input.
        segment_seconds: Length of the longest segment. Longer utterances are cut into equally
            spaced segments of this length, whose predictions are averaged.
        normalization: "unit_range" or "standard", per segment over its valid frames. Colour images
            are computed from "unit_range"; "standard" then standardizes the colours by ImageNet's
            statistics.
        fit: How a segment gets its number of frames: "pad" pads shorter segments with zeros;
            "resize" resizes whole utterances, of up to 30 s instead of `segment_seconds`, see
            `serjax.features.image.resize_frames`.
        window: Name of a window of `scipy.signal.get_window`.
        window_samples: Length of the analysis window.
        hop_samples: Distance between frames, in samples.
        fft_size: Size of the transform, in samples; the window is in its middle.
        variable_length: True if the model takes any number of frames. Then training cuts chunks
            of normalized spectrograms and evaluation takes whole segments; `frames` is the longest
            training chunk.
        sample_rate: Sample rate of the waveforms, in Hz.
        one_segment_per_epoch: True to train on one random segment of each utterance per epoch,
            False to train on all segments.
        silence: "keep"; "remove" to remove silence, see
            `serjax.features.voice_activity.remove_silence`; "voiced" to remove unvoiced speech,
            see `serjax.features.voice_activity.remove_unvoiced`; or "voiced_segment" to keep the
            segment in the middle of the voiced speech only. All take whole utterances, before
            these are cut into segments.
        colormap: Name of the colour map that makes three channels (red, green and blue), see
            `serjax.features.image.colorize`; None: one channel.
        image_size: Rows and columns to which the input is resized; None: `frames` and `bins`.

    Raises:
        InputError: `silence`, `fit` or `colormap` is unknown, the transform has fewer bins than
            `bins`, `image_size` is not positive, or `image_size` or `fit="resize"` is set where the
            length varies.

    Example:
        >>> x, mask = GUIZZO_REAL(jnp.ones((2, 64_000)), jnp.array([64_000, 32_000]))
        >>> x.shape, mask.sum(axis=1).tolist()
        ((2, 512, 128, 1), [501, 251])
    """

    spectrogram: Literal["magnitude", "log_mel"]
    bins: int
    frames: int
    segment_seconds: float
    normalization: Literal["unit_range", "standard"]
    window: str
    window_samples: int
    hop_samples: int
    fft_size: int
    fit: Literal["pad", "resize"] = "pad"
    variable_length: bool = False
    one_segment_per_epoch: bool = False
    sample_rate: int = 16000
    silence: Literal["keep", "remove", "voiced", "voiced_segment"] = "keep"
    colormap: str | None = None
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.silence not in _SILENCE:
            raise InputError(unknown_name("treatment of silence", self.silence, _SILENCE))
        if self.colormap not in (None, *image.COLORMAPS):
            raise InputError(unknown_name("colour map", str(self.colormap), image.COLORMAPS))
        if self.fit not in _FITS:
            raise InputError(unknown_name("fit", self.fit, _FITS))
        if self.variable_length and self.fit == "resize":
            raise InputError("fit: expected pad, as the model takes any number of frames")
        if self.spectrogram == "magnitude" and self.bins > self.fft_size // 2:
            raise InputError(
                f"fft_size: expected at least {2 * self.bins} samples for {self.bins} bins, found "
                f"{self.fft_size} at {self.sample_rate} Hz"
            )
        if self.image_size is None:
            return
        if self.variable_length:
            raise InputError("image_size: expected none, as the model takes any number of frames")
        if min(self.image_size) < 1:
            rows, columns = self.image_size
            raise InputError(f"image_size: expected at least 1 x 1, found {rows} x {columns}")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of one input; for variable length, the longest in training."""
        return (*(self.image_size or (self.frames, self.bins)), 1 if self.colormap is None else 3)

    @property
    def segment_samples(self) -> int:
        """Number of samples of the longest segment."""
        seconds = self.segment_seconds if self.fit == "pad" else _RESIZED_SECONDS
        return round(seconds * self.sample_rate)

    @property
    def takes_any_length(self) -> bool:
        """True if segments of different lengths have inputs that are not padded to the longest."""
        return self.variable_length or self.fit == "resize"

    def at_sample_rate(self, sample_rate: int) -> "FrontEnd":
        """Returns the front end at another sample rate, with windows of the same durations.

        Args:
            sample_rate: Sample rate of the waveforms, in Hz.

        Raises:
            InputError: The sample rate gives windows without samples.
        """
        factor = sample_rate / self.sample_rate
        sizes = {
            name: round(getattr(self, name) * factor)
            for name in ("window_samples", "hop_samples", "fft_size")
        }
        if min(sizes.values()) < 1:
            raise InputError(
                f"sample_rate: expected at least one sample every "
                f"{self.hop_samples / self.sample_rate:g} s, found {sample_rate} Hz"
            )
        return dataclasses.replace(self, sample_rate=sample_rate, **sizes)

    def samples_of_frames(self, frames: int) -> int:
        """Computes the smallest number of samples that gives a number of frames."""
        return (frames - 1) * self.hop_samples

    def __call__(
        self, waveform: Waveform, lengths: Lengths
    ) -> tuple[Float[Array, "*batch rows columns channels"], Bool[Array, "*batch rows"]]:
        """Computes the model input of a batch, and the mask of its valid (non-padded) frames.

        Args:
            waveform: float32 `[batch, samples]`; samples past an utterance's end are ignored.
            lengths: int32 `[batch]`, number of valid samples; 0 for entries that only pad the
                batch.

        Returns:
            Input float32 `[batch, frames, bins, channels]`, zero in padded frames, and mask bool
            `[batch, frames]`. Frames are padded to `self.frames` unless the length varies.

        Raises:
            InputError: As `serjax.features.stft`.
        """
        return self.to_model_input(*self.spectrograms(waveform, lengths))

    def select_speech(self, waveforms: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Removes silence or unvoiced speech from whole utterances, as `silence` asks.

        Args:
            waveforms: Utterances, each float32 `[samples]`.

        Returns:
            Utterances in the same order. An utterance with less speech than 0.1 s, or than a
            segment that is shorter, is returned unchanged.

        Raises:
            InputError: A waveform does not have one axis.
        """
        for index, waveform in enumerate(waveforms):
            if np.ndim(waveform) != 1:
                raise InputError(
                    f"waveform {index}: expected [samples], found the shape {np.shape(waveform)}"
                )
        if self.silence == "keep":
            return waveforms
        select = _SELECTIONS[self.silence]
        least = min(self.segment_samples, round(_LEAST_SPEECH_SECONDS * self.sample_rate))
        utterances = []
        for waveform in waveforms:
            padded = np.pad(waveform, (0, -len(waveform) % _PAD_MULTIPLE_SAMPLES))
            speech, length = select(jnp.asarray(padded), jnp.int32(len(waveform)), self.sample_rate)
            is_long_enough = int(length) >= least
            utterances.append(np.asarray(speech)[: int(length)] if is_long_enough else waveform)
        if self.silence == "voiced_segment":
            size = self.segment_samples
            return [u[max(len(u) - size, 0) // 2 :][:size] for u in utterances]
        return utterances

    def spectrograms(
        self, waveform: Waveform, lengths: Lengths
    ) -> tuple[Float[Array, "*batch frames bins"], Bool[Array, "*batch frames"]]:
        """Computes normalized spectrograms, of waveforms at any level and with any offset.

        Args:
            waveform: float32 `[batch, samples]`.
            lengths: int32 `[batch]`, number of valid samples.

        Returns:
            Spectrograms float32 `[batch, frames, bins]`, zero in padded frames, and mask bool
            `[batch, frames]`, True for valid frames.

        Raises:
            InputError: As `serjax.features.stft`.
        """
        waveform = features.normalize_level(waveform, lengths)
        framing: features.StftOptions = {
            "lengths": lengths,
            "window": self.window,
            "window_samples": self.window_samples,
            "hop_samples": self.hop_samples,
            "fft_size": self.fft_size,
        }
        if self.spectrogram == "magnitude":
            x = features.magnitude_spectrogram(waveform, **framing)
            x = x[..., : self.bins]
        else:
            x = features.log_mel_spectrogram(
                waveform, self.sample_rate, mel_bins=self.bins, **framing
            )
        mask = features.frame_mask(lengths, x.shape[-2], self.hop_samples, fft_size=self.fft_size)
        method = self.normalization if self.colormap is None else "unit_range"
        x = features.normalize(x, mask, method=method)
        if self.fit == "resize":
            # The first normalization makes a constant zero, which then is resized exactly.
            x = image.resize_frames(x, mask, self.frames)
            mask = jnp.broadcast_to(mask.any(axis=-1, keepdims=True), x.shape[:-1])
            x = features.normalize(x, mask, method=method)
        missing = max(self.frames - x.shape[-2], 0)
        if missing and not self.variable_length:
            x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, missing), (0, 0)])
            mask = jnp.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, missing)])
        return x, mask

    def to_model_input(
        self, x: Spectrogram, mask: Mask
    ) -> tuple[Float[Array, "*batch rows columns channels"], Bool[Array, "*batch rows"]]:
        """Converts spectrograms to model input: resizes and colours them, and adds channels.

        Args:
            x: Spectrograms, float32 `[batch, frames, bins]`.
            mask: bool `[batch, frames]`, True for valid frames.

        Returns:
            Input float32 `[batch, rows, columns, channels]`, zero in padded rows, and mask bool
            `[batch, rows]`. Without `image_size`, rows are frames and columns are bins.

        Raises:
            InputError: The shapes do not match.
        """
        x, mask = jnp.asarray(x), jnp.asarray(mask)
        if x.ndim < 2 or mask.shape != x.shape[:-1]:
            raise InputError(
                "front end: expected spectrograms [batch, frames, bins] and a mask [batch, "
                f"frames], found the shapes {x.shape} and {mask.shape}"
            )
        if self.image_size is not None:
            frames, rows = x.shape[-2], self.image_size[0]
            x = image.resize(x, self.image_size)
            # A row is valid if any fraction of it is, so that no utterance is too short for one.
            valid_rows = -(-mask.sum(axis=-1, keepdims=True, dtype=jnp.int32) * rows // frames)
            mask = with_rank(jnp.arange(rows, dtype=jnp.int32), mask.ndim) < valid_rows
        if self.colormap is None:
            x = x[..., None]
        else:
            x = image.colorize(x, self.colormap)
            if self.normalization == "standard":
                x = image.imagenet_normalize(x)
        return jnp.where(mask[..., None, None], x, 0), mask


def _remove_silence(
    waveform: Array, length: Array, sample_rate: int
) -> tuple[jax.Array, jax.Array]:
    # Blocks of 20 ms.
    return voice_activity.remove_silence(waveform, length, block_samples=sample_rate // 50)


def _remove_unvoiced(
    waveform: Array, length: Array, sample_rate: int
) -> tuple[jax.Array, jax.Array]:
    # Blocks of 10 ms.
    return voice_activity.remove_unvoiced(
        waveform, length, sample_rate=sample_rate, block_samples=sample_rate // 100
    )


_SELECTIONS = {
    "remove": _remove_silence,
    "voiced": _remove_unvoiced,
    "voiced_segment": _remove_unvoiced,
}

# Guizzo et al. (2023), section 3.1: segments of 4 s, Hamming windows of 16 ms, half overlap, padded
# to 512 x 128. Quaternion networks take [0, 1], as RH-emo requires, real ones standardized input.
GUIZZO_QUATERNION = FrontEnd(
    spectrogram="magnitude",
    bins=128,
    frames=512,
    segment_seconds=4.0,
    normalization="unit_range",
    window="hamming",
    window_samples=256,
    hop_samples=128,
    fft_size=256,
)
# The same four seconds at a finer resolution, for networks for which embeddings of 64 x 64 are too
# small: RH-emo maps 640 x 160 to 80 x 80.
GUIZZO_QUATERNION_LARGE = dataclasses.replace(
    GUIZZO_QUATERNION, bins=160, frames=640, window_samples=320, hop_samples=100, fft_size=320
)
GUIZZO_REAL = dataclasses.replace(GUIZZO_QUATERNION, normalization="standard")

# Deepika & Kuchibhotla (2025) make a spectrogram of 128 x 128 of every file and give no analysis
# settings. Here frames of 64 ms every 32 ms with 128 mel bands are resized to 128 frames. They
# compare "raw" spectrograms with "clean" ones, without silence; these are raw (docs/results.md).
DEEPIKA = FrontEnd(
    spectrogram="log_mel",
    bins=128,
    frames=128,
    segment_seconds=4.0,
    fit="resize",
    normalization="standard",
    window="hann",
    window_samples=1024,
    hop_samples=512,
    fft_size=1024,
)

# Tiwari et al. give frames of 20 to 30 ms, and images of reduced size without numbers. Here 4 s
# give 251 frames of 30 ms every 16 ms, and 128 mel bands.
TIWARI = FrontEnd(
    spectrogram="log_mel",
    bins=128,
    frames=256,
    segment_seconds=4.0,
    normalization="standard",
    window="hann",
    window_samples=480,
    hop_samples=256,
    fft_size=512,
)

# Padi et al. (2021), section 4.2: 128 log-mel bands, 25 ms every 10 ms, mean and variance of the
# whole segment; chunks of up to 300 of its frames in training, whole utterances at test (up to
# half a minute).
PADI = FrontEnd(
    spectrogram="log_mel",
    bins=128,
    frames=300,
    segment_seconds=30.0,
    normalization="standard",
    window="hann",
    window_samples=400,
    hop_samples=160,
    fft_size=512,
    variable_length=True,
)

# Kapoor & Kumar cut voiced speech into chunks of 30 ms and make colour images of their spectra,
# without numbers. Here a chunk has 61 frames of 10 ms every half millisecond, and 64 mel bands.
# They train on 1,800 chunks, fewer than IEMOCAP's utterances of their classes: an epoch takes one
# chunk of each utterance.
KAPOOR = FrontEnd(
    spectrogram="log_mel",
    bins=64,
    frames=61,
    segment_seconds=0.03,
    normalization="standard",
    window="hann",
    window_samples=160,
    hop_samples=8,
    fft_size=512,
    one_segment_per_epoch=True,
    silence="voiced",
    colormap="jet",
    image_size=(224, 224),
)

FRONT_ENDS = {"deepika": DEEPIKA, "guizzo": GUIZZO_REAL, "kapoor": KAPOOR, "tiwari": TIWARI}
"""Front ends by paper, for networks of fixed input size that replace their own paper's."""
