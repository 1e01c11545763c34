"""What a training run carries from step to step."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

Variables = dict[str, Any]
_T = TypeVar("_T")


@flax.struct.dataclass
class TrainState:
    """Everything that a step changes.

    Attributes:
        step: int32, steps done so far; the random numbers of a step follow from it.
        params: The model's parameters.
        batch_stats: Running statistics; empty for models without any.
        opt_state: The optimizer's moments.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState

    @property
    def variables(self) -> Variables:
        """As `model.apply` takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    input_shape: tuple[int, ...],
) -> TrainState:
    """Initial state, compiled as one program.

    Args:
        model: From `serjax.models.create`.
        optimizer: From optax.
        key: Of the initial weights.
        input_shape: `[1, frames, bins, channels]`.
    """

    def initialize(key: jax.Array) -> TrainState:
        return state_of(model.init(key, jnp.zeros(input_shape, jnp.float32)), optimizer)

    return draw(initialize, key)


def draw(initialize: Callable[[jax.Array], _T], key: jax.Array) -> _T:
    """Calls a function that draws initial weights, compiled as one program.

    Args:
        initialize: Of a key, to any tree of arrays.
        key: Of the weights.
    """
    # It runs once: random numbers for every layer take half a minute to optimize on two CPU cores
    # and, optimized or not, half a second to draw.
    return jax.jit(initialize, compiler_options={"xla_backend_optimization_level": 1})(key)


def state_of(variables: Mapping[str, Any], optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step from these variables.

    Args:
        variables: Of the model, as `model.init` gives them.
        optimizer: From optax.
    """
    params, stats = variables["params"], variables.get("batch_stats", {})
    return TrainState(jnp.zeros((), jnp.int32), params, stats, optimizer.init(params))


def parameter_count(tree: Any) -> int:
    """Numbers in a tree of arrays or abstract arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
