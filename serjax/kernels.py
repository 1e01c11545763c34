"""Compilation of the functional kernels: public functions of arrays that are jitted as they are."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Jits a function of arrays; all its other arguments are static.

    The function is compiled once for each shape and dtype of its arrays and each value of its other
    arguments. Arguments of arrays, and mappings of arrays, are traced. Lists become tuples, which
    can be compared. Within another jitted function the kernel's operations become a part of that
    function, so the program is the one without `kernel`, with no further names in a profile.

    Args:
        function: Function without positional-only and variable positional parameters.

    Returns:
        Function with the same signature, whose attribute `__wrapped__` is the original.
    """
    parameters = inspect.signature(function).parameters
    kinds = {name: parameter.kind for name, parameter in parameters.items()}
    positional = [name for name in kinds if kinds[name] is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds.values()

    @functools.cache
    def jitted(static: tuple[str, ...]) -> Callable[..., Any]:
        return jax.jit(function, static_argnames=static, inline=True)

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        values = dict(zip(positional, args, strict=False))
        is_known = takes_any or options.keys() <= kinds.keys()
        if len(args) > len(positional) or values.keys() & options.keys() or not is_known:
            return function(*args, **options)  # for Python's own message
        values |= options
        static = tuple(name for name, value in values.items() if not _is_traced(value))
        return jitted(static)(**{name: _as_hashable(value) for name, value in values.items()})

    return call  # type: ignore[return-value]


def _is_traced(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | Mapping)


def _as_hashable(value: Any) -> Any:
    """Converts lists, also within tuples, to tuples; named tuples stay as they are."""
    return tuple(map(_as_hashable, value)) if type(value) in (list, tuple) else value
