"""Tests of augmentation presets, and of augmentation inside the compiled training step."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax import augment, training
from serjax.data import batches
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.training import create_state, make_train_step
from serjax.training.build import abstract_variables, build_model
from serjax.training.checks import check_config
from serjax.training.config.resolve import front_end_of, resolve
from serjax.training.step import make_evaluation_step

FRONT_END = dataclasses.replace(
    front_ends.GUIZZO_REAL, frames=64, bins=32, segment_seconds=0.5, silence="remove"
)


class Linear(nn.Module):
    """A model of one product, which is compiled fast."""

    @nn.compact
    def __call__(self, x, *, train=False, mask=None):
        flat = x.reshape(x.shape[0], -1)
        weight = self.param("weight", nn.initializers.normal(), (flat.shape[1], 3))
        return flat @ weight, {}


def waveforms(count: int = 4, samples: int = 6_000) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    tones = np.sin(np.arange(samples) * rng.uniform(0.05, 0.5, (count, 1)))
    return list((0.3 * tones + 0.01 * rng.normal(size=tones.shape)).astype(np.float32))


def trained_weight(augmentation: str, seed: int = 0, front_end=FRONT_END, steps: int = 1):
    """The weight after some steps, and the number of compiled programs."""
    size = front_end.segment_samples
    examples = jax.device_put(batches.pack(waveforms(), [0, 1, 2, 0], size, room=size))
    model, optimizer = Linear(), optax.sgd(0.1)
    step = make_train_step(
        model, front_end, optimizer, jax.random.key(seed), 3, augmentation=augmentation
    )
    state = create_state(model, optimizer, jax.random.key(9), (1, *front_end.input_shape))
    for _ in range(steps):
        state, result = step(state, examples, jnp.array([0, 1, 2, -1], jnp.int32))
        assert result.input_finite
    return np.asarray(state.params["weight"]), step._cache_size()


# --- Presets -----------------------------------------------------------------------------------


def test_presets_by_name():
    waveforms = ("shift", "speed", "noise")
    images = ("rotation", "flip", "elastic", "brightness", "contrast")
    single = {*waveforms, *images}
    assert set(augment.PRESETS) == {*augment.POLICIES, "tiwari", "waveform", *single}
    assert augment.preset("+".join(waveforms)) == augment.PRESETS["waveform"]
    assert augment.preset("+".join((*waveforms, *images))) == augment.PRESETS["tiwari"]
    assert augment.PRESETS["none"] == augment.Augmentation()


def test_presets_are_joined_in_order():
    tiwari, waveform = (augment.preset(name) for name in ("tiwari", "waveform"))
    masks = augment.PRESETS["aggressive"].spectrogram_transforms
    joined = augment.preset("waveform+aggressive")
    assert joined == augment.Augmentation(waveform.waveform_transforms, masks)
    joined = augment.preset("aggressive+tiwari")
    assert joined == augment.Augmentation(
        tiwari.waveform_transforms, (*masks, *tiwari.spectrogram_transforms)
    )
    assert augment.preset("none+tiwari") == tiwari
    assert waveform.waveform_transforms == tiwari.waveform_transforms
    assert waveform.spectrogram_transforms == ()


def test_a_policy_is_a_preset(key):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 50, 40)), jnp.float32)
    mask = jnp.arange(50)[None] < jnp.array([[50], [20]])
    result = augment.PRESETS["aggressive"].apply_to_spectrogram(key, x, mask)
    keys = jax.random.fold_in(key, 0)
    np.testing.assert_array_equal(result, augment.spec_augment(keys, x, "aggressive", mask=mask))
    assert (np.asarray(result) != np.asarray(x)).any()


def test_transforms_are_applied_in_order_with_their_own_keys(key):
    seen = []

    def change(name, key, x, *rest, mask=None):
        seen.append((name, jax.random.key_data(key).tolist()))
        return (x + len(seen), rest[0] - 1) if rest else x * 2

    own = augment.Augmentation(
        waveform_transforms=(functools.partial(change, "a"), functools.partial(change, "b")),
        spectrogram_transforms=(functools.partial(change, "c"), functools.partial(change, "d")),
    )
    waveform, lengths = own.apply_to_waveform(key, jnp.zeros(3), jnp.array(3))
    assert (waveform.tolist(), int(lengths)) == ([3.0, 3.0, 3.0], 1)
    assert own.apply_to_spectrogram(key, jnp.ones((1, 1)), jnp.ones(1, bool)).tolist() == [[4.0]]
    assert [name for name, _ in seen] == ["a", "b", "c", "d"]
    assert seen[0][1] != seen[1][1]


# --- In training ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _standard(standard_promotion):
    """Optax promotes implicitly."""


@pytest.mark.parametrize("name", ["conservative", "tiwari"])
def test_training_augments_by_its_key_in_one_program(name):
    plain, _ = trained_weight("none", steps=2)
    one, programs = trained_weight(name, steps=2)
    same, _ = trained_weight(name, steps=2)
    other, _ = trained_weight(name, seed=1, steps=2)
    assert programs == 1
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - plain).max() > 1e-4
    assert np.abs(one - other).max() > 1e-4


def test_images_are_augmented_before_they_are_coloured():
    """A flipped, rotated image still has the colours of the map: the step trains on such input."""
    coloured = dataclasses.replace(FRONT_END, colormap="viridis", image_size=(20, 24))
    weight, programs = trained_weight("tiwari", front_end=coloured)
    assert weight.shape == (20 * 24 * 3, 3)
    assert programs == 1
    assert np.isfinite(weight).all()


def test_without_augmentation_the_input_is_that_of_evaluation():
    """One step of gradient descent on the output of the front end, computed without the step."""
    size = FRONT_END.segment_samples
    x = np.zeros((4, size), np.float32)
    for row, waveform in zip(x, waveforms(), strict=True):
        row[:6_000] = batches.amplified(waveform)[0] / 32768
    x, _ = FRONT_END(jnp.asarray(x), jnp.full(4, 6_000, jnp.int32))
    flat = x.reshape(4, -1)[:3]
    state = create_state(Linear(), optax.sgd(0.1), jax.random.key(9), (1, *FRONT_END.input_shape))
    before = np.asarray(state.params["weight"], np.float64)
    flat = np.asarray(flat, np.float64)
    scores = np.exp(flat @ before)
    error = scores / scores.sum(axis=1, keepdims=True) - np.eye(3)
    expected = before - 0.1 * flat.T @ error / 3
    weight, _ = trained_weight("none")
    np.testing.assert_allclose(weight, expected, atol=1e-5)

    examples = batches.pack(waveforms(), [0, 1, 2, 0], size, room=size)
    probabilities = make_evaluation_step(Linear(), FRONT_END)(
        {"params": {"weight": before.astype(np.float32)}},
        examples.samples,
        examples.start,
        examples.length,
        size,
    )
    softmax = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities[:3], softmax, atol=1e-4)


# --- Configuration -------------------------------------------------------------------------------


def test_silence_is_kept_by_default():
    treatments = [
        resolve(training.RunConfig.make(model="dscnn", silence=silence)).model.silence
        for silence in (None, "keep", "remove")
    ]
    assert treatments == ["keep", "keep", "remove"]


def test_the_front_end_follows_the_configuration():
    def front_end(**fields):
        return front_end_of(training.RunConfig.make(model="dscnn", **fields))

    assert front_end() == front_ends.DEEPIKA
    assert front_end(fit="pad") == dataclasses.replace(front_ends.DEEPIKA, fit="pad")
    assert front_end(sample_rate=20_000) == front_ends.DEEPIKA.at_sample_rate(20_000)
    resolved = resolve(training.RunConfig.make(model="dscnn", sample_rate=20_000)).model
    assert (resolved.fit, resolved.sample_rate) == ("resize", 20_000)


def test_the_input_follows_the_configuration():
    config = training.RunConfig.make(model="resnet50", colormap="jet", image_size=(224, 224))
    assert front_end_of(config).input_shape == (224, 224, 3)
    model = build_model(config, 4)
    like = abstract_variables(model, front_end_of(config))
    assert like["params"]["stem_conv"]["kernel"].shape == (7, 7, 3, 64)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"augment": "tiwary"}, "unknown augmentation 'tiwary': did you mean 'tiwari'"),
        ({"augment": "waveform+"}, "unknown augmentation '': known are none, conservative"),
        ({"silence": "drop"}, "unknown silence treatment 'drop'"),
        ({"model": "dscnn", "fit": "crop"}, "unknown fit 'crop': known are pad, resize"),
        ({"model": "resnet34_stats", "fit": "resize"}, "fit: expected pad"),
        ({"augment_copies": 2}, "augmentation.copies: expected 0 without augmentation, found 2"),
        ({"fresh": ("head",)}, "model.fresh: expected none without init, found head"),
        ({"model": "resnet34_stats", "image_size": (9, 9)}, "any number of frames"),
    ],
)
def test_bad_configuration(fields, message):
    with pytest.raises(InputError, match=message):
        check_config(training.RunConfig.make(**fields))
