import jax
import pytest

from benchmarks import anti_transfer_cost
from tests.helpers.benchmark_runs import read_rows


@pytest.mark.slow
def test_anti_transfer_is_measured_in_every_form(
    command, monkeypatch, standard_promotion, tmp_path
):
    monkeypatch.setattr(anti_transfer_cost, "_QUICK_LAYERS", {"dscnn": (1, 2)})
    monkeypatch.setattr(anti_transfer_cost, "_UTTERANCES", 8)
    monkeypatch.setattr(anti_transfer_cost, "_BATCH", 4)
    arguments = ("--suite", "anti_transfer", "--quick", "--rounds", 2)
    assert command(*arguments, "--out", tmp_path) == 0
    rows = read_rows(tmp_path / f"anti_transfer-{jax.default_backend()}-float32.json")
    forms = ["none", "cached", "recomputed", "batch-wide"]
    assert [row["form"] for row in rows] == 2 * forms
    channels = (16, 32)  # of the layers; half a Gram matrix is cached, one byte per element
    for layer, size in enumerate(channels):
        none, cached, *others = rows[4 * layer : 4 * layer + 4]
        assert none["time_vs_none"] == none["memory_vs_none"] == 1
        assert cached["cached_mib"] * 2**20 == 8 * size * (size + 1) / 2
        assert {row["cached_mib"] for row in (none, *others)} == {None}
