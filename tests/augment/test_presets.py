"""Augmentations by name, and the registry of users' own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import augment
from serjax.errors import InputError
from tests.helpers.type_checks import without_type_checks


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Restores the presets after each test."""
    for name in ("zero", "negative"):
        monkeypatch.setitem(augment.PRESETS, name, augment.Augmentation())
        monkeypatch.delitem(augment.PRESETS, name)


def zero(key, waveform, lengths):
    return jnp.zeros_like(waveform), lengths


class Negative:
    """Object with the two methods, but not an `Augmentation`."""

    def apply_to_waveform(self, key, waveform, lengths):
        return -waveform, lengths

    def apply_to_spectrogram(self, key, spectrogram, mask):
        return jnp.where(mask[..., None], -spectrogram, spectrogram)


def test_an_augmentation_is_registered():
    augmentation = augment.Augmentation(waveform_transforms=(zero,))
    assert augment.register("zero")(augmentation) is augmentation
    assert augment.preset("zero") == augmentation
    joined = augment.preset("waveform+zero+conservative")
    waveform = augment.PRESETS["waveform"].waveform_transforms
    assert joined.waveform_transforms == (*waveform, zero)
    masks = augment.PRESETS["conservative"].spectrogram_transforms
    assert joined.spectrogram_transforms == masks


def test_a_function_that_makes_an_augmentation_is_registered():
    @augment.register("zero")
    def make():
        return augment.Augmentation(waveform_transforms=(zero,))

    assert augment.preset("zero").waveform_transforms == (zero,)
    assert make().waveform_transforms == (zero,)


@pytest.mark.parametrize("source", [Negative, Negative()], ids=["class", "object"])
def test_an_object_with_both_methods_is_registered(source, key):
    assert augment.register("negative")(source) is source
    waveform, lengths = jnp.ones((2, 5)), jnp.array([5, 3])
    mask = jnp.array([[True, False]])
    spectrogram = jnp.ones((1, 2, 3))
    for name in ("negative", "none+negative"):
        augmentation = augment.preset(name)
        result, new = augmentation.apply_to_waveform(key, waveform, lengths)
        np.testing.assert_array_equal(result, -waveform)
        np.testing.assert_array_equal(new, lengths)
        result = augmentation.apply_to_spectrogram(key, spectrogram, mask)
        np.testing.assert_array_equal(result[0, :, 0], [-1, 1])
    twice, _ = augment.preset("negative+negative").apply_to_waveform(key, waveform, lengths)
    np.testing.assert_array_equal(twice, waveform)


def test_unknown_names_suggest_registered_ones():
    with pytest.raises(
        InputError,
        match=r"'negativ': .*known are none, conservative, aggressive, waveform, tiwari, shift",
    ):
        augment.preset("negativ")
    augment.register("negative")(Negative)
    with pytest.raises(InputError, match=r"'negativ': did you mean 'negative'.*, negative"):
        augment.preset("waveform+negativ")


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("tiwari", Negative, "augmentation 'tiwari': expected a new name, found a registered one"),
        ("a+b", Negative, r'expected a name without "\+", found \'a\+b\''),
        ("", Negative, "expected a name without .*, found ''"),
        ("zero", lambda: 3, "expected an object with apply_to_waveform and .*, found int"),
    ],
)
def test_bad_registrations(name, source, message):
    with without_type_checks(), pytest.raises(InputError, match=message):
        augment.register(name)(source)
    assert name not in augment.PRESETS or augment.PRESETS[name].waveform_transforms


def test_transforms_have_keys_of_their_own(key):
    def add(key, waveform, lengths):
        return waveform + jax.random.normal(key, waveform.shape), lengths

    augmentation = augment.Augmentation((add, functools.partial(add)))
    result, _ = augmentation.apply_to_waveform(key, jnp.zeros((1, 4)), jnp.array([4]))
    noise = [jax.random.normal(jax.random.fold_in(key, index), (1, 4)) for index in range(2)]
    np.testing.assert_allclose(result, noise[0] + noise[1], rtol=1e-6)
