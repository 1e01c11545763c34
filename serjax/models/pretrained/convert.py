"""Strict conversion of torchvision's state dictionaries to variables."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from serjax.errors import InputError
from serjax.models.pretrained.families import TorchName
from serjax.models.variables import Path, Variables, leaf_path

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def convert(
    state: Mapping[str, np.ndarray],
    like: Variables,
    torch_name: TorchName,
    *,
    flattened: Mapping[Path, tuple[int, int, int]],
    unused: tuple[str, ...] = (),
) -> Variables:
    """Converts a complete state dictionary.

    Kernels of convolutions are transposed from `[out, in, rows, columns]` to
    `[rows, columns, in, out]`, those of dense layers from `[out, in]` to `[in, out]`. For input of
    one channel, the first convolution is summed over its three channels: its output for one channel
    is then that for three equal ones.

    Args:
        state: Arrays by PyTorch's names; `num_batches_tracked` is ignored.
        like: Shapes and dtypes of the variables to return.
        torch_name: Function from the path of a module to its name in PyTorch.
        flattened: Paths of dense layers whose input is a flattened image, with the (channels, rows,
            columns) that PyTorch flattens.
        unused: Prefixes of further names to ignore.

    Returns:
        Variables of NumPy arrays, with the structure of `like`.

    Raises:
        InputError: Names are missing or unknown, or shapes differ; the message lists the first
            few.
    """
    used: set[str] = set()
    missing: list[str] = []
    misshapen: list[str] = []

    def take(keys: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray | None:
        _, *path, kind = leaf_path(keys)
        module = tuple(path)
        name = f"{torch_name(module)}.{_LEAVES[kind]}"
        used.add(name)
        if name not in state:
            missing.append(name)
            return None
        value, expected = state[name], tuple(leaf.shape)
        # Only the first layer has one input channel: the network is real and has no groups.
        if len(expected) == 4 and expected[2] == 1 and value.ndim == 4 and value.shape[1] == 3:
            value = value.sum(axis=1, keepdims=True, dtype=np.float32)
        if value.shape != _torch_shape(expected):
            misshapen.append(f"{name}: expected {_torch_shape(expected)}, found {value.shape}")
            return None
        if module in flattened and kind == "kernel":
            image = value.reshape(len(value), *flattened[module])
            value = np.moveaxis(image, 1, -1).reshape(value.shape)
        if value.ndim > 1:
            value = np.moveaxis(value, (0, 1), (-1, -2))
        return value.astype(leaf.dtype)

    variables = jax.tree_util.tree_map_with_path(take, like)
    unknown = [
        name
        for name in state
        if name not in used
        and not name.endswith(".num_batches_tracked")
        and not name.startswith(unused)
    ]
    problems = [
        _summarize(names, problem)
        for names, problem in (
            (missing, "missing"),
            (unknown, "unknown"),
            (misshapen, "of another shape"),
        )
        if names
    ]
    if problems:
        raise InputError("; ".join(problems))
    return variables


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns PyTorch's shape of a kernel `[*kernel_size, in, out]`, or of a vector."""
    return shape if len(shape) == 1 else (shape[-1], shape[-2], *shape[:-2])


def _summarize(names: Sequence[str], problem: str) -> str:
    """Returns a phrase with the number of names and the first few."""
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} {problem} ({', '.join(names[:3])}{more})"
