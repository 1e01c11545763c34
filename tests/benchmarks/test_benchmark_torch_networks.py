import jax
import pytest

from benchmarks import models
from tests.helpers.benchmark_runs import read_rows


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet", "resnet18", "alexnet", "vgg16"])
def test_networks_of_torchvision_agree_with_serjax(
    command, monkeypatch, standard_promotion, torchvision, tmp_path, name
):
    monkeypatch.setattr(models, "_sizes", lambda name, quick: ((1,), 2))
    arguments = ("--suite", "models", "--models", name, "--rounds", 1, "--baselines")
    assert command(*arguments, "--out", tmp_path) == 0
    rows = read_rows(tmp_path / f"models-{jax.default_backend()}-float32.json")
    assert {row["form"] for row in rows} >= {"real", "PyTorch"}
