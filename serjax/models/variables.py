"""Variables of networks: their shapes, and layers chosen by patterns of their paths."""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.tree_util import DictKey
from jaxtyping import PyTree

from serjax.errors import InputError

Variables = dict[str, Any]
"""Variables of a model by collection: "params" and "batch_stats"."""

Path = tuple[str, ...]
"""Names of the modules that lead to a module or, with its own name, to a leaf."""

_T = TypeVar("_T")


def variable_shapes(model: nn.Module, input_shape: tuple[int, ...]) -> Variables:
    """Returns the shapes and dtypes of a model's variables; nothing is computed.

    Args:
        model: Network from `serjax.models.create`.
        input_shape: Shape of the model input, `(batch, frames, bins, channels)`.

    Returns:
        `jax.ShapeDtypeStruct` leaves of "params" and "batch_stats"; the latter is empty for a
        model without running statistics.
    """
    x = jax.ShapeDtypeStruct(input_shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}


def compile_initialization(initialize: Callable[[jax.Array], _T], key: jax.Array) -> _T:
    """Calls a function that samples initial weights, compiled as one program.

    Args:
        initialize: Function from a PRNG key to a tree of arrays.
        key: PRNG key for the weights.
    """
    # It runs once: random numbers for every layer take half a minute to optimize on two CPU cores
    # and, optimized or not, half a second to sample.
    return jax.jit(initialize, compiler_options={"xla_backend_optimization_level": 1})(key)


def leaf_path(keys: Iterable[DictKey]) -> Path:
    """Returns the names that lead to a leaf of a collection of variables.

    Args:
        keys: Keys of `jax.tree_util`.
    """
    return tuple(key.key for key in keys)


def leaves_by_path(variables: PyTree) -> dict[Path, Any]:
    """Returns the leaves of a tree of dictionaries by path, such as ("params", "head", "bias")."""
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return {leaf_path(keys): leaf for keys, leaf in leaves}


def matches(pattern: str, path: Path) -> bool:
    """Returns True if a pattern matches a module or one that contains it.

    Args:
        pattern: Regular expression for the whole path of a module, its names joined by "/".
        path: Names of the modules that lead to the module.

    >>> matches("stage[12]_.*", ("stage2_block1", "conv1"))
    True
    """
    parents = ("/".join(path[: depth + 1]) for depth in range(len(path)))
    return any(re.fullmatch(pattern, parent) for parent in parents)


def check_patterns(patterns: Iterable[str], params: PyTree) -> None:
    """Checks that every pattern matches a layer.

    Args:
        patterns: Regular expressions, see `matches`.
        params: Parameters, or their shapes.

    Raises:
        InputError: A pattern is no regular expression, or matches no layer of these parameters.
    """
    layers = list(dict.fromkeys(path[:-1] for path in leaves_by_path(params)))
    for pattern in patterns:
        try:
            has_match = any(matches(pattern, layer) for layer in layers)
        except re.error as error:
            raise InputError(f"{pattern!r}: not a regular expression: {error}") from error
        if not has_match:
            examples = ", ".join("/".join(layer) for layer in layers[:4])
            raise InputError(
                f"{pattern!r}: expected to match a layer, found {len(layers)} and none of that "
                f"name: {examples}{', ...' if len(layers) > 4 else ''}"
            )
