import jax
import numpy as np
import pytest

from benchmarks import kernels
from serjax import quaternion
from tests.helpers.benchmark_runs import read_rows, run_script


@pytest.mark.parametrize("layer", ["dense", "conv 3 x 3", "conv transposed 3 x 3"])
def test_pytorchs_block_form_is_the_quaternion_product(layer):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    rng = np.random.default_rng(0)
    kernel_size, image_size = ((), ()) if layer == "dense" else ((3, 3), (6, 4))
    x = rng.normal(size=(2, *image_size, 8)).astype(np.float32)
    kernel = rng.normal(size=(4, *kernel_size, 2, 3)).astype(np.float32)
    function = {
        "dense": quaternion.dense,
        "conv 3 x 3": quaternion.conv,
        "conv transposed 3 x 3": lambda x, w: quaternion.conv_transpose(x, w, strides=2),
    }[layer]
    y = kernels._torch_layer(layer)(torch.from_numpy(x).movedim(-1, 1), torch.from_numpy(kernel))
    np.testing.assert_allclose(y.movedim(1, -1), function(x, kernel), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_kernels_are_measured_and_agree(tmp_path):
    result = run_script("--suite", "kernels", "--rounds", 1, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    name = f"kernels-{jax.default_backend()}-float32"
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"{name}.{kind}" for kind in ("csv", "json", "md", "png")),
        "report.html",
        "results.md",
    }
    rows = read_rows(tmp_path / f"{name}.json")
    assert {row["form"] for row in rows} == {"real", "default", "block", "eight", "stacked"}
    assert all(row["error"] < 3e-6 for row in rows if row["form"] != "real")
    for row in rows:
        assert row["ms_low"] <= row["ms"] <= row["ms_high"]
