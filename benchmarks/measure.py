"""Time, operations and memory of compiled programs, compared side by side."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from serjax.training import memory


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program and what its compiler says of it.

    Attributes:
        call: The program.
        arguments: What it is called with.
        operations: Floating-point operations of one call, counted before optimization, which may
            replace convolutions by calls that are not counted; None where nobody counts them.
        temporary_bytes: Memory beside arguments and results, or None.
        memory_bytes: All memory of a call: arguments, results and temporaries, without what is
            shared among them; or None.
        compile_seconds: Time to compile it.
    """

    call: Callable[..., Any]
    arguments: Sequence[Any]
    operations: float | None
    temporary_bytes: int | None
    memory_bytes: int | None
    compile_seconds: float


def compile_program(
    function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = ()
) -> Program:
    """Compiles a function for these arguments, of which those at `donate` may be overwritten."""
    return compile_lowered(jax.jit(function, donate_argnums=donate).lower(*arguments), *arguments)


def compile_lowered(lowered: jax.stages.Lowered, *arguments: Any) -> Program:
    """Compiles what was lowered for these arguments."""
    started = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - started
    cost = lowered.cost_analysis() or {}
    needs: Any = compiled.memory_analysis()
    return Program(
        compiled,
        arguments,
        float(cost.get("flops", float("nan"))),
        int(needs.temp_size_in_bytes),
        memory.peak_bytes(compiled),
        seconds,
    )


def time_together(programs: Mapping[str, Program], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each program in each round, `[rounds]`.

    A round calls every program once, so that whatever else the machine does meets them all alike.
    """
    seconds = {name: np.zeros(rounds) for name in programs}
    for program in programs.values():
        jax.block_until_ready(program.call(*program.arguments))
    for index in range(rounds):
        for name, program in programs.items():
            started = time.perf_counter()
            jax.block_until_ready(program.call(*program.arguments))
            seconds[name][index] = time.perf_counter() - started
    return seconds


def scaled(value: float | None, unit: float | None) -> float | None:
    """A value in a unit, or None where either is not known."""
    return None if value is None or unit is None else value / unit


def spread(values: np.ndarray) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle), float(low), float(high)


def summary(name: str, values: np.ndarray) -> dict[str, Any]:
    """Columns of a row for one quantity: median, quartiles, and every sample `[rounds]`."""
    middle, low, high = spread(values)
    return {
        name: middle,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_samples": values.tolist(),
    }
