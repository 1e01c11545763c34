"""What a training step is called with, batch after batch."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np


class Call(NamedTuple):
    """The arguments of a call.

    Attributes:
        batches: How many batches it takes.
        examples: `serjax.data.batches.Examples`, on the device.
        indices: Of the batches' examples, where the step reads them.
    """

    batches: int
    examples: Any
    indices: jax.Array


Calls = Callable[[np.ndarray, int], Iterator[Call]]
"""`(order, first)`: the calls of an epoch, `order` `[batches, batch_size]` indices of its examples,
-1 where empty, from its batch `first` on."""


def blocks(order: np.ndarray, first: int, steps: int) -> list[tuple[int, np.ndarray]]:
    """The batches of each call: how many, and their indices.

    Args:
        order: Of an epoch, see `Calls`.
        first: Its first batch that is left to do.
        steps: Batches that a call takes; of more than 1, the last call is filled up with batches
            without examples.

    Returns:
        Indices `[batch_size]` if steps is 1, else `[steps, batch_size]`.
    """
    cut = [order[at : at + steps] for at in range(first, len(order), steps)]
    if steps == 1:
        return [(1, block[0]) for block in cut]
    return [
        (len(block), np.pad(block, ((0, steps - len(block)), (0, 0)), constant_values=-1))
        for block in cut
    ]


def resident(
    examples: Any, place: Callable[[np.ndarray], jax.Array] = jax.device_put, steps: int = 1
) -> Calls:
    """Calls for examples that lie on the device.

    Args:
        examples: Of all epochs.
        place: Puts a call's indices where the step reads them.
        steps: Batches that a call takes.
    """

    def calls(order: np.ndarray, first: int) -> Iterator[Call]:
        for count, block in blocks(order, first, steps):
            yield Call(count, examples, place(block))

    return calls
