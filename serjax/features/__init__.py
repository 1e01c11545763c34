"""Features of speech, computed on the device: spectrograms, voice activity, images, front ends."""

from serjax.features import front_ends, image, voice_activity
from serjax.features.fourier import (
    StftOptions,
    frame_count,
    frame_mask,
    magnitude_spectrogram,
    stft,
)
from serjax.features.front_ends import FRONT_ENDS, FrontEnd
from serjax.features.mel import mel_filterbank
from serjax.features.spectral import (
    log_mel_spectrogram,
    log_power,
    mel_spectrogram,
    mfcc,
    normalize,
)

__all__ = [
    "FRONT_ENDS",
    "FrontEnd",
    "StftOptions",
    "frame_count",
    "frame_mask",
    "front_ends",
    "image",
    "log_mel_spectrogram",
    "log_power",
    "magnitude_spectrogram",
    "mel_filterbank",
    "mel_spectrogram",
    "mfcc",
    "normalize",
    "stft",
    "voice_activity",
]
