"""Several training steps in one call of the device, which does not wait for the host in between."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from serjax.data.batches import Examples
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.state import TrainState

_STEPS = 16


def scan_steps(requested: int | None) -> int:
    """Returns the number of steps of one call: the requested one, or the device's default.

    The default is one on a CPU, which has no other device to wait for and whose steps take long.
    Elsewhere a call must stay short, because a signal is handled only at its end.

    Args:
        requested: Requested number of steps; None for the default.
    """
    if requested is not None:
        return requested
    return 1 if jax.default_backend() == "cpu" else _STEPS


def make_multi_step(step: Any, count: int, sharding: BatchSharding) -> Any:
    """Makes a function that takes several training steps.

    Args:
        step: Step of one batch, see `serjax.training.training_step`.
        count: Number of steps.
        sharding: Distribution of a batch.

    Returns:
        `steps(state, examples, indices, arrays) -> (state, results)`. It takes the indices of
        `count` batches. The last batches may have no example and are left out. Results have a first
        axis `[count]` and are zero for batches that are left out.
    """

    def steps(
        state: TrainState, examples: Examples, indices: jax.Array, arrays: PyTree = None
    ) -> tuple[TrainState, PyTree]:
        rows = indices.reshape(count, -1)
        _, like = jax.eval_shape(step, state, examples, rows[0], arrays)
        results = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), like)

        def body(number: jax.Array, carry: tuple[TrainState, PyTree]) -> tuple[TrainState, PyTree]:
            state, results = carry
            state, result = step(state, examples, rows[number], arrays)
            return state, jax.tree.map(lambda x, y: x.at[number].set(y), results, result)

        return jax.lax.fori_loop(0, sharding.count_filled_steps(rows), body, (state, results))

    return steps
