"""Registry of the losses that a classifier is trained with."""

from collections.abc import Callable, Mapping

import jax
import optax

from serjax.errors import InputError, unknown_name

Loss = Callable[[jax.Array, jax.Array, Mapping[str, jax.Array]], jax.Array]
"""`(logits [batch, classes], labels [batch], features) -> losses [batch]`."""

_LOSSES: dict[str, Loss] = {}


def register(name: str) -> Callable[[Loss], Loss]:
    """Registers a loss under a name, as a decorator.

    Args:
        name: Name for `--loss` and `RunConfig`.

    Raises:
        InputError: The name is taken.
    """

    def add(loss: Loss) -> Loss:
        if name in _LOSSES:
            raise InputError(f"loss {name!r}: expected a new name, found one that is registered")
        _LOSSES[name] = loss
        return loss

    return add


def names() -> tuple[str, ...]:
    """Returns the names of the registered losses."""
    return tuple(sorted(_LOSSES))


def get(name: str) -> Loss:
    """Returns a registered loss.

    Raises:
        InputError: The name is unknown.
    """
    if name not in _LOSSES:
        raise InputError(unknown_name("loss", name, names()))
    return _LOSSES[name]


@register("cross_entropy")
def _cross_entropy(
    logits: jax.Array, labels: jax.Array, features: Mapping[str, jax.Array]
) -> jax.Array:
    """Computes the cross-entropy in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
