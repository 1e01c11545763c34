"""SpecAugment: random bands of frequencies and stretches of time, masked."""

import dataclasses
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from serjax.augment.fill import Fill, check_fill, fill_value
from serjax.errors import InputError, unknown_name
from serjax.features.arrays import as_masked


@dataclasses.dataclass(frozen=True)
class SpecAugmentPolicy:
    """How much of a spectrogram SpecAugment may mask.

    Attributes:
        frequency_width: largest width of a frequency mask in bins, F in the paper.
        time_width: largest width of a time mask in frames, W in the paper.
        time_fraction: largest width of a time mask as a share of the utterance's own frames, p in
            the paper; in [0, 1]. Taken as the nearest fraction with a denominator up to 1000, so
            that 0.2 of 5 frames is exactly one.
        frequency_masks: number of frequency masks, which may overlap.
        time_masks: number of time masks, which may overlap.

    Raises:
        InputError: a value is negative, or `time_fraction` above 1.
    """

    frequency_width: int
    time_width: int
    time_fraction: float
    frequency_masks: int = 2
    time_masks: int = 2

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not value >= 0:
                raise InputError(f"{name} must not be negative, found {value}")
        if self.time_fraction > 1:
            raise InputError(f"time_fraction must not exceed 1, found {self.time_fraction}")


# Padi et al., "Improved Speech Emotion Recognition using Transfer Learning and Spectrogram
# Augmentation" (ICMI 2021), Table 1.
POLICIES = {
    "none": SpecAugmentPolicy(0, 0, 0.0, 0, 0),
    "conservative": SpecAugmentPolicy(frequency_width=15, time_width=50, time_fraction=0.2),
    "aggressive": SpecAugmentPolicy(frequency_width=27, time_width=70, time_fraction=0.2),
}


def spec_augment(
    key: jax.Array,
    spectrogram: jax.Array | np.ndarray,
    policy: str | SpecAugmentPolicy = "conservative",
    *,
    mask: jax.Array | np.ndarray | None = None,
    fill: Fill = "mean",
) -> jax.Array:
    """Masks random bands of frequencies and stretches of time (SpecAugment).

    Args:
        key: random key; each example gets its own masks from it.
        spectrogram: floating `[..., frames, bins]`.
        policy: "none", "conservative", "aggressive" (Padi et al., 2021, Table 1), or one's own.
        mask: bool `[..., frames]`, True for real frames; all when None. Padded frames stay as they
            are, and do not change what happens to the real ones.
        fill: what masked values become: the mean or the minimum of the example's real frames, or a
            number. Zero is silence in a magnitude, but a moderate level in decibels.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: an argument is out of range, or shapes do not match.

    References:
        Park et al., "SpecAugment" (Interspeech 2019); Padi et al. (ICMI 2021), section 3.4.
    """
    spectrogram, real = as_masked(spectrogram, mask)
    check_fill(fill)
    masked = spec_augment_mask(key, real, spectrogram.shape[-1], policy)
    return jnp.where(masked, fill_value(spectrogram, real, fill), spectrogram)


def spec_augment_mask(
    key: jax.Array,
    mask: jax.Array | np.ndarray,
    bins: int,
    policy: str | SpecAugmentPolicy = "conservative",
) -> jax.Array:
    """Marks what `spec_augment` masks, given the same key.

    A frequency mask covers `[f0, f0 + f)`, with `f` uniform on {0, ..., F} and `f0` uniform on
    {0, ..., bins - f}. A time mask covers `[t0, t0 + t)` of an utterance's T real frames, with `t`
    uniform on {0, ..., min(W, floor(p T))} and `t0` uniform on {0, ..., T - t}. The paper leaves
    open whether the ends belong to the ranges; here they do, so the full width occurs.

    Args:
        key: random key.
        mask: bool `[..., frames]`, True for real frames.
        bins: number of bins.
        policy: as in `spec_augment`.

    Returns:
        bool `[..., frames, bins]`, True where a value is masked; False in padded frames.

    Raises:
        InputError: the policy is unknown, or its frequency masks are wider than the spectrogram.
    """
    policy = _policy(policy)
    if policy.frequency_width > bins:
        # Clipping the width instead would mask whole utterances without a word.
        raise InputError(
            f"policy.frequency_width must not exceed the {bins} bins of the spectrogram, "
            f"found {policy.frequency_width}"
        )
    mask = jnp.asarray(mask)
    frequency_key, time_key = jax.random.split(key)

    size = jnp.full(mask.shape[:-1], bins, jnp.int32)
    limit = jnp.full(mask.shape[:-1], policy.frequency_width, jnp.int32)
    bin_index = jnp.broadcast_to(jnp.arange(bins, dtype=jnp.int32), (*mask.shape[:-1], bins))
    in_band = _stripes(frequency_key, bin_index, size, limit, policy.frequency_masks)

    size = mask.sum(axis=-1, dtype=jnp.int32)
    fraction = Fraction(policy.time_fraction).limit_denominator(1000)
    limit = jnp.minimum(size * fraction.numerator // fraction.denominator, policy.time_width)
    # Counting real frames makes gaps in the mask harmless: T frames, in order.
    frame_index = jnp.cumsum(mask, axis=-1, dtype=jnp.int32) - 1
    in_stretch = _stripes(time_key, frame_index, size, limit, policy.time_masks)

    return (in_band[..., None, :] | in_stretch[..., :, None]) & mask[..., None]


def _stripes(
    key: jax.Array, index: jax.Array, size: jax.Array, limit: jax.Array, count: int
) -> jax.Array:
    """Marks the indices `[..., n]` that `count` random stripes cover.

    `size` and `limit` `[...]` are the number of places and the largest width. Both draws are
    `randint` with bounds for each example: scaling and flooring a float32 uniform instead is
    biased, and can round up to the excluded bound.
    """
    width_key, start_key = jax.random.split(key)
    shape = (*size.shape, count)
    width = jax.random.randint(width_key, shape, 0, limit[..., None] + 1, jnp.int32)
    start = jax.random.randint(start_key, shape, 0, size[..., None] - width + 1, jnp.int32)
    position, start, width = index[..., None, :], start[..., None], width[..., None]
    return ((position >= start) & (position < start + width)).any(axis=-2)


def _policy(policy: str | SpecAugmentPolicy) -> SpecAugmentPolicy:
    if isinstance(policy, SpecAugmentPolicy):
        return policy
    if policy in POLICIES:
        return POLICIES[policy]
    raise InputError(unknown_name("SpecAugment policy", str(policy), POLICIES))
