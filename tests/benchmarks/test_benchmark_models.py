import jax
import numpy as np
import pytest

from benchmarks import models as suite
from serjax import models
from tests.helpers.benchmark_runs import read_rows


@pytest.mark.slow
def test_networks_are_measured_side_by_side(command, monkeypatch, standard_promotion, tmp_path):
    monkeypatch.setattr(suite, "_sizes", lambda name, quick: ((1, 2), 2))
    arguments = ("--suite", "models", "--models", "quat_dscnn,dscnn", "--rounds", 2)
    assert command(*arguments, "--out", tmp_path) == 0
    real, quaternion = read_rows(tmp_path / f"models-{jax.default_backend()}-float32.json")
    assert (real["model"], real["form"]) == ("dscnn", "real")
    assert quaternion["form"] == "quaternion"
    for row, name in ((real, "dscnn"), (quaternion, "quat_dscnn")):
        assert row["parameters"] == models.describe(name, 4).parameters
        assert row["checkpoint_mib"] * 2**20 >= 4 * row["parameters"]
        assert row["best_batch"] in (1, 2)
        # A step needs weights and both of Adam's moments, and as much again for the new ones.
        assert row["memory_mib"] * 2**20 > 3 * 4 * row["parameters"]
        ratio = np.asarray(row["step_ms_samples"]) / real["step_ms_samples"]
        np.testing.assert_allclose(row["step_vs_real_samples"], ratio)
    ratio = quaternion["memory_mib"] / real["memory_mib"]
    assert quaternion["memory_vs_real"] == pytest.approx(ratio)
    assert quaternion["memory_vs_real"] < 0.5
