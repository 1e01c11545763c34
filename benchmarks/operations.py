"""Count of the floating-point operations of a program, including all iterations of its loops."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import jax


def count_operations(traced: jax.stages.Traced) -> float | None:
    """Counts the floating-point operations of one call.

    The compiler counts before it optimizes, and counts the body of a loop once. The products and
    convolutions in the further iterations of loops of known length are added.

    Args:
        traced: Traced function, as returned by `jax.jit(function).trace(...)`.

    Returns:
        Number of operations, or None if the compiler does not count them.
    """
    count = float((traced.lower().cost_analysis() or {}).get("flops", math.nan))
    return count + _in_further_iterations(traced.jaxpr.jaxpr, 1) if count > 0 else None


def _in_further_iterations(jaxpr: Any, iterations: int) -> float:
    """Counts the operations of products and convolutions in all iterations but the first."""
    total = 0.0
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        if name in ("dot_general", "conv_general_dilated"):
            total += (iterations - 1) * _product_operations(equation)
        inner = iterations * parameters["length"] if name == "scan" else iterations
        nested = _nested_jaxprs(parameters.values())
        total += sum(_in_further_iterations(each, inner) for each in nested)
    return total


def _nested_jaxprs(values: Iterable[Any]) -> Iterator[Any]:
    """Yields the jaxprs among the parameters of an equation."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _nested_jaxprs(value)
        elif hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr


def _product_operations(equation: Any) -> float:
    """Counts a multiplication and an addition for each result element and each summed element."""
    left, right = (variable.aval for variable in equation.invars)
    (result,) = (variable.aval for variable in equation.outvars)
    numbers = equation.params["dimension_numbers"]
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = numbers
        summed = math.prod(left.shape[axis] for axis in contracted)
    else:
        summed = math.prod(right.shape) // right.shape[numbers.rhs_spec[0]]
    return 2.0 * math.prod(result.shape) * summed
