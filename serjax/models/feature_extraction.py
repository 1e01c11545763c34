"""Feature extraction: a network applied up to one of its layers, without the cost of the rest."""

from typing import Protocol

import flax.linen as nn
import jax

from serjax.errors import InputError, unknown_name
from serjax.models.variables import Variables


class FeatureExtractor(Protocol):
    """Activation of a layer, as a function of a network's variables and input."""

    def __call__(
        self, variables: Variables, x: jax.Array, mask: jax.Array | None = None
    ) -> jax.Array:
        """Computes the activation.

        Args:
            variables: Variables of the network.
            x: Input `[batch, frames, bins, channels]`.
            mask: Mask of valid frames `[batch, frames]`, or None.
        """


def features_up_to(model: nn.Module, name: str) -> FeatureExtractor:
    """Returns the activation of a layer in evaluation mode, as a pure function.

    The function is compiled. The program contains neither the layers after this one nor their
    variables, which need not be on the device.

    Args:
        model: Network from `serjax.models.create`.
        name: Name of a feature, such as "conv5" or "embedding".

    Returns:
        Function `(variables, x, mask=None) -> features[name]`, which is differentiable and may be
        part of a larger program. It raises InputError if the network has no such layer, and
        suggests the nearest name.

    >>> from serjax.models import create
    >>> first_layers = features_up_to(create("dscnn", num_classes=4), "conv2")
    """

    @jax.jit
    def layer(variables: Variables, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        _, features = model.apply(variables, x, train=False, mask=mask)
        if name not in features:
            raise InputError(unknown_name("layer", name, features))
        return features[name]

    return layer
