"""Divergence of training: values that are not finite."""

from typing import Any

import jax
import numpy as np


class DivergedError(RuntimeError):
    """Value that is not finite; the message names it and the likely cause."""


def check_finite(tree: Any, what: str) -> None:
    """Checks that values are finite, before they are selected, saved or printed.

    Args:
        tree: Numbers or arrays.
        what: Name of the values in the error message.

    Raises:
        DivergedError: A value is NaN or infinite.
    """
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        is_finite = np.isfinite(array)
        if not is_finite.all():
            name = jax.tree_util.keystr(keys, simple=True, separator="/")
            value = array[~is_finite].ravel()[0]
            where = f"{name} of {what}" if name else what
            raise DivergedError(
                f"expected finite values, found {value} in {where}; likely cause: "
                "training diverged, lower the learning rate"
            )
