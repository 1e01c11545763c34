"""From waveforms to what a model hears, on the device."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from serjax import features
from serjax.errors import InputError, unknown_name
from serjax.features import image, voice_activity

_SILENCE = ("keep", "remove", "voiced")
_ROOM_SAMPLES = 2**15


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """What a model hears.

    Calling it is `clean`, `analyse` and `present` in turn; between them, training augments. What it
    is called with are segments of what `heard` leaves of utterances.

    Attributes:
        spectrogram: "magnitude", linear and without the Nyquist bin, or "log_mel", in dB.
        bins: Frequency bins.
        frames: Frames of the input; a segment that has fewer is padded with zeros.
        segment_seconds: Longest stretch that is one input. Longer utterances are cut into equally
            spaced segments of this length, whose predictions are averaged.
        normalization: "unit_range" or "standard", per segment over its real frames. Colour images
            are made of "unit_range"; "standard" then standardizes the colours as ImageNet's.
        window: As in `scipy.signal.get_window`.
        window_samples: Length of the analysis window.
        hop_samples: Samples from frame to frame.
        fft_size: Length of the transform; the window is centred in it.
        variable_length: Whether the model takes any number of frames. Then training cuts chunks
            and evaluation sees whole segments; `frames` is the longest training chunk.
        sample_rate: Hz.
        one_segment_per_epoch: Whether an epoch of training hears one segment of each utterance, drawn at
            random, instead of all.
        silence: "keep"; "remove" from each segment, see `serjax.features.voice_activity.remove_silence`; or
            "voiced", what is not voiced from each utterance before segments are cut, see
            `serjax.features.voice_activity.remove_unvoiced`.
        colormap: Makes three channels, red, green and blue, see `serjax.features.image.colorize`; None: one.
        image_size: Rows and columns to which the input is resized; None: `frames` and `bins`.

    Raises:
        InputError: `silence` or `colormap` is unknown, or the image has no size, or a fixed one
            where the length varies.
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
    variable_length: bool = False
    one_segment_per_epoch: bool = False
    sample_rate: int = 16000
    silence: Literal["keep", "remove", "voiced"] = "keep"
    colormap: str | None = None
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.silence not in _SILENCE:
            raise InputError(unknown_name("treatment of silence", self.silence, _SILENCE))
        if self.colormap not in (None, *image.COLORMAPS):
            raise InputError(unknown_name("colour map", str(self.colormap), image.COLORMAPS))
        if self.image_size is None:
            return
        if self.variable_length:
            raise InputError("image_size: expected none, as the model takes any number of frames")
        if min(self.image_size) < 1:
            rows, columns = self.image_size
            raise InputError(f"image_size: expected at least 1 x 1, found {rows} x {columns}")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of one input; of variable length, the longest in training."""
        return (*(self.image_size or (self.frames, self.bins)), 1 if self.colormap is None else 3)

    @property
    def segment_samples(self) -> int:
        """Samples of the longest stretch that is one input."""
        return round(self.segment_seconds * self.sample_rate)

    def samples_of_frames(self, frames: int) -> int:
        """Fewest samples that make so many frames."""
        return (frames - 1) * self.hop_samples

    def __call__(self, waveform: jax.Array, lengths: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Input of a batch and the mask of its real frames.

        Args:
            waveform: `[batch, samples]` float32; what lies past an utterance's end is ignored.
            lengths: `[batch]` int32, real samples; 0 for an entry that only fills up the batch.

        Returns:
            Input `[batch, frames, bins, channels]` float32, zero past the end, and mask
            `[batch, frames]` bool. Frames are padded to `self.frames` unless the length varies.
        """
        return self.to_model_input(*self.spectrograms(*self.remove_silence(waveform, lengths)))

    def select_voiced(self, waveforms: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """What there is to hear of utterances `[samples]`, float32: all, or what is voiced.

        An utterance of which less than a segment is voiced stays as it is.

        Raises:
            InputError: A waveform of another shape.
        """
        for index, waveform in enumerate(waveforms):
            if np.ndim(waveform) != 1:
                raise InputError(
                    f"waveform {index}: expected [samples], found the shape {np.shape(waveform)}"
                )
        if self.silence != "voiced":
            return waveforms
        parts = []
        for waveform in waveforms:
            # A few sizes, so that few programs are compiled.
            padded = np.pad(waveform, (0, -len(waveform) % _ROOM_SAMPLES))
            kept, length = _voiced(padded, np.int32(len(waveform)), sample_rate=self.sample_rate)
            enough = int(length) >= self.segment_samples
            parts.append(np.asarray(kept)[: int(length)] if enough else waveform)
        return parts

    def remove_silence(
        self, waveform: jax.Array, lengths: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Waveforms `[batch, samples]` and lengths `[batch]` without their silence, if so asked."""
        if self.silence != "remove":
            return waveform, lengths
        return voice_activity.remove_silence(waveform, lengths)

    def spectrograms(self, waveform: jax.Array, lengths: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Normalized spectrograms `[batch, frames, bins]`, and mask `[batch, frames]`."""
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
        missing = max(self.frames - x.shape[-2], 0)
        if missing and not self.variable_length:
            x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, missing), (0, 0)])
            mask = jnp.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, missing)])
        return x, mask

    def to_model_input(self, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Spectrograms and mask as the model takes them: resized, coloured, with channels.

        Args:
            x: `[batch, frames, bins]`.
            mask: `[batch, frames]` bool.

        Raises:
            InputError: Their shapes are others.
        """
        if x.ndim < 2 or mask.shape != x.shape[:-1]:
            raise InputError(
                "front end: expected spectrograms [batch, frames, bins] and a mask [batch, "
                f"frames], found the shapes {x.shape} and {mask.shape}"
            )
        if self.image_size is not None:
            frames, rows = x.shape[-2], self.image_size[0]
            x = image.resize(x, self.image_size)
            # A row is real as soon as a part of it is: no utterance is too short to be seen.
            real = -(-mask.sum(axis=-1, keepdims=True, dtype=jnp.int32) * rows // frames)
            mask = jnp.arange(rows, dtype=jnp.int32) < real
        if self.colormap is None:
            x = x[..., None]
        else:
            x = image.colorize(x, self.colormap)
            if self.normalization == "standard":
                x = image.imagenet_normalize(x)
        return jnp.where(mask[..., None, None], x, 0), mask


_voiced = jax.jit(voice_activity.remove_unvoiced, static_argnames=("sample_rate", "block_samples"))

# Section 3.1 of Guizzo et al. 2023: 4 s, 16 ms Hamming windows, half overlap, padded to 512 x 128;
# [0, 1] for quaternion networks, as RH-emo requires, standardized for real ones.
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
# The same four seconds, analysed more finely, for networks to which 64 x 64 embeddings are too
# small: 640 x 160, of which RH-emo makes 80 x 80.
GUIZZO_QUATERNION_LARGE = dataclasses.replace(
    GUIZZO_QUATERNION, bins=160, frames=640, window_samples=320, hop_samples=100, fft_size=320
)
GUIZZO_REAL = dataclasses.replace(GUIZZO_QUATERNION, normalization="standard")

# Deepika & Kuchibhotla 2025 give 128 x 128 spectrograms of whole files and no analysis settings;
# here 4 s make 126 frames of 64 ms every 32 ms, and the 128 bins are mel bands. They compare "raw"
# spectrograms with "clean" ones, without silence, which they recognize better; these are raw:
# removing silence costs 6 points of UA within RAVDESS, and pays from one corpus to another alone
# (docs/results.md).
DEEPIKA = FrontEnd(
    spectrogram="log_mel",
    bins=128,
    frames=128,
    segment_seconds=4.0,
    normalization="standard",
    window="hann",
    window_samples=1024,
    hop_samples=512,
    fft_size=1024,
)

# Tiwari et al. give frames of 20 to 30 ms, and images of reduced size without numbers; here 4 s
# make 251 frames of 30 ms every 16 ms, and 128 mel bands.
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

# Section 4.2 of Padi et al. 2021: 128 log-mel bands, 25 ms every 10 ms, mean and variance of the
# segment; chunks of up to 300 frames in training, whole utterances at test (up to half a minute).
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

# Kapoor & Kumar cut what is voiced into chunks of 30 ms and make colour images of their spectra,
# without numbers; here 61 frames of 10 ms every half millisecond, and 64 mel bands. They train on
# 1,800 chunks, fewer than IEMOCAP's utterances of their classes: an epoch hears one of each.
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
"""What a network of fixed input may hear instead of what its own paper describes, by paper."""
