"""Random changes to training examples, on the device and independent for each example.

Waveforms `[..., samples]` are changed within their lengths, spectrograms `[..., frames, bins]`
within their masks; what is padding stays padding.
"""

from serjax.augment.geometry import elastic, elastic_displacement, flip, rotate, scale
from serjax.augment.masking import POLICIES, SpecAugmentPolicy, spec_augment, spec_augment_mask
from serjax.augment.presets import AUGMENTATIONS, Augmentation, augmentation
from serjax.augment.waveform import add_noise, change_speed, gain, shift

__all__ = [
    "AUGMENTATIONS",
    "POLICIES",
    "Augmentation",
    "SpecAugmentPolicy",
    "add_noise",
    "augmentation",
    "change_speed",
    "elastic",
    "elastic_displacement",
    "flip",
    "gain",
    "rotate",
    "scale",
    "shift",
    "spec_augment",
    "spec_augment_mask",
]
