"""Random augmentation of training examples on the device, independent for each example.

Waveforms `[..., samples]` change within their lengths and spectrograms `[..., frames, bins]` within
their masks. Padding stays padding.
"""

from serjax.augment.augmentation import (
    Augmentation,
    SpectrogramTransform,
    SupportsAugmentation,
    WaveformTransform,
)
from serjax.augment.geometry import elastic, elastic_displacement, flip, rotate, scale
from serjax.augment.masking import POLICIES, SpecAugmentPolicy, spec_augment, spec_augment_mask
from serjax.augment.photometry import brightness, contrast
from serjax.augment.presets import PRESETS, preset, register
from serjax.augment.waveform import add_noise, change_speed, gain, shift

__all__ = [
    "POLICIES",
    "PRESETS",
    "Augmentation",
    "SpecAugmentPolicy",
    "SpectrogramTransform",
    "SupportsAugmentation",
    "WaveformTransform",
    "add_noise",
    "brightness",
    "change_speed",
    "contrast",
    "elastic",
    "elastic_displacement",
    "flip",
    "gain",
    "preset",
    "register",
    "rotate",
    "scale",
    "shift",
    "spec_augment",
    "spec_augment_mask",
]
