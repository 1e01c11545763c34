import collections
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from serjax import augment
from serjax.augment import SpecAugmentPolicy, spec_augment, spec_augment_mask
from serjax.errors import InputError
from tests.helpers import reference
from tests.helpers.type_checks import without_type_checks

DRAWS = 200_000
# A correct sampler fails a test at this level for one key in ten thousand. The keys are fixed, so a
# failure means that the distribution changed.
SIGNIFICANCE = 1e-4


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-80, 0, shape).astype(np.float32)


def frequency_stripes(key, bins: int, policy: SpecAugmentPolicy) -> np.ndarray:
    masked = spec_augment_mask(key, np.ones((DRAWS, 1), bool), bins, policy)
    return np.asarray(masked)[:, 0, :]


def time_stripes(key, valid_frames: int, policy: SpecAugmentPolicy, frames: int = 0) -> np.ndarray:
    """Returns the masked frames of padded utterances with the same number of valid frames."""
    mask = np.arange(max(frames, valid_frames)) < valid_frames
    masked = spec_augment_mask(key, np.broadcast_to(mask, (DRAWS, mask.size)), 1, policy)
    return np.asarray(masked)[:, :, 0]


def assert_uniform(values: np.ndarray, largest: int) -> None:
    """Tests integers against the uniform distribution on {0, ..., largest} (chi-square)."""
    counts = np.bincount(values, minlength=largest + 1)
    assert counts.size == largest + 1
    assert counts.min() > 0
    if largest:
        assert scipy.stats.chisquare(counts).pvalue > SIGNIFICANCE


def assert_one_uniform_stripe(stripes: np.ndarray, widest: int) -> None:
    """Tests that widths are uniform on {0, ..., widest}, and starts on all valid positions."""
    width, start = stripes.sum(axis=1), stripes.argmax(axis=1)
    contiguous = np.arange(stripes.shape[1])
    contiguous = (contiguous >= start[:, None]) & (contiguous < (start + width)[:, None])
    np.testing.assert_array_equal(stripes, contiguous)
    assert_uniform(width, widest)
    for each in range(1, widest + 1):
        assert_uniform(start[width == each], stripes.shape[1] - each)


# --- Distribution --------------------------------------------------------------------------------


@pytest.mark.parametrize(("widest", "bins"), [(15, 64), (27, 40), (5, 5), (0, 3)])
def test_one_frequency_mask_is_uniform(key, widest, bins):
    policy = SpecAugmentPolicy(widest, 0, 0.0, frequency_masks=1, time_masks=0)
    assert_one_uniform_stripe(frequency_stripes(key, bins, policy), widest)


@pytest.mark.parametrize(
    ("valid_frames", "limit", "fraction", "widest"),
    [
        (60, 70, 0.2, 12),  # p T binds
        (60, 8, 0.2, 8),  # W binds
        (1, 70, 0.2, 0),
        (4, 70, 0.2, 0),
        (5, 70, 0.2, 1),
        (9, 70, 0.2, 1),
        (10, 70, 0.7, 7),  # 0.7 is less than seven tenths in binary
        (3, 70, 1.0, 3),
    ],
)
def test_one_time_mask_is_uniform_on_the_valid_frames(key, valid_frames, limit, fraction, widest):
    policy = SpecAugmentPolicy(0, limit, fraction, frequency_masks=0, time_masks=1)
    stripes = time_stripes(key, valid_frames, policy, frames=valid_frames + 7)
    assert not stripes[:, valid_frames:].any()
    assert_one_uniform_stripe(stripes[:, :valid_frames], widest)


@pytest.mark.parametrize("axis", ["frequency", "time"])
def test_patterns_of_two_masks_have_their_exact_probabilities(key, axis):
    if axis == "frequency":
        stripes = frequency_stripes(key, 7, SpecAugmentPolicy(3, 0, 0.0, 2, 0))
    else:
        stripes = time_stripes(key, 7, SpecAugmentPolicy(0, 3, 1.0, 0, 2))
    expected = reference.stripe_patterns(7, 3, 2)
    counts = collections.Counter(map(tuple, stripes.tolist()))
    assert set(counts) == set(expected)
    observed = [counts[pattern] for pattern in expected]
    test = scipy.stats.chisquare(observed, np.array(list(expected.values())) * DRAWS)
    assert test.pvalue > SIGNIFICANCE


@pytest.mark.parametrize("widest", [0, 1, 4])
def test_time_fraction_of_every_length(widest):
    """Compares floor(p T) for every T with integer division."""
    frames = 60
    mask = np.arange(frames) < np.repeat(np.arange(frames + 1), 2000)[:, None]
    policy = SpecAugmentPolicy(0, frames, widest / 5, 0, 1)
    masked = spec_augment_mask(jax.random.key(1), mask, 1, policy)[..., 0]
    longest = np.asarray(masked.sum(axis=-1)).reshape(frames + 1, 2000).max(axis=1)
    np.testing.assert_array_equal(longest, np.arange(frames + 1) * widest // 5)


def test_masks_of_many_keys_are_uniform():
    """Step keys are folded from one key, so draws must be uniform over keys too."""
    policy = SpecAugmentPolicy(9, 0, 0.0, 1, 0)
    keys = jax.random.split(jax.random.key(3), 20_000)
    masked = jax.jit(jax.vmap(lambda key: spec_augment_mask(key, np.ones(1, bool), 12, policy)))
    assert_uniform(np.asarray(masked(keys)).sum(axis=(1, 2)), 9)


@pytest.mark.parametrize(
    ("name", "frequency", "time"), [("conservative", 15, 50), ("aggressive", 27, 70)]
)
def test_named_policies_equal_the_papers(key, name, frequency, time):
    """Padi et al. (2021), Table 1, and the masks that follow from it."""
    policy = augment.POLICIES[name]
    assert dataclasses.astuple(policy) == (frequency, time, 0.2, 2, 2)
    masked = np.asarray(spec_augment_mask(key, np.ones((3000, 400), bool), 64, name))
    in_band, in_span = masked.all(axis=1), masked.all(axis=2)
    np.testing.assert_array_equal(masked, in_band[:, None, :] | in_span[:, :, None])
    assert 2 * frequency * 0.9 < in_band.sum(axis=1).max() <= 2 * frequency
    assert 2 * time * 0.9 < in_span.sum(axis=1).max() <= 2 * time


# --- Result --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", ["mean", "min", -80.0])
def test_only_masked_values_change_and_become_the_fill(key, fill):
    spectrogram = noise(2, 3, 50, 40)
    valid_frames = np.array([[50, 49, 30], [10, 5, 1]])
    mask = np.arange(50) < valid_frames[..., None]

    result = np.asarray(spec_augment(key, spectrogram, "aggressive", mask=mask, fill=fill))

    masked = np.asarray(spec_augment_mask(key, mask, 40, "aggressive"))
    assert masked.any()
    assert not masked[~mask].any()
    np.testing.assert_array_equal(result[~masked], spectrogram[~masked])
    for index in np.ndindex(2, 3):
        valid = spectrogram[index][: valid_frames[index]].astype(np.float64)
        expected = {"mean": valid.mean(), "min": valid.min()}.get(fill, fill)
        np.testing.assert_allclose(result[index][masked[index]], expected, rtol=1e-6)


def test_padding_does_not_influence_valid_frames(key):
    spectrogram = noise(4, 100, 40)
    mask = np.arange(100) < np.array([[60], [60], [31], [2]])
    padded = spec_augment(key, spectrogram, mask=mask)
    unpadded = spec_augment(key, spectrogram[:, :60], mask=mask[:, :60])
    np.testing.assert_allclose(padded[:, :60], unpadded, rtol=1e-6)
    np.testing.assert_array_equal(padded[:, 60:], spectrogram[:, 60:])


def test_valid_frames_need_not_come_first(key):
    """Gaps in the mask are skipped: valid frames are masked as without the gaps."""
    mask = np.random.default_rng(0).random((500, 40)) < 0.6
    policy = SpecAugmentPolicy(0, 20, 0.5, 0, 1)
    gaps = np.asarray(spec_augment_mask(key, mask, 1, policy))[..., 0]
    first = np.arange(40) < mask.sum(axis=1)[:, None]
    prefix = np.asarray(spec_augment_mask(key, first, 1, policy))[..., 0]
    assert gaps.any()
    for with_gaps, without, valid in zip(gaps, prefix, mask, strict=True):
        np.testing.assert_array_equal(with_gaps[valid], without[: valid.sum()])
        assert not with_gaps[~valid].any()


def test_results_depend_on_the_key_and_examples_are_independent(key):
    spectrogram = np.broadcast_to(noise(60, 40), (8, 60, 40))
    result = np.asarray(spec_augment(key, spectrogram))
    assert len({example.tobytes() for example in result}) == 8
    np.testing.assert_array_equal(result, spec_augment(key, spectrogram))
    assert (result != np.asarray(spec_augment(jax.random.key(1), spectrogram))).any()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_jitted_equals_eager(key, dtype):
    spectrogram = jnp.asarray(noise(3, 60, 40), dtype)
    mask = np.arange(60) < np.array([[60], [20], [0]])
    jitted = jax.jit(spec_augment, static_argnames=("policy", "fill"))
    for policy in ("none", "aggressive", SpecAugmentPolicy(40, 60, 1.0, 3, 1)):
        eager = spec_augment(key, spectrogram, policy, mask=mask)
        assert eager.dtype == dtype
        compiled = jitted(key, spectrogram, policy=policy, mask=mask)
        np.testing.assert_allclose(
            compiled.astype(jnp.float32), eager.astype(jnp.float32), rtol=1e-6
        )


def test_float64_is_preserved(key):
    with jax.enable_x64(True):
        spectrogram = jnp.asarray(noise(60, 40), jnp.float64)
        assert spec_augment(key, spectrogram).dtype == jnp.float64


def test_policy_none_changes_nothing(key):
    spectrogram = noise(3, 20, 4)
    np.testing.assert_array_equal(spec_augment(key, spectrogram, "none"), spectrogram)


@pytest.mark.parametrize("frames", [1, 0])
def test_examples_of_one_or_no_valid_frame_stay_finite(key, frames):
    mask = np.broadcast_to(np.arange(3) < frames, (200, 3))
    result = np.asarray(spec_augment(key, noise(200, 3, 16), mask=mask))
    assert np.isfinite(result).all()
    single = spec_augment(key, noise(1, 16))
    assert single.shape == (1, 16)


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "agressive"}, "'agressive': did you mean 'aggressive'"),
        ({"policy": "strong"}, "known are none, conservative, aggressive"),
        ({"policy": "aggressive"}, "must not exceed the 20 bins of the spectrogram, found 27"),
        ({"fill": "median"}, 'fill must be "mean", "min" or a number, found \'median\''),
        ({"mask": np.ones((2, 30))}, r"mask must be bool of shape \(2, 30\), found float32"),
        ({"mask": np.ones((30,), bool)}, r"found bool of shape \(30,\)"),
        ({"spectrogram": noise(30)}, r"spectrogram must be floating .* shape \(30,\)"),
        ({"spectrogram": np.ones((3, 4), np.int32)}, "spectrogram must be floating .* int32"),
    ],
)
def test_bad_arguments(key, arguments, message):
    with without_type_checks(), pytest.raises(InputError, match=message):
        spec_augment(key, **{"spectrogram": noise(2, 30, 20), **arguments})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((-1, 50, 0.2), "frequency_width must not be negative, found -1"),
        ((15, 50, 1.5), "time_fraction must not exceed 1, found 1.5"),
        ((15, 50, float("nan")), "time_fraction must not be negative, found nan"),
    ],
)
def test_bad_policies(values, message):
    with without_type_checks(), pytest.raises(InputError, match=message):
        SpecAugmentPolicy(*values)
