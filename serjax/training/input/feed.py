"""Feed of a training step: its arguments, call after call."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from serjax.data.batches import Examples


class Call(NamedTuple):
    """Arguments of one call of a training step.

    Attributes:
        batches: Number of batches that the call takes.
        examples: Examples on the device.
        indices: Indices of the batches' examples, placed where the step reads them.
    """

    batches: int
    examples: Examples
    indices: jax.Array


Feed = Callable[[np.ndarray, int], Iterator[Call]]
"""`(order, first)`: the calls of an epoch from its batch `first` on.

`order` `[batches, batch_size]` holds indices of examples, -1 for padding.
"""


def group_batches(order: np.ndarray, first: int, scan_steps: int) -> list[tuple[int, np.ndarray]]:
    """Groups the batches of an epoch into calls.

    Args:
        order: Order of an epoch, see `Feed`.
        first: First batch that is not done.
        scan_steps: Number of batches of a call. If it is more than 1, the last call is padded by
            batches without examples.

    Returns:
        Number of batches and indices of each call, `[batch_size]` if `scan_steps` is 1, else
        `[scan_steps, batch_size]`.
    """
    groups = [order[at : at + scan_steps] for at in range(first, len(order), scan_steps)]
    if scan_steps == 1:
        return [(1, group[0]) for group in groups]
    return [
        (len(group), np.pad(group, ((0, scan_steps - len(group)), (0, 0)), constant_values=-1))
        for group in groups
    ]


def in_memory(
    examples: Examples,
    place: Callable[[np.ndarray], jax.Array] = jax.device_put,
    scan_steps: int = 1,
) -> Feed:
    """Makes the feed of examples that lie on the device.

    Args:
        examples: Examples of all epochs.
        place: Function that puts the indices of a call where the step reads them.
        scan_steps: Number of batches of a call.
    """

    def feed(order: np.ndarray, first: int) -> Iterator[Call]:
        for count, indices in group_batches(order, first, scan_steps):
            yield Call(count, examples, place(indices))

    return feed
