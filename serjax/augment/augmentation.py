"""Augmentation of a training batch as a sequence of random transforms."""

import dataclasses
from typing import Protocol, runtime_checkable

import jax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


@runtime_checkable
class WaveformTransform(Protocol):
    """Random transform of waveforms `[..., samples]` with lengths `[...]`."""

    def __call__(
        self, key: PRNGKeyArray, waveform: Array, lengths: Array, /
    ) -> tuple[Array, Array]:
        """Returns waveforms of the same shape and their new lengths."""


@runtime_checkable
class SpectrogramTransform(Protocol):
    """Random transform of spectrograms `[..., frames, bins]` with a mask of valid frames."""

    def __call__(self, key: PRNGKeyArray, spectrogram: Array, /, *, mask: Array) -> Array:
        """Returns spectrograms of the same shape."""


@runtime_checkable
class SupportsAugmentation(Protocol):
    """Any object with the two methods of `Augmentation`."""

    def apply_to_waveform(
        self, key: PRNGKeyArray, waveform: Array, lengths: Array
    ) -> tuple[Array, Array]:
        """Transforms waveforms `[..., samples]` with lengths `[...]`."""

    def apply_to_spectrogram(self, key: PRNGKeyArray, spectrogram: Array, mask: Array) -> Array:
        """Transforms spectrograms `[..., frames, bins]` with valid frames `[..., frames]`."""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random transforms of training examples, applied in order.

    Transform number i receives the key `fold_in(key, i)`.

    Attributes:
        waveform_transforms: Functions of a key, waveforms `[..., samples]` and lengths `[...]`,
            which return waveforms of the same shape and their lengths.
        spectrogram_transforms: Functions of a key, spectrograms `[..., frames, bins]` and `mask=`
            `[..., frames]`, which return spectrograms of the same shape.

    >>> from serjax import augment
    >>> import functools
    >>> policy = functools.partial(augment.spec_augment, policy="aggressive", fill="min")
    >>> augmentation = augment.Augmentation(spectrogram_transforms=(policy,))
    >>> spectrogram, mask = jax.numpy.zeros((2, 100, 64)), jax.numpy.ones((2, 100), bool)
    >>> augmentation.apply_to_spectrogram(jax.random.key(0), spectrogram, mask).shape
    (2, 100, 64)
    """

    waveform_transforms: tuple[WaveformTransform, ...] = ()
    spectrogram_transforms: tuple[SpectrogramTransform, ...] = ()

    def apply_to_waveform(
        self,
        key: PRNGKeyArray,
        waveform: Float[Array, "*batch samples"],
        lengths: Int[Array, "*batch"],
    ) -> tuple[Float[Array, "*batch samples"], Int[Array, "*batch"]]:
        """Applies the waveform transforms.

        Args:
            key: PRNG key.
            waveform: Waveforms `[..., samples]`.
            lengths: Number of samples of each utterance `[...]`.

        Returns:
            Waveforms of the same shape and their new lengths.
        """
        for index, transform in enumerate(self.waveform_transforms):
            waveform, lengths = transform(jax.random.fold_in(key, index), waveform, lengths)
        return waveform, lengths

    def apply_to_spectrogram(
        self,
        key: PRNGKeyArray,
        spectrogram: Float[Array, "*batch frames bins"],
        mask: Bool[Array, "*batch frames"],
    ) -> Float[Array, "*batch frames bins"]:
        """Applies the spectrogram transforms.

        Args:
            key: PRNG key.
            spectrogram: Spectrograms `[..., frames, bins]`.
            mask: Valid frames `[..., frames]`.

        Returns:
            Spectrograms of the same shape.
        """
        for index, transform in enumerate(self.spectrogram_transforms):
            spectrogram = transform(jax.random.fold_in(key, index), spectrogram, mask=mask)
        return spectrogram
