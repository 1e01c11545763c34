"""Mel filter banks against their definitions and librosa."""

import warnings

import librosa
import numpy as np
import pytest

from serjax import features
from tests.helpers import reference
from tests.helpers.librosa_features import noise


@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", None])
@pytest.mark.parametrize(
    ("sample_rate", "fft_size", "mel_bins", "min_hz", "max_hz"),
    [(16_000, 400, 40, 0.0, None), (16_000, 511, 64, 20.0, 7600.0), (44_100, 2048, 128, 0.0, None)],
)
def test_filter_bank_equals_librosa_and_its_definition(
    sample_rate, fft_size, mel_bins, min_hz, max_hz, mel_scale, norm
):
    expected = librosa.filters.mel(
        sr=sample_rate, n_fft=fft_size, n_mels=mel_bins, fmin=min_hz, fmax=max_hz,
        htk=mel_scale == "htk", norm=norm,
    ).T  # fmt: skip
    actual = features.mel_filterbank(
        sample_rate, fft_size, mel_bins, min_hz, max_hz, mel_scale=mel_scale, norm=norm
    )
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-9)
    max_hz = sample_rate / 2 if max_hz is None else max_hz
    definition = reference.mel_filters(
        sample_rate, fft_size, mel_bins, min_hz, max_hz, mel_scale, norm
    )
    np.testing.assert_allclose(actual, definition, rtol=1e-5, atol=1e-9)


def test_empty_filters_raise_a_warning_and_the_defaults_have_none():
    with pytest.warns(UserWarning, match=r"\d+ of 128 mel filters lie between two Fourier bins"):
        features.mel_filterbank(16_000, 256, 128)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features.mel_spectrogram(noise(1600))
