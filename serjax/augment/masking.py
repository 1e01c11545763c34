"""SpecAugment: random masks over bands of frequencies and over spans of time."""

import dataclasses
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, PRNGKeyArray

from serjax.augment.fill import Fill, check_fill, fill_value
from serjax.errors import InputError, unknown_name
from serjax.features.arrays import as_masked
from serjax.kernels import kernel


@dataclasses.dataclass(frozen=True)
class SpecAugmentPolicy:
    """Number and largest widths of SpecAugment's masks.

    Attributes:
        frequency_width: Largest width of a frequency mask in bins, F in the paper.
        time_width: Largest width of a time mask in frames, W in the paper.
        time_fraction: Largest width of a time mask as a fraction of the utterance's valid frames,
            in [0, 1], p in the paper. The value is rounded to the nearest fraction with a
            denominator up to 1000, so that 0.2 of 5 frames is exactly one.
        frequency_masks: Number of frequency masks, which may overlap.
        time_masks: Number of time masks, which may overlap.

    Raises:
        InputError: A value is negative, or `time_fraction` is above 1.
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


# SpecAugment is in torchaudio, for PyTorch; JAX has no library of it with masks of valid frames.

# Padi et al. (2021), Table 1.
POLICIES = {
    "none": SpecAugmentPolicy(0, 0, 0.0, 0, 0),
    "conservative": SpecAugmentPolicy(frequency_width=15, time_width=50, time_fraction=0.2),
    "aggressive": SpecAugmentPolicy(frequency_width=27, time_width=70, time_fraction=0.2),
}


@kernel
def spec_augment(
    key: PRNGKeyArray,
    spectrogram: Float[Array | np.ndarray, "*batch frames bins"],
    policy: str | SpecAugmentPolicy = "conservative",
    *,
    mask: Bool[Array | np.ndarray, "*batch frames"] | None = None,
    fill: Fill = "mean",
) -> Float[Array, "*batch frames bins"]:
    """Masks random bands of frequencies and spans of time.

    SpecAugment (Park et al., 2019) with the policies of Padi et al. (2021), section 3.4.

    Args:
        key: PRNG key, from which each example gets its own masks.
        spectrogram: Spectrograms `[..., frames, bins]`, floating.
        policy: "none", "conservative", "aggressive" (Padi et al., 2021, Table 1), or a
            `SpecAugmentPolicy`.
        mask: Valid frames `[..., frames]`; None if all are valid. Padded frames stay as they are
            and do not influence the valid ones.
        fill: Value of masked entries: the mean or the minimum of the example's valid frames, or a
            number. Zero is silence in a magnitude, but a moderate level in decibels.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: An argument is out of range, or shapes do not match.

    >>> spectrogram = jnp.ones((2, 100, 64))
    >>> spec_augment(jax.random.key(0), spectrogram, "aggressive", fill=0.0).shape
    (2, 100, 64)
    """
    spectrogram, valid = as_masked(spectrogram, mask)
    check_fill(fill)
    masked = spec_augment_mask(key, valid, spectrogram.shape[-1], policy)
    return jnp.where(masked, fill_value(spectrogram, valid, fill), spectrogram)


@kernel
def spec_augment_mask(
    key: PRNGKeyArray,
    mask: Bool[Array | np.ndarray, "*batch frames"],
    bins: int,
    policy: str | SpecAugmentPolicy = "conservative",
) -> Bool[Array, "*batch frames {bins}"]:
    """Marks the values that `spec_augment` masks with the same key.

    A frequency mask covers `[f0, f0 + f)`, with `f` uniform on {0, ..., F} and `f0` uniform on
    {0, ..., bins - f}. A time mask covers `[t0, t0 + t)` of an utterance's T valid frames, with `t`
    uniform on {0, ..., min(W, floor(p T))} and `t0` uniform on {0, ..., T - t}. The paper does not
    say whether the ends belong to the ranges; here they do, so the full width occurs.

    Args:
        key: PRNG key.
        mask: Valid frames `[..., frames]`.
        bins: Number of bins.
        policy: Name of a policy, or a `SpecAugmentPolicy`.

    Returns:
        Bool `[..., frames, bins]`, True where a value is masked; False in padded frames.

    Raises:
        InputError: The policy is unknown, or its frequency masks are wider than the spectrogram.
    """
    policy = _find_policy(policy)
    if policy.frequency_width > bins:
        # Clipping the width instead would silently mask whole utterances.
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
    # Counting valid frames makes gaps in the mask harmless: T frames, in order.
    frame_index = jnp.cumsum(mask, axis=-1, dtype=jnp.int32) - 1
    in_span = _stripes(time_key, frame_index, size, limit, policy.time_masks)

    return (in_band[..., None, :] | in_span[..., :, None]) & mask[..., None]


def _stripes(
    key: PRNGKeyArray,
    index: Int32[Array, "*batch n"],
    size: Int32[Array, "*batch"],
    limit: Int32[Array, "*batch"],
    count: int,
) -> Bool[Array, "*batch n"]:
    """Marks the indices that random stripes cover.

    Both draws are `randint` with bounds for each example: scaling and flooring a float32 uniform
    instead is biased, and can round up to the excluded bound.

    Args:
        key: PRNG key.
        index: Position of each entry among the valid ones.
        size: Number of valid entries.
        limit: Largest width of a stripe.
        count: Number of stripes.
    """
    width_key, start_key = jax.random.split(key)
    shape = (*size.shape, count)
    width = jax.random.randint(width_key, shape, 0, limit[..., None] + 1, jnp.int32)
    start = jax.random.randint(start_key, shape, 0, size[..., None] - width + 1, jnp.int32)
    position, start, width = index[..., None, :], start[..., None], width[..., None]
    return ((position >= start) & (position < start + width)).any(axis=-2)


def _find_policy(policy: str | SpecAugmentPolicy) -> SpecAugmentPolicy:
    """Returns a policy, found by its name if it is a string."""
    if isinstance(policy, SpecAugmentPolicy):
        return policy
    if policy in POLICIES:
        return POLICIES[policy]
    raise InputError(unknown_name("SpecAugment policy", str(policy), POLICIES))
