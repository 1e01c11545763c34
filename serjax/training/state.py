"""State of a training run that changes from step to step."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from serjax.models.variables import Variables, compile_initialization


@flax.struct.dataclass
class TrainState:
    """Everything that a training step changes.

    Attributes:
        step: int32, number of finished steps. The random numbers of a step follow from it.
        params: Parameters of the model.
        batch_stats: Running statistics; empty for models without any.
        opt_state: Moments of the optimizer.
    """

    step: jax.Array
    params: PyTree
    batch_stats: PyTree
    opt_state: optax.OptState

    @property
    def variables(self) -> Variables:
        """Variables as `model.apply` takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    input_shape: tuple[int, ...],
) -> TrainState:
    """Creates the initial state of a randomly initialized model, compiled as one program.

    Args:
        model: Network from `serjax.models.create`.
        optimizer: Optimizer from optax.
        key: PRNG key for the initial weights.
        input_shape: Shape of the model input, `[1, frames, bins, channels]`.
    """

    def initialize(key: jax.Array) -> TrainState:
        return state_of(model.init(key, jnp.zeros(input_shape, jnp.float32)), optimizer)

    return compile_initialization(initialize, key)


def state_of(variables: Mapping[str, Any], optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step from given variables.

    Args:
        variables: Variables of the model, as `model.init` returns them.
        optimizer: Optimizer from optax.
    """
    params, stats = variables["params"], variables.get("batch_stats", {})
    # Compiled, because moments of many layers take long to allocate one by one.
    return TrainState(jnp.zeros((), jnp.int32), params, stats, jax.jit(optimizer.init)(params))


def parameter_count(tree: PyTree) -> int:
    """Returns the number of values in a tree of arrays or abstract arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
