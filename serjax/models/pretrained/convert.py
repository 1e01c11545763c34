"""From a torchvision state dictionary to our variables, strictly."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from serjax.errors import InputError
from serjax.models.pretrained.families import Path, TorchName
from serjax.training.optimization.freeze import leaf_path
from serjax.training.state import Variables

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
    """Converts all of a state dictionary, or refuses it.

    Convolutions turn from `[out, in, rows, columns]` to `[rows, columns, in, out]`, dense layers
    from `[out, in]` to `[in, out]`. The first convolution, if it is to see one channel, is summed
    over its three: it then answers to one channel as it did to three equal ones.

    Args:
        state: Arrays by PyTorch's names; `num_batches_tracked` is passed over.
        like: Shapes and dtypes of the variables wanted.
        torch_name: From the path of a module to the name of PyTorch's.
        flattened: Of dense layers whose input is a flattened image, by path, the
            (channels, rows, columns) that PyTorch flattens.
        unused: Prefixes of further names to pass over.

    Returns:
        Variables of NumPy arrays, like `like`.

    Raises:
        InputError: Names are missing or unknown, or shapes differ; the first few are listed.
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
        # No layer but the first has one input channel: the network is real and has no groups.
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
    complaints = [
        _listed(found, what)
        for found, what in (
            (missing, "missing"),
            (unknown, "unknown"),
            (misshapen, "of another shape"),
        )
        if found
    ]
    if complaints:
        raise InputError("; ".join(complaints))
    return variables


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """PyTorch's shape of a kernel `[*window, in, out]`, or of a vector."""
    return shape if len(shape) == 1 else (shape[-1], shape[-2], *shape[:-2])


def _listed(found: Iterable[str], what: str) -> str:
    """One phrase that gives the number of names and the first few."""
    found = list(found)
    more = ", ..." if len(found) > 3 else ""
    return f"{len(found)} {what} ({', '.join(found[:3])}{more})"
