import importlib.util

import jax
import numpy as np

from benchmarks import features
from tests.helpers.benchmark_runs import read_rows

NAMES = ("STFT", "log-mel", "MFCC", "SpecAugment")
INSTALLED = {
    form
    for form, name in (("librosa", "librosa"), ("PyTorch", "torch"))
    if importlib.util.find_spec(name) is not None
}
ARGUMENTS = ("--suite", "features", "--quick", "--baselines", "--rounds", 2)


def test_features_are_measured_with_their_baselines(command, monkeypatch, peaks, tmp_path):
    monkeypatch.setattr(features, "_QUICK_BATCHES", (2,))
    assert command(*ARGUMENTS, "--out", tmp_path) == 0
    rows = read_rows(tmp_path / f"features-{jax.default_backend()}-float32.json")
    forms = {name: {row["form"] for row in rows if row["feature"] == name} for name in NAMES}
    assert forms["SpecAugment"] == {"serjax"}
    assert forms["STFT"] == forms["log-mel"] == forms["MFCC"] >= {"serjax", *INSTALLED}
    for row in rows:
        seconds = np.asarray(row["ms_samples"]) / 1e3
        np.testing.assert_allclose(row["hours_per_s_samples"], 2 * 4 / 3600 / seconds)
        # Bytes read and written: 2 x 64000 samples, and 2 x 401 frames of 201 complex values.
        if (row["feature"], row["form"]) == ("STFT", "serjax"):
            nbytes = 2 * 4 * (64_000 + 401 * 201 * 2)
            fractions = nbytes / seconds / peaks.copy
            np.testing.assert_allclose(row["bandwidth_fraction_samples"], fractions)


def test_a_wrong_baseline_is_rejected_before_it_is_timed(command, monkeypatch, tmp_path):
    calls = []

    def planted(feature, waveforms):
        function = features._functions()[feature]

        def wrong():
            calls.append(feature)
            return 1.01 * np.asarray(function(waveforms))

        return waveforms, wrong

    monkeypatch.setattr(features, "_QUICK_BATCHES", (2,))
    monkeypatch.setattr(features, "_BASELINES", {"planted": planted})
    assert command(*ARGUMENTS, "--out", tmp_path) == 0
    rows = read_rows(tmp_path / f"features-{jax.default_backend()}-float32.json")
    assert {row["form"] for row in rows} == {"serjax"}
    assert calls == ["STFT", "log-mel", "MFCC"]  # one call each, for the check
