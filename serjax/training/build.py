"""Construction of a run's model: the network, its input shape, and its variables' shapes."""

import flax.linen as nn
import jax.numpy as jnp

from serjax import models
from serjax.errors import InputError
from serjax.features.front_ends import FrontEnd
from serjax.models.variables import Variables, variable_shapes
from serjax.training.config import RunConfig
from serjax.training.config.resolve import front_end_of


def build_model(config: RunConfig, num_classes: int) -> nn.Module:
    """Builds the configured network and checks its shapes, without compiling anything.

    Args:
        config: Configuration of a network's run.
        num_classes: Number of classes.

    Raises:
        InputError: An option does not exist, or layers do not fit together.
    """
    options = dict(config.model.options)
    if config.model.dtype == "bfloat16":
        options["dtype"] = jnp.bfloat16
    model = models.create(config.model.name, num_classes, **options)
    try:
        abstract_variables(model, front_end_of(config))
    except (TypeError, ValueError) as error:
        raise InputError(f"{config.model.name} {options}: {error}") from error
    return model


def input_shape(front_end: FrontEnd) -> tuple[int, int, int, int]:
    """Returns the shape of a batch of one example: `(1, frames, bins, channels)`."""
    return (1, *front_end.input_shape)


def abstract_variables(model: nn.Module, front_end: FrontEnd) -> Variables:
    """Returns the shapes and dtypes of a model's variables as a tree of `jax.ShapeDtypeStruct`."""
    return variable_shapes(model, input_shape(front_end))
