"""What tests of networks share: random inputs and variables, made without compiling."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def variable_shapes(model, x_shape):
    """Shapes and dtypes of a network's variables; nothing is computed or allocated."""
    x = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), x)


def shapes(variables):
    return jax.tree.map(jnp.shape, variables)


def count(variables) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))


def random_variables(model, x_shape, seed=0):
    """Variables drawn with NumPy, which needs no compilation.

    Kernels keep the variance of rectified signals; nothing that a mask or an order could miss
    stays at 0 or 1: biases, scales and running statistics are all different.
    """
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        name = path[-1].key
        values = rng.normal(size=leaf.shape)
        if name == "kernel":
            # A quaternion's four components come first and count as inputs.
            values *= np.sqrt(2 / (math.prod(leaf.shape) / leaf.shape[-1]))
        elif name == "rule":
            values /= np.sqrt(len(values))
        elif name in ("scale", "var"):
            values = 1 + 0.2 * np.abs(values)
        elif name == "negative_slope":
            values = np.full(leaf.shape, 0.25)
        else:
            values *= 0.1
        return jnp.asarray(values, leaf.dtype)

    return jax.tree.map_with_path(draw, variable_shapes(model, x_shape))


def assert_close(actual, expected, tolerance=1e-4):
    """Within a part of the largest value; logits near zero are sums of larger terms."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def torch_state(num_classes=5):
    """A ResNet of two stages with one block each, named and shaped as torchvision would."""
    shapes = {"conv1.weight": (8, 3, 7, 7), "layer2.0.downsample.0.weight": (16, 8, 1, 1)}
    shapes |= {"fc.weight": (num_classes, 16), "fc.bias": (num_classes,)}
    norms = {"bn1": 8, "layer2.0.downsample.1": 16}
    for stage, (inputs, outputs) in enumerate(((8, 8), (8, 16)), start=1):
        shapes[f"layer{stage}.0.conv1.weight"] = (outputs, inputs, 3, 3)
        shapes[f"layer{stage}.0.conv2.weight"] = (outputs, outputs, 3, 3)
        norms |= {f"layer{stage}.0.bn{index}": outputs for index in (1, 2)}
    for name, channels in norms.items():
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{leaf}"] = (channels,)
    rng = np.random.default_rng(0)
    state = {name: rng.uniform(0.1, 0.5, shape).astype("f") for name, shape in shapes.items()}
    return state | {f"{name}.num_batches_tracked": np.array(3) for name in norms}
