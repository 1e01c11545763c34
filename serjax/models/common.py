"""Functions for all networks: checks of inputs and outputs, and global pooling."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax.errors import InputError, unknown_name
from serjax.features.arrays import at_least_float32

_POOLINGS = ("mean", "max")


def check_input(network: str, x: jax.Array, smallest: int) -> None:
    """Checks that an input is `[batch, frames, bins, channels]` and large enough.

    Args:
        network: Name of the network, for the message.
        x: Input of the network.
        smallest: Smallest number of frames, and of bins.

    Raises:
        InputError: The input has another rank, or fewer frames or bins.
    """
    if x.ndim != 4:
        raise InputError(
            f"{network}: expected input [batch, frames, bins, channels], found shape {x.shape}"
        )
    frames, bins = x.shape[1:3]
    if min(frames, bins) < smallest:
        raise InputError(
            f"{network}: expected input of at least {smallest} x {smallest}, "
            f"found {frames} x {bins}"
        )


def check_outputs(name: str, network: nn.Module, input_shape: tuple[int, int, int]) -> None:
    """Checks that a network returns logits and features. Nothing is computed.

    Args:
        name: Name of the network, for the message.
        network: Network with a field `num_classes`.
        input_shape: Shape of one input, `(frames, bins, channels)`.

    Raises:
        InputError: The network cannot be applied, or returns something else.
    """
    shape = (2, *input_shape)

    def apply() -> Any:
        x, mask = jnp.zeros(shape, jnp.float32), jnp.ones(shape[:2], bool)
        return network.init_with_output(jax.random.key(0), x, train=False, mask=mask)[0]

    try:
        outputs = jax.eval_shape(apply)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"model {name!r}: cannot be applied to an input of shape {shape} with train and mask: "
            f"{error}"
        ) from error
    is_pair = isinstance(outputs, tuple) and len(outputs) == 2
    if not is_pair or not isinstance(outputs[1], Mapping):
        raise InputError(
            f"model {name!r}: expected apply to return (logits, features), features a dictionary, "
            f"found {_structure(outputs)}"
        )
    expected = (shape[0], network.num_classes)
    if getattr(outputs[0], "shape", None) != expected:
        raise InputError(
            f"model {name!r}: expected logits of shape {expected}, found {_structure(outputs[0])}"
        )


def _structure(value: object) -> str:
    """Describes the structure of a network's outputs in a few words."""
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_structure, value))})"
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"an array of shape {shape}"


def global_pool(x: jax.Array, mask: jax.Array | None, pooling: str) -> jax.Array:
    """Computes the mean or maximum of each channel over the positions of valid frames.

    Args:
        x: Activations `[batch, frames, bins, channels]`.
        mask: Mask of valid frames `[batch, frames]`, bool; None if all are valid.
        pooling: "mean" or "max".

    Returns:
        `[batch, channels]`, at least float32; 0 for an example without valid frames.

    Raises:
        InputError: Unknown pooling.
    """
    if pooling not in _POOLINGS:
        raise InputError(unknown_name("pooling", pooling, _POOLINGS))
    x = at_least_float32(x)
    if pooling == "max":
        if mask is None:
            return jnp.max(x, axis=(1, 2))
        lowest = jnp.finfo(x.dtype).min
        y = jnp.max(x, axis=(1, 2), where=mask[:, :, None, None], initial=lowest)
        return jnp.where(mask.any(-1, keepdims=True), y, 0)
    y = jnp.mean(x, axis=2)
    if mask is None:
        return jnp.mean(y, axis=1)
    count = jnp.maximum(mask.sum(-1, keepdims=True), 1).astype(y.dtype)
    return jnp.sum(y, axis=1, where=mask[..., None]) / count


def has_valid_frames(mask: jax.Array | None) -> jax.Array | None:
    """Returns the batch entries with valid frames, as a mask for images.

    Networks of fixed input size treat padding as input. Their batch norms exclude only the
    entries that fill up a batch, which have no valid frame.

    Args:
        mask: Mask of valid frames `[batch, frames]`, or None.

    Returns:
        `[batch, 1, 1, 1]` bool, which broadcasts against `[batch, frames, bins, channels]`; None
        without a mask.
    """
    return None if mask is None else mask.any(-1)[:, None, None, None]
