"""Random inputs and variables of networks, made without compiling, and small run folders."""

import dataclasses
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from serjax import models
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.state import TrainState


def normal(seed: int, *shape: int) -> np.ndarray:
    """Samples a float32 array from the standard normal distribution."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def variable_shapes(model, x_shape):
    """Returns the shapes and dtypes of a network's variables; nothing is computed or allocated."""
    x = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), x)


def shapes(variables):
    """Returns the shapes of a tree of arrays."""
    return jax.tree.map(jnp.shape, variables)


def count(variables) -> int:
    """Counts the values of a tree of arrays."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))


def random_variables(model, x_shape, seed=0):
    """Samples variables with NumPy, which needs no compilation.

    Kernels preserve the variance of rectified signals. Biases, scales and running statistics all
    differ from each other, so that no value is 0 or 1 and hides a wrong mask or order.
    """
    rng = np.random.default_rng(seed)

    def sample(path, leaf):
        name = path[-1].key
        values = rng.normal(size=leaf.shape)
        if name == "kernel":
            # The four components of a quaternion are the first axis and count as inputs.
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

    return jax.tree.map_with_path(sample, variable_shapes(model, x_shape))


def assert_close(actual, expected, tolerance=1e-4):
    """Compares with a tolerance relative to the largest value.

    Logits near zero are sums of larger terms.
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def torch_state(num_classes=5):
    """Returns a ResNet of two stages with one block each, with torchvision's names and shapes."""
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


def write_trained_run(folder, name, classes, options=None, step=7, **config):
    """Writes the files of a finished run that its weights are loaded from.

    Args:
        folder: Run folder.
        name: Name of the model.
        classes: Names of the classes.
        options: Fields of the network.
        step: Step of the best checkpoint.
        **config: Further entries of `config.json`.

    Returns:
        Variables of the best checkpoint.
    """
    folder = Path(folder)
    front_end = models.front_end(name)
    network = models.create(name, len(classes), **(options or {}))
    variables = {"batch_stats": {}, **random_variables(network, (1, *front_end.input_shape))}
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "model": {"name": name, "options": options or {}, "dtype": "float32"},
        "classes": list(classes),
        "resolved_front_end": dataclasses.asdict(front_end),
        **config,
    }
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "metrics.json").write_text(json.dumps({"best_step": step}))
    state = TrainState(jnp.int32(step), variables["params"], variables["batch_stats"], ())
    Checkpoints(folder / "checkpoints").save_best(state)
    return variables
