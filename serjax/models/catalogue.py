"""Catalogue of the networks: parameters, operations, input, and paper."""

import dataclasses

import jax
import jax.numpy as jnp

from serjax.models.registry import create, front_end, paper
from serjax.models.variables import variable_shapes


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """Row of the catalogue.

    Attributes:
        name: Name of the model.
        parameters: Number of trainable parameters, on spectrograms.
        operations: Floating-point operations of one example's forward pass, counted by XLA before
            it optimizes the program. A multiply-add is two operations. If the backend computes
            quaternion products by eight real ones, see `serjax.quaternion.products`, they count
            as eight.
        input_shape: Shape of the model input, `(frames, bins, channels)`.
        paper: Authors and year of the paper.
    """

    name: str
    parameters: int
    operations: float
    input_shape: tuple[int, int, int]
    paper: str


def describe(name: str, num_classes: int = 4) -> ModelInfo:
    """Describes a network, without compiling it or allocating its weights.

    Args:
        name: Name of the model, see `serjax.models.names`.
        num_classes: Number of classes, at least 2.

    Raises:
        InputError: Unknown name, or fewer than 2 classes.

    >>> describe("vgg16").parameters
    165733060
    """
    model = create(name, num_classes)
    shape = front_end(name).input_shape
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = variable_shapes(model, x.shape)
    lowered = jax.jit(lambda variables, x: model.apply(variables, x)[0]).lower(variables, x)
    cost = lowered.cost_analysis() or {}
    return ModelInfo(
        name,
        sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        float(cost.get("flops", float("nan"))),
        shape,
        paper(name),
    )
