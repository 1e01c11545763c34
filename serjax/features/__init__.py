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
from serjax.features.image import COLORMAPS, colorize, colormap, imagenet_normalize, resize
from serjax.features.level import normalize_level, remove_offset
from serjax.features.mel import mel_filterbank
from serjax.features.spectral import (
    MelOptions,
    log_mel_spectrogram,
    log_power,
    mel_spectrogram,
    mfcc,
    normalize,
)
from serjax.features.voice_activity import (
    remove_silence,
    remove_unvoiced,
    voiced_chunks,
    voiced_frames,
)

__all__ = [
    "COLORMAPS",
    "FRONT_ENDS",
    "FrontEnd",
    "MelOptions",
    "StftOptions",
    "colorize",
    "colormap",
    "frame_count",
    "frame_mask",
    "front_ends",
    "image",
    "imagenet_normalize",
    "log_mel_spectrogram",
    "log_power",
    "magnitude_spectrogram",
    "mel_filterbank",
    "mel_spectrogram",
    "mfcc",
    "normalize",
    "normalize_level",
    "remove_offset",
    "remove_silence",
    "remove_unvoiced",
    "resize",
    "stft",
    "voice_activity",
    "voiced_chunks",
    "voiced_frames",
]
