import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import models
from serjax.errors import InputError


def run(*arguments):
    command = [sys.executable, "-m", "serjax.cli", "models", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_description_matches_the_network():
    info = models.describe("dscnn", 5)
    model = models.create("dscnn", 5)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 128, 128, 1)))
    assert info.name == "dscnn"
    assert info.parameters == sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert info.input_shape == (128, 128, 1)
    assert info.paper == "Deepika & Kuchibhotla (2025)"


def test_each_multiplication_counts_as_two_operations():
    """Counts VGG16 by hand: 3 x 3 kernels, without the zeros of the padding, and dense layers."""
    rows, columns, inputs, products = 512, 128, 1, 0
    for channels, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            positions = (3 * rows - 2) * (3 * columns - 2)
            products += positions * inputs * channels
            inputs = channels
        rows, columns = rows // 2, columns // 2
    products += rows * columns * 512 * 4096 + 4096 * 4096 + 4096 * 4
    # The other operations are biases, ReLUs and maxima.
    assert models.describe("vgg16").operations == pytest.approx(2 * products, rel=0.01)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other backends use the block form")
def test_the_operations_of_quaternion_products_depend_on_their_form():
    eight, sixteen = (models.describe(name).operations for name in ("quat_vgg16", "phm4_vgg16"))
    assert 0.4 < eight / sixteen < 0.6


def test_the_command_prints_a_table_and_json():
    table = run("dscnn", "quat_dscnn")
    assert table.returncode == 0, table.stderr
    assert "4,497,076" in table.stdout
    assert "340,952" in table.stdout
    rows = json.loads(run("dscnn", "--json").stdout)
    assert [row["name"] for row in rows] == ["dscnn"]
    assert np.isclose(rows[0]["operations"], models.describe("dscnn").operations)


def test_unknown_names_are_refused_in_one_line():
    with pytest.raises(InputError, match="unknown model 'resnet_50': did you mean 'resnet50'"):
        models.describe("resnet_50")
    result = run("dscnn", "quat_vg16")
    assert result.returncode == 2
    assert "did you mean 'quat_vgg16'" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stderr) < 300
