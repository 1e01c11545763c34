"""Several training steps as one call of the device, which never waits for the host in between."""

from typing import Any

import jax
import jax.numpy as jnp

from serjax.data.batches import Examples
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.state import TrainState

_STEPS = 16


def scan_steps(asked: int | None) -> int:
    """Steps of one call: as asked, or what suits the device.

    On a CPU it is one: there is no other device to wait, and steps take long. Elsewhere a call must
    stay short, for a signal is heeded only at its end.
    """
    if asked is not None:
        return asked
    return 1 if jax.default_backend() == "cpu" else _STEPS


def in_blocks(step: Any, count: int, division: BatchSharding) -> Any:
    """Makes `steps(state, examples, indices, references) -> (state, results)` of a step.

    Args:
        step: Of one batch, see `serjax.training.make_train_step`.
        count: Batches of a call.
        division: Of a batch.

    Returns:
        What takes the indices of `count` batches, the last of which may have no example and are
        left out, and gives the step's results with a first axis `[count]`, zero where left out.
    """

    def steps(
        state: TrainState, examples: Examples, indices: jax.Array, references: Any = None
    ) -> tuple[TrainState, Any]:
        rows = indices.reshape(count, -1)
        _, like = jax.eval_shape(step, state, examples, rows[0], references)
        results = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), like)

        def body(number: jax.Array, carry: tuple[TrainState, Any]) -> tuple[TrainState, Any]:
            state, results = carry
            state, result = step(state, examples, rows[number], references)
            return state, jax.tree.map(lambda x, y: x.at[number].set(y), results, result)

        return jax.lax.fori_loop(0, division.filled(rows), body, (state, results))

    return steps
