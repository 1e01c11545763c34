"""Augmentations by name: what is done to the waveforms and spectrograms of a training batch."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol

import jax

from serjax.augment.geometry import elastic, flip, rotate
from serjax.augment.masking import POLICIES, spec_augment
from serjax.augment.waveform import add_noise, change_speed, shift
from serjax.errors import InputError, unknown_name

WaveformChange = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


class SpectrogramChange(Protocol):
    """A change of spectrograms `[..., frames, bins]` with a mask of their real frames."""

    def __call__(self, key: jax.Array, spectrogram: jax.Array, /, *, mask: jax.Array) -> jax.Array:
        """Spectrograms of the same shape."""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes to training examples, in order.

    Attributes:
        of_waveforms: Each takes a key, waveforms `[..., samples]` and lengths `[...]`, and returns
            waveforms of the same shape and their lengths.
        of_spectrograms: Each takes a key, spectrograms `[..., frames, bins]` and `mask=`
            `[..., frames]`, and returns spectrograms of the same shape.
    """

    of_waveforms: tuple[WaveformChange, ...] = ()
    of_spectrograms: tuple[SpectrogramChange, ...] = ()

    def apply_to_waveform(
        self, key: jax.Array, waveform: jax.Array, lengths: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Waveforms `[..., samples]` and lengths `[...]`, changed."""
        for index, change in enumerate(self.of_waveforms):
            waveform, lengths = change(jax.random.fold_in(key, index), waveform, lengths)
        return waveform, lengths

    def apply_to_spectrogram(
        self, key: jax.Array, spectrogram: jax.Array, mask: jax.Array
    ) -> jax.Array:
        """Spectrograms `[..., frames, bins]`, changed."""
        for index, change in enumerate(self.of_spectrograms):
            spectrogram = change(jax.random.fold_in(key, index), spectrogram, mask=mask)
        return spectrogram


def _keeping_lengths(change: Callable[..., jax.Array]) -> WaveformChange:
    return lambda key, waveform, lengths: (change(key, waveform, lengths), lengths)


# Amounts are ours. A network that hears noise in all of training fails on recordings without: in
# one fold of RAVDESS's unheard speakers it took 12 points of a DSCNN's validation UA, in half of
# the examples none.
_WAVEFORM: tuple[WaveformChange, ...] = (
    _keeping_lengths(functools.partial(shift, largest_samples=1_600)),
    functools.partial(change_speed, factors=(0.9, 1.1)),
    _keeping_lengths(functools.partial(add_noise, snr_db=(15.0, 30.0), probability=0.5)),
)

# SpecAugment's policies by their own names. Tiwari et al. name shifting, scaling and noise, and
# rotation, flipping and elastic deformation of the images, but no amounts.
PRESETS = {
    "none": Augmentation(),
    **{
        name: Augmentation(of_spectrograms=(functools.partial(spec_augment, policy=policy),))
        for name, policy in POLICIES.items()
        if name != "none"
    },
    "waveform": Augmentation(of_waveforms=_WAVEFORM),
    "tiwari": Augmentation(
        of_waveforms=_WAVEFORM,
        of_spectrograms=(
            functools.partial(rotate, degrees=(-5.0, 5.0)),
            functools.partial(flip, axis="time", probability=0.5),
            functools.partial(elastic, displacement=2.0, smoothness=8.0),
        ),
    ),
}


def preset(name: str) -> Augmentation:
    """An augmentation by name.

    Args:
        name: One of `PRESETS`, or several joined by "+", such as "waveform+conservative":
            the changes of each, in this order.

    Raises:
        InputError: The name, or a part of it, is unknown.
    """
    parts = name.split("+")
    for part in parts:
        if part not in PRESETS:
            raise InputError(unknown_name("augmentation", part, PRESETS))
    chosen = [PRESETS[part] for part in parts]
    return Augmentation(
        tuple(change for each in chosen for change in each.of_waveforms),
        tuple(change for each in chosen for change in each.of_spectrograms),
    )
