"""The smallest input of a network."""

import jax

from serjax.errors import InputError


def check_input(network: str, x: jax.Array, smallest: int) -> None:
    """Raises InputError unless x is `[batch, rows, columns, channels]` and large enough.

    Args:
        network: Named in the message.
        x: The network's input.
        smallest: Fewest rows, and fewest columns.
    """
    if x.ndim != 4:
        raise InputError(
            f"{network}: expected input [batch, frames, bins, channels], found shape {x.shape}"
        )
    rows, columns = x.shape[1:3]
    if min(rows, columns) < smallest:
        raise InputError(
            f"{network}: expected input of at least {smallest} x {smallest}, "
            f"found {rows} x {columns}"
        )
