"""Switch of the run-time checks of array types."""

import contextlib
from collections.abc import Iterator

from jaxtyping import config


@contextlib.contextmanager
def unchecked_types() -> Iterator[None]:
    """Switches the checks off, which would otherwise raise before the library's own errors."""
    was_disabled = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", was_disabled)
