"""Photometric transforms: brightness and contrast against their definitions."""

import numpy as np
import pytest

from serjax.augment import brightness, contrast
from serjax.errors import InputError

MASK = np.arange(30) < np.array([[30], [12]])


@pytest.fixture
def levels():
    return np.random.default_rng(0).uniform(-80, 0, (2, 30, 22)).astype(np.float32)


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.25])
def test_brightness_adds_a_fraction_of_the_valid_range(key, levels, shift):
    result = brightness(key, levels, shifts=(shift, shift), mask=MASK)
    for x, valid, changed in zip(levels, MASK, np.asarray(result), strict=True):
        expected = x[valid] + shift * (x[valid].max() - x[valid].min())
        np.testing.assert_allclose(changed[valid], expected, rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(changed[~valid], x[~valid])


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_contrast_scales_distances_from_the_valid_mean(key, levels, factor):
    result = contrast(key, levels, factors=(factor, factor), mask=MASK)
    for x, valid, changed in zip(levels, MASK, np.asarray(result), strict=True):
        mean = x[valid].astype(np.float64).mean()
        expected = mean + factor * (x[valid] - mean)
        np.testing.assert_allclose(changed[valid], expected, rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(changed[~valid], x[~valid])


@pytest.mark.parametrize("transform", [brightness, contrast])
def test_examples_change_independently_and_keep_their_dtype(key, levels, transform):
    same = np.stack([levels[0], levels[0]]).astype(np.float16)
    result = transform(key, same)
    assert result.dtype == np.float16
    assert np.abs(np.asarray(result[0] - result[1], np.float32)).max() > 0.1


@pytest.mark.parametrize(
    ("transform", "options", "message"),
    [
        (brightness, {"shifts": (0.2, -0.2)}, r"shifts: expected two numbers low <= high"),
        (contrast, {"factors": (0.0, 1.0)}, r"factors: expected two numbers 0 < low <= high"),
    ],
)
def test_bad_ranges(key, levels, transform, options, message):
    with pytest.raises(InputError, match=message):
        transform(key, levels, **options)
