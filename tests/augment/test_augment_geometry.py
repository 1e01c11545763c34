import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from serjax.augment import elastic, elastic_displacement, flip, rotate, scale
from serjax.errors import InputError
from tests.helpers.type_checks import without_type_checks

FRAMES, BINS = 30, 22
FUNCTIONS = {
    "rotate": functools.partial(rotate, degrees=(-40.0, 40.0)),
    "scale": functools.partial(scale, factors=(0.5, 2.0)),
    "elastic": elastic,
    "flip": flip,
}


def levels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-80, 0, shape).astype(np.float32)


def prefix(lengths) -> np.ndarray:
    return np.arange(FRAMES) < np.asarray(lengths)[..., None]


# --- Parity --------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [-90.0, -7.5, 0.0, 3.0, 45.0, 180.0])
def test_rotation_equals_scipy(key, degrees):
    x = levels(FRAMES, BINS)
    expected = scipy.ndimage.rotate(
        x.astype(np.float64), degrees, reshape=False, order=1, mode="grid-constant", cval=-55.0
    )
    result = jax.jit(lambda key: rotate(key, x, degrees=(degrees, degrees), fill=-55.0))(key)
    np.testing.assert_allclose(result, expected, atol=2e-3)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.3, 3.0])
def test_scaling_equals_scipy(key, factor):
    x = levels(FRAMES, BINS)
    middle = (np.array(x.shape) - 1) / 2
    expected = scipy.ndimage.affine_transform(
        x.astype(np.float64),
        np.eye(2) / factor,
        middle - middle / factor,
        order=1,
        mode="grid-constant",
        cval=-90.0,
    )
    result = jax.jit(lambda key: scale(key, x, factors=(factor, factor), fill=-90.0))(key)
    np.testing.assert_allclose(result, expected, atol=2e-3)


@pytest.mark.parametrize("fill", ["mean", "min", 3.0])
def test_elastic_deformation_equals_scipy(key, fill):
    x = levels(2, FRAMES, BINS)
    result = elastic(key, x, displacement=4.0, smoothness=3.0, fill=fill)
    offset = elastic_displacement(key, x.shape, displacement=4.0, smoothness=3.0)
    position = np.stack(np.meshgrid(np.arange(FRAMES), np.arange(BINS), indexing="ij"))
    for example, displacement, deformed in zip(x.astype(np.float64), offset, result, strict=True):
        outside = {"mean": example.mean(), "min": example.min()}.get(fill, fill)
        expected = scipy.ndimage.map_coordinates(
            example,
            position + np.asarray(displacement),
            order=1,
            mode="grid-constant",
            cval=outside,
        )
        np.testing.assert_allclose(deformed, expected, atol=2e-3)


def test_displacements_are_gaussian_fields():
    """White noise smoothed by a Gaussian has variance 1 and correlation exp(-d² / 4σ²)."""
    fields = elastic_displacement(
        jax.random.key(2), (3000, 24, 20), displacement=2.5, smoothness=2.0
    )
    fields = np.asarray(fields, np.float64) / 2.5
    assert fields.shape == (3000, 2, 24, 20)
    np.testing.assert_allclose(fields.std(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(fields.mean(axis=0), 0, atol=0.1)
    inner = fields[:, :, 8:-8, 8:-8].mean(axis=(2, 3))  # two fields, independent of each other
    assert abs(np.corrcoef(inner[:, 0], inner[:, 1])[0, 1]) < 0.1
    for distance in (1, 2, 4):
        expected = np.exp(-(distance**2) / 16)
        across = np.mean(fields[..., 9, :] * fields[..., 9 + distance, :])
        along = np.mean(fields[..., 8] * fields[..., 8 + distance])
        np.testing.assert_allclose([across, along], expected, atol=0.03)


@pytest.mark.parametrize(("axis", "number"), [("time", 1), ("frequency", 2)])
def test_flips_equal_numpy(key, axis, number):
    x = levels(500, FRAMES, 3)
    result = np.asarray(jax.jit(functools.partial(flip, axis=axis))(key, x))
    flipped = (result == np.flip(x, number)).all(axis=(1, 2))
    same = (result == x).all(axis=(1, 2))
    np.testing.assert_array_equal(flipped, ~same)
    assert scipy.stats.binomtest(int(flipped.sum()), 500, 0.5).pvalue > 1e-4
    np.testing.assert_array_equal(flip(key, x, axis=axis, probability=1.0), np.flip(x, number))
    np.testing.assert_array_equal(flip(key, x, axis=axis, probability=0.0), x)


# --- Random draws --------------------------------------------------------------------------------


def test_angles_and_factors_are_uniform(key):
    """A linear ramp is interpolated exactly, so its slope shows the sampled values."""
    ramp = np.broadcast_to(np.arange(9, dtype=np.float32) - 4, (1000, 9, 9))
    x = np.asarray(rotate(key, ramp, degrees=(-60.0, 20.0)), np.float64)
    angle = np.rad2deg(np.arctan2(x[:, 3, 4], x[:, 4, 5]))
    assert scipy.stats.kstest((angle + 60) / 80, "uniform").pvalue > 1e-4
    x = np.asarray(scale(key, ramp, factors=(0.5, 2.0)), np.float64)
    assert scipy.stats.kstest((1 / x[:, 4, 5] - 0.5) / 1.5, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_depend_on_the_key_and_examples_are_independent(key, name):
    x = np.broadcast_to(levels(FRAMES, BINS), (2, 4, FRAMES, BINS))
    result = np.asarray(FUNCTIONS[name](key, x))
    assert result.shape == x.shape
    distinct = {example.tobytes() for example in result.reshape(8, -1)}
    assert len(distinct) == (2 if name == "flip" else 8)
    np.testing.assert_array_equal(result, FUNCTIONS[name](key, x))
    assert (result != np.asarray(FUNCTIONS[name](jax.random.key(1), x))).any()
    np.testing.assert_allclose(jax.jit(FUNCTIONS[name])(key, x), result, atol=2e-3)


# --- Masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("padding", [100.0, np.nan])
def test_padding_is_preserved_and_has_no_influence(key, name, padding):
    mask = prefix([FRAMES, 20, 7, 1, 0])
    x = np.where(mask[..., None], levels(5, FRAMES, BINS), np.float32(padding))
    result = np.asarray(FUNCTIONS[name](key, x, mask=mask))
    zero_padded = np.where(mask[..., None], x, np.float32(0))
    expected = np.asarray(FUNCTIONS[name](key, zero_padded, mask=mask))
    np.testing.assert_array_equal(result[mask], expected[mask])
    np.testing.assert_array_equal(result[~mask], x[~mask])
    assert np.isfinite(result[mask]).all()
    assert result[mask].max() <= 0.01  # no padding was interpolated


@pytest.mark.parametrize("name", ["rotate", "scale", "flip"])
def test_a_padded_example_equals_the_unpadded_one(key, name):
    x = levels(3, FRAMES, BINS)
    padded = FUNCTIONS[name](key, x, mask=prefix([20] * 3))
    unpadded = FUNCTIONS[name](key, x[:, :20])
    np.testing.assert_allclose(padded[:, :20], unpadded, atol=2e-3)


def test_flipping_skips_gaps_in_the_mask(key):
    x = levels(1, 6, 2)
    mask = np.array([[False, True, True, False, True, False]])
    result = flip(key, x, probability=1.0, mask=mask)
    np.testing.assert_array_equal(result, x[:, [0, 4, 2, 3, 1, 5]])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtype_is_preserved(key, name, dtype, float64):
    x = jnp.asarray(levels(2, 8, 6), dtype)
    assert FUNCTIONS[name](key, x).dtype == dtype


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k, x: rotate(k, x, degrees=(5.0, -5.0)), "degrees: .* found 5.0, -5.0"),
        (lambda k, x: scale(k, x, factors=(0.0, 1.0)), "factors: .* 0 < low <= high, found 0.0"),
        (lambda k, x: elastic(k, x, displacement=-1), "at least 0 pixels, found -1"),
        (lambda k, x: elastic(k, x, smoothness=0), "more than 0 pixels, found 0"),
        (lambda k, x: flip(k, x, axis="both"), 'expected "time" or "frequency", found \'both\''),
        (lambda k, x: flip(k, x, probability=1.5), r"in \[0, 1\], found 1.5"),
    ],
)
def test_bad_arguments(key, call, message):
    with without_type_checks(), pytest.raises(InputError, match=message):
        call(key, levels(3, 3))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_shapes(key, name):
    with without_type_checks(), pytest.raises(InputError, match="spectrogram must be floating"):
        FUNCTIONS[name](key, levels(3))
    with (
        without_type_checks(),
        pytest.raises(InputError, match=r"mask must be bool of shape \(3,\)"),
    ):
        FUNCTIONS[name](key, levels(3, 3), mask=np.ones(4, bool))
    if name != "flip":
        with (
            without_type_checks(),
            pytest.raises(InputError, match=r"fill must be .* found 'median'"),
        ):
            FUNCTIONS[name](key, levels(3, 3), fill="median")
