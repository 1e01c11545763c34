"""Registry of classification losses by name."""

from collections.abc import Callable, Mapping

from jaxtyping import Array

from serjax.errors import InputError, unknown_name
from serjax.losses.classification import cross_entropy

ClassificationLoss = Callable[[Array, Array, Mapping[str, Array]], Array]
"""Function `(logits, labels, features) -> losses`, one loss per example.

Logits are `[batch, classes]`, floating, labels `[batch]`, integer. Features are the activations
that the model names. The result is `[batch]`, floating.
"""

_LOSSES: dict[str, ClassificationLoss] = {"cross_entropy": cross_entropy}


def register(name: str) -> Callable[[ClassificationLoss], ClassificationLoss]:
    """Registers the decorated function as a classification loss.

    Args:
        name: Name of the loss.

    Returns:
        Decorator of a function `(logits, labels, features) -> losses`, which it returns unchanged.

    Raises:
        InputError: The name is empty or already registered.

    >>> import jax.numpy as jnp
    >>> import optax
    >>> @register("focal")
    ... def focal_loss(logits, labels, features):
    ...     cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    ...     return (1 - jnp.exp(-cross_entropy)) ** 2 * cross_entropy
    >>> "focal" in names()
    True
    >>> get("focal")(jnp.zeros((2, 4)), jnp.array([0, 3]), {}).shape
    (2,)
    >>> del _LOSSES["focal"]
    """
    if not name:
        raise InputError("loss name: expected a name, found an empty one")
    if name in _LOSSES:
        raise InputError(f"loss {name!r}: expected a new name, found a registered one")

    def add(loss: ClassificationLoss) -> ClassificationLoss:
        _LOSSES[name] = loss
        return loss

    return add


def names() -> list[str]:
    """Returns the names of all classification losses."""
    return list(_LOSSES)


def get(name: str) -> ClassificationLoss:
    """Returns a classification loss by name.

    Args:
        name: Name of a built-in or registered loss.

    Raises:
        InputError: The name is unknown.
    """
    if name not in _LOSSES:
        raise InputError(unknown_name("loss", name, _LOSSES))
    return _LOSSES[name]
