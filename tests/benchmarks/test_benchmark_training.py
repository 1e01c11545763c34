import jax
import pytest

from benchmarks import training
from tests.helpers.benchmark_runs import read_rows


@pytest.mark.slow
def test_a_training_run_is_measured_in_a_subprocess(command, monkeypatch, tmp_path):
    monkeypatch.setattr(training, "_QUICK_CORPUS", {"speakers": 6, "words": 1})
    arguments = ("--suite", "training", "--models", "dscnn", "--quick", "--rounds", 1)
    assert command(*arguments, "--out", tmp_path) == 0
    single, sharded = read_rows(tmp_path / f"training-{jax.default_backend()}-float32.json")
    assert (single["form"], sharded["form"]) == ("one device", "shard_map, 2 virtual devices")
    for row in (single, sharded):
        names = ("data", "compile", "train", "evaluate", "report")
        stages = [row[f"{name}_s"] for name in names]
        assert min(stages) > 0
        assert 0.5 * row["total_s"] < sum(stages) <= row["total_s"]
        # The loop takes longer than its steps, and the process needs at least a step's memory.
        assert 0 < row["idle_fraction"] < 1
        assert row["process_mib"] > row["step_mib"] > 0
        assert 0 <= row["test_ua"] <= 1
    # The work is the same, whether counted on one device or as twice a half.
    gflop = [row["gflops"] * row["step_ms"] for row in (single, sharded)]
    assert gflop[1] == pytest.approx(gflop[0], rel=0.2)
