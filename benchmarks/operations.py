"""Floating-point operations of a program, loops included."""

import math
from collections.abc import Iterator
from typing import Any

import jax


def operations_of(traced: jax.stages.Traced) -> float | None:
    """Floating-point operations of one call, None where nobody counts them.

    The compiler's count before it optimizes, which takes a loop's body once, and what the products
    and convolutions of loops of known length do in their further rounds.
    """
    count = float((traced.lower().cost_analysis() or {}).get("flops", math.nan))
    return count + _in_further_rounds(traced.jaxpr.jaxpr, 1) if count > 0 else None


def _in_further_rounds(jaxpr: Any, rounds: int) -> float:
    """Operations of products and convolutions in all rounds of loops but the first."""
    total = 0.0
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        if name in ("dot_general", "conv_general_dilated"):
            total += (rounds - 1) * _of_product(equation)
        inner = rounds * parameters["length"] if name == "scan" else rounds
        total += sum(_in_further_rounds(part, inner) for part in _inner(parameters.values()))
    return total


def _inner(values: Any) -> Iterator[Any]:
    """The programs among the parameters of an operation."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _inner(value)
        elif hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr


def _of_product(equation: Any) -> float:
    """A multiplication and an addition for each element of the result and each that is summed."""
    left, right = (variable.aval for variable in equation.invars)
    (result,) = (variable.aval for variable in equation.outvars)
    numbers = equation.params["dimension_numbers"]
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = numbers
        summed = math.prod(left.shape[axis] for axis in contracted)
    else:
        summed = math.prod(right.shape) // right.shape[numbers.rhs_spec[0]]
    return 2.0 * math.prod(result.shape) * summed
