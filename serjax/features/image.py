"""Spectrograms as colour images, the input of networks that were made for photographs.

Rows are frames and columns are frequency bins, as in all spectrograms of serjax: the time axis,
which runs from left to right in print, runs from top to bottom.
"""

import functools
import importlib.resources

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from serjax.errors import InputError, unknown_name
from serjax.features.arrays import (
    Mask,
    Spectrogram,
    as_masked,
    as_spectrogram,
    at_least_float32,
    with_rank,
)
from serjax.kernels import kernel

# Red, green and blue of ImageNet's training images, with which torchvision's networks were trained.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

COLORMAPS = ("gray", "jet", "magma", "viridis")


def colormap(name: str) -> UInt8[np.ndarray, "256 3"]:
    """Loads a colour map, equal to Matplotlib's with 8 bits.

    Args:
        name: Name of the colour map, one of `COLORMAPS`.

    Returns:
        uint8 `[256, 3]`: red, green and blue of 256 equal steps from the lowest value to the
        highest.

    Raises:
        InputError: The name is unknown.

    Example:
        >>> colormap("gray")[[0, 255]].tolist()
        [[0, 0, 0], [255, 255, 255]]
    """
    if name not in COLORMAPS:
        raise InputError(unknown_name("colour map", name, COLORMAPS))
    return _tables()[name]


@functools.cache
def _tables() -> dict[str, np.ndarray]:
    with (importlib.resources.files("serjax.features") / "colormaps.npz").open("rb") as file:
        return dict(np.load(file))


@kernel
def colorize(
    spectrogram: Spectrogram, name: str = "viridis"
) -> Float32[Array, "*batch frames bins 3"]:
    """Maps the values of a spectrogram to colours.

    Args:
        spectrogram: Floating `[..., frames, bins]` in [0, 1]; values outside are clipped.
        name: Name of the colour map, one of `COLORMAPS`.

    Returns:
        float32 `[..., frames, bins, 3]` in [0, 1], multiples of 1/255: the image that Matplotlib
        saves. Its gradient is zero.

    Raises:
        InputError: The name is unknown, or the spectrogram is not floating or has fewer than two
            axes.

    Example:
        >>> colorize(jnp.zeros((100, 64)), "magma").shape
        (100, 64, 3)
    """
    values = at_least_float32(as_spectrogram(spectrogram))
    table = jnp.asarray(colormap(name) / 255.0, jnp.float32)
    index = jnp.clip(jnp.floor(values * 256), 0, 255).astype(jnp.int32)
    return table[index]


@kernel
def resize(spectrogram: Spectrogram, size: tuple[int, int]) -> Float[Array, "*batch rows columns"]:
    """Resizes a spectrogram by linear interpolation, as PyTorch's `interpolate` with `antialias`.

    Args:
        spectrogram: Floating `[..., frames, bins]`.
        size: Rows and columns of the result, each at least 1.

    Returns:
        `[..., *size]` in the same dtype.

    Raises:
        InputError: A size is below 1, or the spectrogram is not floating or has fewer than two
            axes.

    Example:
        >>> resize(jnp.zeros((100, 64)), (224, 224)).shape
        (224, 224)
    """
    if min(size) < 1:
        raise InputError(f"size: expected at least 1 x 1, found {size[0]} x {size[1]}")
    spectrogram = as_spectrogram(spectrogram)
    values = at_least_float32(spectrogram)
    resized = jax.image.resize(values, (*values.shape[:-2], *size), "linear", antialias=True)
    return resized.astype(spectrogram.dtype)


@kernel
def resize_frames(
    spectrogram: Spectrogram, mask: Mask, frames: int
) -> Float[Array, "*batch {frames} bins"]:
    """Resizes the valid frames of each spectrogram to a number of frames, by linear interpolation.

    The result for an utterance in a padded batch is that of `jax.image.resize` (with antialias, as
    `resize`) for its valid frames only. The interpolation is a product with one matrix of each
    utterance, because the lengths within a batch are only known on the device.

    Args:
        spectrogram: Floating `[..., frames, bins]`.
        mask: bool `[..., frames]`, True for valid frames, which come first.
        frames: Number of frames of the result, at least 1.

    Returns:
        `[..., frames, bins]` in the same dtype; zeros for an utterance without valid frames.

    Raises:
        InputError: The number of frames is below 1, the spectrogram is not floating or has fewer
            than two axes, or the mask does not match.

    Example:
        >>> spectrogram = jnp.array([[0.0], [2.0], [9.0]])
        >>> resize_frames(spectrogram, jnp.array([True, True, False]), 4)[:, 0].tolist()
        [0.0, 0.5, 1.5, 2.0]
    """
    if frames < 1:
        raise InputError(f"frames: expected at least 1, found {frames}")
    spectrogram, mask = as_masked(spectrogram, mask)
    values = at_least_float32(spectrogram)
    count = mask.sum(axis=-1, dtype=jnp.int32)[..., None, None].astype(values.dtype)
    # Output frame i reads a triangle around its position among the valid frames. Its half width is
    # one frame, or one output frame if that is longer.
    step = count / frames
    index = with_rank(jnp.arange(frames, dtype=values.dtype)[:, None], values.ndim)
    position = (index + 0.5) * step - 0.5
    source = with_rank(jnp.arange(values.shape[-2], dtype=values.dtype), values.ndim)
    weight = jnp.maximum(0, 1 - jnp.abs(source - position) / jnp.maximum(step, 1))
    weight = jnp.where(mask[..., None, :], weight, 0)
    total = weight.sum(axis=-1, keepdims=True)
    weight = weight / jnp.where(total > 0, total, 1)
    resized = jnp.matmul(weight, jnp.where(mask[..., None], values, 0), precision="highest")
    return resized.astype(spectrogram.dtype)


@kernel
def imagenet_normalize(image: Float[Array | np.ndarray, "*shape 3"]) -> Float[Array, "*shape 3"]:
    """Standardizes each colour by the mean and standard deviation of ImageNet.

    Networks that torchvision trained expect this input.

    Args:
        image: Floating `[..., 3]`, red, green and blue in [0, 1].

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: The last axis does not have three colours.
    """
    image = jnp.asarray(image)
    if image.ndim < 1 or image.shape[-1] != 3:
        raise InputError(f"image: expected three colours [..., 3], found shape {image.shape}")
    mean, deviation = (
        with_rank(jnp.asarray(values, image.dtype), image.ndim)
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (image - mean) / deviation
