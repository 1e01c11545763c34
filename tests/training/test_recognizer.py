"""Recognition by the model of a run folder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax.errors import InputError
from serjax.training import Recognizer
from serjax.training.build import build_model
from serjax.training.config.resolve import front_end_of
from tests.helpers.trained_runs import CLASSES, write_trained_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    options = {"model": "dscnn", "model_options": {"hidden": 8}, "image_size": (32, 32)}
    return folder, *write_trained_run(folder, **options)


@pytest.fixture(scope="module")
def recognizer(trained):
    return Recognizer(trained[0], batch_size=3)


def test_classes_and_units(trained, recognizer):
    front_end = front_end_of(trained[1])
    assert recognizer.classes == CLASSES
    assert recognizer.sample_rate == front_end.sample_rate
    assert recognizer.min_samples == front_end.window_samples


def test_an_utterance_has_the_mean_probabilities_of_its_segments(trained, recognizer):
    _, config, variables = trained
    front_end = front_end_of(config)
    size = front_end.segment_samples
    rng = np.random.default_rng(0)
    waveforms = [rng.uniform(-0.5, 0.5, n).astype(np.float32) for n in (size // 2, 2 * size)]
    rounded = [np.rint(waveform * 32768) / 32768 for waveform in waveforms]
    padded = np.zeros((3, size), np.float32)
    padded[0, : size // 2] = rounded[0]
    padded[1:] = rounded[1].reshape(2, size)
    x, mask = front_end(jnp.asarray(padded), jnp.array([size // 2, size, size], jnp.int32))
    logits, _ = jax.jit(build_model(config, 3).apply)(variables, x, mask=mask)
    segments = np.asarray(jax.nn.softmax(logits), np.float64)
    expected = np.stack([segments[0], segments[1:].mean(0)])
    probabilities = recognizer(waveforms)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_wrong_waveforms_are_refused(recognizer):
    with pytest.raises(InputError, match=r"waveform 0: expected \[samples\].*\(2, 16000\)"):
        recognizer([np.zeros((2, 16000), np.float32)])
    good = np.zeros(16000, np.float32)
    message = f"waveform 1: expected at least {recognizer.min_samples} samples at 16000 Hz, found 9"
    with pytest.raises(InputError, match=message):
        recognizer([good, good[:9]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(recognizer, monkeypatch, value):
    good = np.zeros(16000, np.float32)
    bad = np.where(np.arange(16000) == 7, value, 0).astype(np.float32)
    with pytest.raises(InputError, match="waveform 1: expected finite samples, found NaN or inf"):
        recognizer([good, bad])
    # As of a checkpoint whose weights overflow.
    answers = np.array([[0.2, 0.3, 0.5], [0.5, value, 0.5]])
    monkeypatch.setattr(recognizer, "_evaluate", lambda *_: answers)
    with pytest.raises(InputError, match=r"run: expected finite prob.*for waveform 1; training"):
        recognizer([good, good])


def test_level_and_offset_do_not_change_the_probabilities(recognizer):
    """Rounding to 16 bits before normalization made quiet recordings silent."""
    rng = np.random.default_rng(0)
    loudness = np.abs(np.sin(np.arange(20_000) / 2_000)) + 0.01
    waveform = (0.3 * loudness * rng.standard_normal(20_000)).clip(-1, 1).astype(np.float32)
    changes = [(1e-4, 0.0), (1e-6, 0.0), (0.01, 0.3), (0.5, -0.1)]
    changed = [np.float32(level) * waveform + np.float32(offset) for level, offset in changes]
    expected, *results = recognizer([waveform, *changed])
    for result, change in zip(results, changes, strict=True):
        np.testing.assert_allclose(result, expected, atol=2e-3, err_msg=str(change))
