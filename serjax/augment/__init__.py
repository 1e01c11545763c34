"""Random changes to training examples, on the device and independent for each example.

Waveforms `[..., samples]` are changed within their lengths, spectrograms `[..., frames, bins]`
within their masks; what is padding stays padding.
"""

from serjax.augment.geometry import elastic, elastic_displacement, flip, rotate, scale
from serjax.augment.masking import POLICIES, SpecAugmentPolicy, spec_augment, spec_augment_mask
from serjax.augment.presets import PRESETS, Augmentation, preset
from serjax.augment.waveform import add_noise, change_speed, gain, shift

__all__ = [
    "POLICIES",
    "PRESETS",
    "Augmentation",
    "SpecAugmentPolicy",
    "add_noise",
    "change_speed",
    "elastic",
    "elastic_displacement",
    "flip",
    "gain",
    "preset",
    "rotate",
    "scale",
    "shift",
    "spec_augment",
    "spec_augment_mask",
]
