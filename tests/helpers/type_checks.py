"""Control of the run-time checks of jaxtyping annotations."""

import contextlib
from collections.abc import Iterator

import jaxtyping


@contextlib.contextmanager
def without_type_checks() -> Iterator[None]:
    """Disables the checks, so that a wrong argument reaches the function's own error message.

    Works as a context and as a decorator of a test: `@without_type_checks()`.
    """
    was_disabled = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", was_disabled)
