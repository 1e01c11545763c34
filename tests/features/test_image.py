"""Spectrogram images against Matplotlib, PyTorch and torchvision."""

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

from serjax.errors import InputError
from serjax.features import image
from tests.helpers.type_checks import without_type_checks

colorize = jax.jit(image.colorize, static_argnames="name")
resize = jax.jit(image.resize, static_argnames="size")


def uniform(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", image.COLORMAPS)
def test_colour_maps_equal_matplotlib(name):
    expected = matplotlib.colormaps[name](np.arange(256), bytes=True)
    np.testing.assert_array_equal(image.colormap(name), expected[:, :3])
    assert image.colormap(name).dtype == np.uint8


@pytest.mark.parametrize("name", image.COLORMAPS)
def test_colours_equal_matplotlib(name):
    """Tests random values, all 256 steps and their neighbours, the ends, and values beyond."""
    steps = np.arange(257, dtype=np.float32) / 256
    near = np.concatenate([np.nextafter(steps, -1), steps, np.nextafter(steps, 2)])
    values = np.concatenate([near, [-0.5, 1.5], uniform(1000)]).astype(np.float32)[None]
    expected = matplotlib.colormaps[name](values, bytes=True)[..., :3]
    for function in (colorize, image.colorize):
        result = np.asarray(function(values, name=name))
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, expected.astype(np.float32) / np.float32(255))


def test_any_batch_shape_and_precision(float64):
    values = uniform(2, 3, 5, 4)
    result = image.colorize(values, "magma")
    assert result.shape == (2, 3, 5, 4, 3)
    np.testing.assert_array_equal(result[1, 2], image.colorize(values[1, 2], "magma"))
    assert image.colorize(jnp.asarray(values, jnp.float64)).dtype == jnp.float32
    narrow = jnp.asarray(values, jnp.bfloat16)
    np.testing.assert_array_equal(
        image.colorize(narrow), image.colorize(narrow.astype(jnp.float32))
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [((3, 13), (4, 20)), ((13, 8), (9, 2)), ((8, 13), (20, 4)), ((2, 40), (2, 7))],
)
def test_resizing_equals_pytorch(before, after):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    x = uniform(2, *before)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x)[:, None], size=after, mode="bilinear", antialias=True
    )
    np.testing.assert_allclose(resize(x, size=after), expected[:, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize("frames", [1, 16])
def test_valid_frames_are_resized_as_if_alone(frames):
    """Against `jax.image.resize` of the valid frames, with NaN in the others."""
    rng = np.random.default_rng(0)
    counts = [0, 1, 2, 7, 16, 29, 30]
    spectrogram = rng.normal(size=(7, 30, 3)).astype(np.float32)
    mask = np.arange(30) < np.array(counts)[:, None]
    spectrogram[~mask] = np.nan
    resized = jax.jit(image.resize_frames, static_argnums=2)(spectrogram, mask, frames)
    assert resized.shape == (7, frames, 3)
    np.testing.assert_array_equal(resized[0], 0)
    for row, count, values in zip(resized[1:], counts[1:], spectrogram[1:], strict=True):
        expected = jax.image.resize(values[:count], (frames, 3), "linear")
        np.testing.assert_allclose(row, expected, atol=1e-5)
    half = image.resize_frames(jnp.asarray(spectrogram, jnp.bfloat16), mask, frames)
    assert half.dtype == jnp.bfloat16


def test_resizing_keeps_the_range_and_the_dtype():
    x = uniform(2, 3, 30, 20)
    for size in [(60, 7), (5, 50), (30, 20)]:
        result = resize(x, size=size)
        assert result.shape == (2, 3, *size)
        assert x.min() <= result.min() <= result.max() <= x.max()
        assert image.resize(jnp.asarray(x, jnp.bfloat16), size).dtype == jnp.bfloat16
        np.testing.assert_allclose(result[1, 2], image.resize(x[1, 2], size), rtol=1e-6)
    np.testing.assert_array_equal(result, x)


def test_normalization_equals_torchvision(torchvision):
    import torch

    weights = torchvision.models.ResNet50_Weights.DEFAULT
    x = uniform(2, 5, 4, 3)
    pixels = torch.from_numpy(x).permute(0, 3, 1, 2)
    transform = weights.transforms()
    expected = torchvision.transforms.functional.normalize(pixels, transform.mean, transform.std)
    np.testing.assert_allclose(
        jax.jit(image.imagenet_normalize)(x), expected.permute(0, 2, 3, 1).numpy(), atol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: image.colormap("virdis"), "'virdis': did you mean 'viridis'"),
        (lambda: image.colorize(uniform(3, 3), "hot"), "known are gray, jet, magma, viridis"),
        (lambda: image.resize(uniform(3, 3), (0, 4)), "at least 1 x 1, found 0 x 4"),
        (lambda: image.imagenet_normalize(uniform(3, 1)), r"\[..., 3\], found shape \(3, 1\)"),
    ],
)
@without_type_checks()
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("function", [image.colorize, lambda x: image.resize(x, (2, 2))])
@without_type_checks()
def test_bad_shapes(function):
    for x in (uniform(3), np.ones((3, 3), np.int32)):
        with pytest.raises(InputError, match="spectrogram must be floating"):
            function(x)
