"""Timing of programs side by side, and summary statistics of the samples."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import stats

from benchmarks.programs import Program

# A median of fewer values has no 95 % interval: half of all values lie on one side of the true one,
# and all of five do with probability 2 / 2^5 = 6 %, all of six with 3 %.
MIN_ROUNDS = 6


def time_interleaved(programs: Mapping[str, Program], rounds: int) -> dict[str, np.ndarray]:
    """Times several programs, each called once per round.

    Other work of the machine then affects all programs alike. The order of the programs is random
    in each round, so that the state of caches and memory after one program does not always affect
    the same other one. A first call of each program is not timed.

    Args:
        programs: Programs by name.
        rounds: Number of rounds.

    Returns:
        Seconds of each program in each round, `[rounds]`, by the program's name.
    """
    seconds = {name: np.zeros(rounds) for name in programs}
    for program in programs.values():
        jax.block_until_ready(program.call(*program.arguments))
    for index in range(rounds):
        for name in np.random.default_rng(index).permutation(list(programs)).tolist():
            program = programs[name]
            arguments = program.arguments
            if program.make_arguments is not None:
                arguments = jax.block_until_ready(program.make_arguments(index))
            started = time.perf_counter()
            jax.block_until_ready(program.call(*arguments))
            seconds[name][index] = time.perf_counter() - started
    return seconds


def process_peak_bytes() -> int | None:
    """Reads the peak resident memory of this process, None if the system does not report it.

    `getrusage` does not serve: its peak begins at that of the parent process.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024


def in_unit(value: float | None, unit: float | None) -> float | None:
    """Divides a value by a unit; None if either is unknown."""
    return None if value is None or unit is None else value / unit


def fraction_of_peak(operations: float | None, seconds: np.ndarray, peak: float) -> float | None:
    """Computes the fraction of the device's peak that a program reaches at its median time.

    Args:
        operations: Floating-point operations of one call, or None if unknown.
        seconds: Seconds of each call, `[rounds]`.
        peak: Peak of the device, in operations per second.
    """
    return in_unit(operations, float(np.median(seconds)) * peak)


def median_and_quartiles(values: np.ndarray) -> tuple[float, float, float]:
    """Computes the median, the lower and the upper quartile."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle), float(low), float(high)


def median_and_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Computes the median and the ends of its 95 % confidence interval by order statistics.

    The interval reaches from the k-th smallest value to the k-th largest, for the largest k at
    which the true median lies outside with a probability of at most 5 %, by the binomial
    distribution. For fewer than `MIN_ROUNDS` values it is their range.
    """
    ordered = np.sort(values)
    outside = max(int(stats.binom.ppf(0.025, len(ordered), 0.5)), 1)
    return float(np.median(ordered)), float(ordered[outside - 1]), float(ordered[-outside])


def quantity_columns(name: str, values: np.ndarray) -> dict[str, Any]:
    """Makes the columns of a quantity: median, quartiles and samples.

    Args:
        name: Name of the quantity.
        values: Value in each round, `[rounds]`.

    Returns:
        Columns `NAME`, `NAME_low`, `NAME_high` and `NAME_samples`.
    """
    middle, low, high = median_and_quartiles(values)
    return {
        name: middle,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_samples": values.tolist(),
    }


def ratio_columns(name: str, ratios: np.ndarray) -> dict[str, Any]:
    """Makes the columns of a ratio: median, its 95 % interval and samples.

    Args:
        name: Name of the ratio.
        ratios: Ratio in each round, `[rounds]`.

    Returns:
        Columns `NAME`, `NAME_low`, `NAME_high`, `NAME_samples`, and `NAME_tie`: the interval spans
        1 although the ratio is not that of a program to itself.
    """
    middle, low, high = median_and_interval(ratios)
    return {
        name: middle,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_tie": low <= 1 <= high and bool((ratios != 1).any()),
        f"{name}_samples": ratios.tolist(),
    }
