"""What each network costs: parameters, operations, input, and where it is described."""

import dataclasses

import jax
import jax.numpy as jnp

from serjax.models.registry import create, front_end, paper


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """A row of the catalogue.

    Attributes:
        name: One of `serjax.models.names()`.
        parameters: Trainable numbers, for so many classes on spectrograms.
        operations: Floating-point operations of one example's forward pass, as counted by XLA
            before it optimizes; a multiply-add is two. Where quaternion products take eight real
            ones (see `serjax.quaternion.products`), which depends on the backend, they count as
            eight.
        input_shape: `(frames, bins, channels)` of its front end.
        paper: Where it is described.
    """

    name: str
    parameters: int
    operations: float
    input_shape: tuple[int, int, int]
    paper: str


def describe(name: str, num_classes: int = 4) -> ModelInfo:
    """Describes a network, without compiling it or holding its weights.

    Args:
        name: One of `serjax.models.names()`.
        num_classes: Classes, at least 2.

    Raises:
        InputError: Unknown name, or fewer than 2 classes.

    >>> describe("vgg16").parameters
    165733060
    """
    model = create(name, num_classes)
    shape = front_end(name).input_shape
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    lowered = jax.jit(lambda variables, x: model.apply(variables, x)[0]).lower(variables, x)
    cost = lowered.cost_analysis() or {}
    return ModelInfo(
        name,
        sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        float(cost.get("flops", float("nan"))),
        shape,
        paper(name),
    )
