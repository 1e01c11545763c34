"""Spectrograms as colour images, as the networks made for photographs take them.

Rows are frames and columns are frequency bins, as everywhere here: the time axis that prints show
from left to right runs down.
"""

import functools
import importlib.resources

import jax
import jax.numpy as jnp
import numpy as np

from serjax.errors import InputError, unknown_name
from serjax.features.arrays import as_spectrogram, at_least_float32

# Of the red, green and blue of ImageNet's training images, with which torchvision's networks were
# trained.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

COLORMAPS = ("gray", "jet", "magma", "viridis")


def colormap(name: str) -> np.ndarray:
    """A colour map, equal to Matplotlib's with 8 bits.

    Args:
        name: One of `COLORMAPS`.

    Returns:
        uint8 `[256, 3]`: red, green and blue of 256 equal steps from the lowest value to the
        highest.

    Raises:
        InputError: Unknown name.
    """
    if name not in COLORMAPS:
        raise InputError(unknown_name("colour map", name, COLORMAPS))
    return _tables()[name]


@functools.cache
def _tables() -> dict[str, np.ndarray]:
    with (importlib.resources.files("serjax.features") / "colormaps.npz").open("rb") as file:
        return dict(np.load(file))


def colorize(spectrogram: jax.Array | np.ndarray, name: str = "viridis") -> jax.Array:
    """Turns values into colours.

    Args:
        spectrogram: floating `[..., frames, bins]` in [0, 1]; what lies outside gets the colour of
            the nearest end.
        name: One of `COLORMAPS`.

    Returns:
        float32 `[..., frames, bins, 3]` in [0, 1], multiples of 1/255: the image that Matplotlib
        saves. Its gradient is zero.

    Raises:
        InputError: Unknown name, or the spectrogram is not floating or has fewer than two axes.
    """
    values = at_least_float32(as_spectrogram(spectrogram))
    table = jnp.asarray(colormap(name) / 255.0, jnp.float32)
    index = jnp.clip(jnp.floor(values * 256), 0, 255).astype(jnp.int32)
    return table[index]


def resize(spectrogram: jax.Array | np.ndarray, size: tuple[int, int]) -> jax.Array:
    """Resizes by linear interpolation, smoothed where it shrinks, as PyTorch with `antialias`.

    Args:
        spectrogram: floating `[..., frames, bins]`.
        size: Rows and columns of the result, at least 1.

    Returns:
        `[..., *size]` in the same dtype.

    Raises:
        InputError: A size below 1, or the spectrogram is not floating or has fewer than two axes.
    """
    if min(size) < 1:
        raise InputError(f"size: expected at least 1 x 1, found {size[0]} x {size[1]}")
    spectrogram = as_spectrogram(spectrogram)
    values = at_least_float32(spectrogram)
    resized = jax.image.resize(values, (*values.shape[:-2], *size), "linear", antialias=True)
    return resized.astype(spectrogram.dtype)


def imagenet_normalize(image: jax.Array | np.ndarray) -> jax.Array:
    """Standardizes each colour by ImageNet's mean and deviation, as torchvision's networks expect.

    Args:
        image: floating `[..., 3]`: red, green, blue in [0, 1].

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: There are not three colours.
    """
    image = jnp.asarray(image)
    if image.ndim < 1 or image.shape[-1] != 3:
        raise InputError(f"image: expected three colours [..., 3], found shape {image.shape}")
    mean = jnp.asarray(IMAGENET_MEAN, image.dtype)
    return (image - mean) / jnp.asarray(IMAGENET_STD, image.dtype)
