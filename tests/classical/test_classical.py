"""Descriptors against librosa, RDA against scikit-learn and the paper's equations."""

import jax
import librosa
import numpy as np
import pytest
from scipy import stats
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)

from serjax import classical
from serjax.classical import RegularizedDiscriminantAnalysis
from serjax.data import batches
from serjax.errors import InputError

FRAMING = {"n_fft": 512, "hop_length": 160, "win_length": 400}


def speechlike(seconds: float, seed: int = 0) -> np.ndarray:
    """Returns a buzz of gliding pitch and changing loudness, with some noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(16000 * seconds)) / 16000
    phase = 2 * np.pi * (120 * time + 40 * np.sin(3 * time))
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    loudness = 0.05 + 0.1 * np.sin(5 * time) ** 2
    noise = 0.01 * generator.standard_normal(len(time))
    return (loudness * buzz + noise).astype(np.float32)


def by_librosa(waveform: np.ndarray) -> np.ndarray:
    """Returns the descriptors from librosa's features and NumPy's statistics."""
    magnitude = np.abs(librosa.stft(waveform, **FRAMING, pad_mode="constant"))
    of = {"S": magnitude, "sr": 16000}
    tracks = np.concatenate(
        [
            librosa.feature.mfcc(
                y=waveform, sr=16000, n_mfcc=20, n_mels=40, pad_mode="constant", **FRAMING
            ),
            librosa.feature.spectral_centroid(**of),
            librosa.feature.spectral_bandwidth(**of),
            librosa.feature.spectral_rolloff(**of, roll_percent=0.85),
            librosa.feature.spectral_flatness(S=magnitude),
            librosa.power_to_db(
                np.maximum(magnitude**2, 1e-10).mean(axis=0, keepdims=True), top_db=None
            ),
        ]
    )
    steps = np.diff(tracks, axis=1)
    return np.concatenate(
        [
            *(tracks.mean(1), tracks.std(1), tracks.min(1), tracks.max(1)),
            *(steps.mean(1), steps.std(1)),
        ]
    )


def test_descriptors_equal_librosas_in_a_padded_batch():
    waveforms = [speechlike(1.0), speechlike(0.6, 1), speechlike(0.04, 2)]
    lengths = np.array([len(w) for w in waveforms], np.int32)
    padded = np.full((3, 16000), 0.5, np.float32)  # arbitrary padding
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = waveform
    expected = np.stack([by_librosa(waveform) for waveform in waveforms])
    for function in (classical.descriptors, jax.jit(classical.descriptors)):
        result = np.asarray(function(padded, lengths))
        assert result.shape == (3, 150)
        # A bin is 31 Hz: where the sum passes 85 % between rounding errors, roll-off may differ.
        scale = np.maximum(np.abs(expected), 1.0)
        assert np.mean(np.abs(result - expected) / scale < 1e-3) > 0.98


def test_descriptors_of_silence_are_finite():
    result = classical.descriptors(np.zeros((2, 1600), np.float32), np.array([1600, 400], np.int32))
    assert np.all(np.isfinite(result))


def test_describe_does_not_depend_on_the_batch_size():
    waveforms = [speechlike(s, i) for i, s in enumerate((0.3, 2.5, 0.4, 4.1, 0.2))]
    examples = batches.pack(waveforms, [0] * 5, 480000, room=480000)
    one, three = (classical.describe(examples, batch_size=size) for size in (1, 3))
    np.testing.assert_allclose(one, three, rtol=1e-4, atol=1e-3)
    single = batches.pack(waveforms[1:2], [0], 480000, room=480000)
    np.testing.assert_allclose(classical.describe(single)[0], one[1], rtol=1e-4, atol=1e-3)


def test_level_shifts_the_descriptors_of_the_level_only():
    """The floor of a logarithm is as far below a quiet recording as below a loud one."""
    waveform = np.concatenate([speechlike(0.5), np.zeros(4_000, np.float32)])
    waveforms = [waveform, waveform * np.float32(2.0**-12), waveform * np.float32(2.0**-12) + 0.01]
    examples = batches.pack(waveforms, [0] * 3, 480000, room=480000)
    loud, quiet, shifted = classical.describe(examples).reshape(3, 6, 25)
    difference = loud - quiet
    gain_db = 12 * 20 * np.log10(2)
    for statistic in range(6):
        is_level = statistic in (0, 2, 3)
        expected = np.zeros(25)
        expected[[0, -1]] = [gain_db * np.sqrt(40), gain_db] if is_level else 0
        np.testing.assert_allclose(difference[statistic], expected, atol=2e-2)
    np.testing.assert_allclose(shifted[0, 1:20], quiet[0, 1:20], atol=1)


@pytest.fixture
def gaussians() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three classes of 4-dimensional Gaussians of different covariance and size, and new points."""
    generator = np.random.default_rng(0)
    mixing = generator.standard_normal((3, 4, 4))
    y = np.repeat([0, 1, 2], [40, 25, 60])
    x = np.stack([generator.standard_normal(4) @ mixing[k] + 0.7 * k for k in y])
    return x, y, generator.standard_normal((30, 4))


def test_rda_without_pooling_is_quadratic_discriminant_analysis(gaussians):
    x, y, new = gaussians
    result = RegularizedDiscriminantAnalysis(0.0, 0.0).fit(x, y).predict_proba(new)
    # scikit-learn divides the scatter by n - 1, the paper by n.
    counts = np.bincount(y)
    scores = np.stack(
        [
            stats.multivariate_normal(x[y == k].mean(0), np.cov(x[y == k].T, bias=True)).pdf(new)
            * counts[k]
            for k in range(3)
        ],
        axis=1,
    )
    np.testing.assert_allclose(result, scores / scores.sum(1, keepdims=True), atol=1e-9)
    theirs = QuadraticDiscriminantAnalysis().fit(x, y).predict_proba(new)
    np.testing.assert_allclose(result, theirs, atol=0.06)


def test_rda_with_full_pooling_is_linear_discriminant_analysis(gaussians):
    x, y, new = gaussians
    result = RegularizedDiscriminantAnalysis(1.0, 0.0).fit(x, y).predict_proba(new)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(x, y).predict_proba(new)
    np.testing.assert_allclose(result, theirs, atol=1e-9)


@pytest.mark.parametrize(("pooling", "shrinkage"), [(0.3, 0.2), (0.7, 1.0), (0.0, 0.5)])
def test_rda_follows_equations_16_and_18(gaussians, pooling, shrinkage):
    x, y, new = gaussians
    centred = [x[y == k] - x[y == k].mean(0) for k in range(3)]
    scatter = [c.T @ c for c in centred]
    scores = []
    for k in range(3):
        above = (1 - pooling) * scatter[k] + pooling * sum(scatter)
        covariance = above / ((1 - pooling) * len(centred[k]) + pooling * len(x))
        covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 4 * np.eye(4)
        density = stats.multivariate_normal(x[y == k].mean(0), covariance).pdf(new)
        scores.append(density * len(centred[k]))
    expected = np.array(scores).T / np.sum(scores, axis=0)[:, None]
    result = RegularizedDiscriminantAnalysis(pooling, shrinkage).fit(x, y).predict_proba(new)
    np.testing.assert_allclose(result, expected, atol=1e-9)


def test_rda_of_fewer_examples_than_dimensions():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((6, 20)) + np.repeat([[0.0], [3.0]], 3, axis=0)
    for pooling in (0.0, 1.0):
        for shrinkage in (0.0, 0.5):
            model = RegularizedDiscriminantAnalysis(pooling, shrinkage)
            result = model.fit(x, np.repeat([0, 1], 3)).predict_proba(x)
            assert np.all(np.isfinite(result))
            np.testing.assert_array_equal(result.argmax(1), [0, 0, 0, 1, 1, 1])
    with pytest.raises(ValueError, match=r"shrinkage must be in \[0, 1\], found 2"):
        RegularizedDiscriminantAnalysis(0.5, 2)


def classes(seed: int, size: int = 90, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Returns classes that are separate in one of four dimensions of very different scales."""
    generator = np.random.default_rng(seed)
    y = np.arange(size) % count
    x = generator.standard_normal((size, 4))
    x[:, 0] += 6 * y
    return x * 10.0 ** np.array([-3, 3, 0, 1]) + 100, y


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", ["knn", "lda", "rda", "svm"])
def test_each_model_learns_classes_of_very_different_scales(name, count):
    assert name in classical.names()
    (x, y), (held_out, truth), (new, expected) = (classes(seed, count=count) for seed in range(3))
    result = classical.choose(name, x, y, lambda model: model(held_out), truth, count)
    probabilities = result.probabilities(new)
    assert probabilities.shape == (90, count)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert np.mean(probabilities.argmax(1) == expected) > 0.8
    right = result.probabilities(held_out).argmax(1) == truth
    assert result.validation_ua == pytest.approx(
        np.mean([right[truth == k].mean() for k in range(count)])
    )


def test_probabilities_of_an_svm_are_calibrated_on_the_validation_set():
    x, y = classes(0)
    held_out, truth = classes(1)
    result = classical.choose("svm", x, y, lambda model: model(held_out), truth, 3)
    confidence = result.probabilities(held_out).max(1)
    right = result.probabilities(held_out).argmax(1) == truth
    assert np.mean(confidence) == pytest.approx(np.mean(right), abs=0.05)


def test_test_set_is_not_used_for_selection():
    x, y = classes(0)
    held_out, truth = classes(1)
    models = []

    def validation(model):
        models.append(model)
        return model(held_out)

    result = classical.choose("knn", x, y, validation, truth, 3)
    single = classical.choose(
        "knn", x, y, lambda model: model(held_out), truth, 3, **result.hyperparameters
    )
    np.testing.assert_array_equal(result.probabilities(x), single.probabilities(x))
    assert len(models) == 6  # once for each number of neighbours


class TestErrors:
    def choose(self, name, size=90, **fixed):
        x, y = classes(0, size)
        return classical.choose(name, x, y, lambda model: model(x), y, 3, **fixed)

    def test_unknown_model(self):
        with pytest.raises(InputError, match="unknown classical model 'svn': did you mean 'svm'"):
            self.choose("svn")

    def test_unknown_option(self):
        with pytest.raises(InputError, match="unknown option of svm 'c': known are C, gamma"):
            self.choose("svm", c=1)

    @pytest.mark.parametrize(
        ("name", "option"),
        [("svm", {"C": -1}), ("rda", {"pooling": 2}), ("knn", {"n_neighbors": 99})],
    )
    def test_values_that_fit_nothing(self, name, option):
        with pytest.raises(InputError, match=f"{name} .*no values can be fitted"):
            self.choose(name, **option)
