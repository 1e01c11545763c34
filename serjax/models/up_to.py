"""A network applied up to one of its layers, at the cost of that part alone."""

from typing import Any, Protocol

import flax.linen as nn
import jax

from serjax.errors import InputError, unknown_name


class Layer(Protocol):
    """A layer's activation as a function of a network's variables and input."""

    def __call__(self, variables: Any, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Activation for `x` `[batch, frames, bins, channels]`, `mask` `[batch, frames]`."""


def features_up_to(model: nn.Module, name: str) -> Layer:
    """The activation of a named layer in evaluation mode, as a pure function.

    The function is compiled, and what the layer does not depend on is no part of the program:
    neither the layers after it nor their variables, which need not be on the device.

    Args:
        model: `model.apply(variables, x, train=..., mask=...) -> (logits, features)`.
        name: A name in `features`, such as "conv5" or "embedding".

    Returns:
        `(variables, x, mask=None) -> features[name]`; differentiable, and free to be part of a
        larger program. It raises InputError where the network has no such layer; the nearest one
        is suggested.

    >>> from serjax.models import create
    >>> up_to = features_up_to(create("dscnn", num_classes=4), "conv2")
    """

    @jax.jit
    def layer(variables: Any, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        _, features = model.apply(variables, x, train=False, mask=mask)
        if name not in features:
            raise InputError(unknown_name("layer", name, features))
        return features[name]

    return layer
