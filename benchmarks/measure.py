"""Time, operations and memory of compiled programs, compared side by side."""

import concurrent.futures
import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import stats

from benchmarks.operations import operations_of
from serjax.training.devices import memory
from serjax.training.state import TrainState, state_of

_Key = TypeVar("_Key")

# A median of fewer values has no 95 % interval: half of all values lie on one side of the true one,
# and all of five do with probability 2 / 2^5 = 6 %, all of six with 3 %.
FEWEST = 6


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
        renew: Number of a round -> the arguments of that round, made before it is timed; None: the
            same in every round.
    """

    call: Callable[..., Any]
    arguments: Sequence[Any]
    operations: float | None
    temporary_bytes: int | None
    memory_bytes: int | None
    compile_seconds: float
    renew: Callable[[int], Sequence[Any]] | None = None


def compile_program(
    function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = ()
) -> Program:
    """Compiles a function for these arguments, of which those at `donate` may be overwritten."""
    return compile_traced(jax.jit(function, donate_argnums=donate).trace(*arguments), *arguments)


def compile_traced(traced: jax.stages.Traced, *arguments: Any) -> Program:
    """Compiles what was traced for these arguments."""
    lowered = traced.lower()
    started = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - started
    needs: Any = compiled.memory_analysis()
    return Program(
        compiled,
        arguments,
        operations_of(traced),
        int(needs.temp_size_in_bytes),
        memory.peak_bytes(compiled),
        seconds,
    )


def made_together(makes: Mapping[_Key, Callable[[], Program]]) -> dict[_Key, Program]:
    """Makes several programs at the same time: to compile one keeps little more than a core busy.

    What their compilation takes says nothing then.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(lambda make: make(), makes.values())
        return dict(zip(makes, made, strict=True))


def fresh_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    input_shape: tuple[int, ...],
    seed: int = 0,
) -> TrainState:
    """The state of a network before its first step, for measurements.

    Kernels are drawn by NumPy, uniform of variance 2 / fan-in: to compile what draws the network's
    own takes longer than many a measurement. Biases, scales and statistics are the network's own.
    """

    def variables(key: jax.Array) -> dict[str, Any]:
        return dict(model.init(key, jnp.zeros(input_shape, jnp.float32)))

    def drawn(path: Any, leaf: Any) -> bool:
        return path[0].key == "params" and leaf.ndim > 1

    def own(key: jax.Array) -> list[jax.Array]:
        found = jax.tree_util.tree_leaves_with_path(variables(key))
        return [leaf for path, leaf in found if not drawn(path, leaf)]

    key, rng = jax.random.key(seed), np.random.default_rng(seed)
    given = iter(jax.jit(own)(key))

    def filled(path: Any, leaf: Any) -> jax.Array:
        if not drawn(path, leaf):
            return next(given)
        limit = math.sqrt(6 * leaf.shape[-1] / leaf.size)
        values = rng.random(leaf.shape, np.float32)
        values -= 0.5
        values *= 2 * limit
        return jnp.asarray(values, leaf.dtype)

    abstract = jax.eval_shape(variables, key)
    return state_of(jax.tree_util.tree_map_with_path(filled, abstract), optimizer)


@jax.jit
def _with_signs(key: jax.Array, x: jax.Array) -> jax.Array:
    # 32 signs of every number drawn: drawing would take a CPU longer than much of what is timed.
    words = jax.random.bits(key, (-(-x.size // 32), 1), jnp.uint32)
    bits = (words >> jnp.arange(32, dtype=jnp.uint32)) & 1
    return jnp.where(bits.reshape(-1)[: x.size].reshape(x.shape) == 1, x, -x)


def renewed(program: Program, *places: int) -> Program:
    """The same program, whose arguments at these places, or all, are random anew in every round.

    They keep their magnitudes and take random signs, the same for all programs of a round.
    """
    changed = places or range(len(program.arguments))

    def renew(number: int) -> list[Any]:
        key = jax.random.fold_in(jax.random.key(0), number)
        keys = {place: jax.random.fold_in(key, place) for place in changed}
        return [
            _with_signs(keys[place], x) if place in keys else x
            for place, x in enumerate(program.arguments)
        ]

    return dataclasses.replace(program, renew=renew)


def time_together(programs: Mapping[str, Program], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each program in each round, `[rounds]`.

    A round calls every program once, so that whatever else the machine does meets them all alike,
    on arguments of its own where a program renews them. Each round has an order of its own: what
    one program leaves of caches and memory is then not always the same one's to bear.
    """
    seconds = {name: np.zeros(rounds) for name in programs}
    for program in programs.values():
        jax.block_until_ready(program.call(*program.arguments))
    for index in range(rounds):
        for name in np.random.default_rng(index).permutation(list(programs)).tolist():
            program = programs[name]
            arguments = program.arguments
            if program.renew is not None:
                arguments = jax.block_until_ready(program.renew(index))
            started = time.perf_counter()
            jax.block_until_ready(program.call(*arguments))
            seconds[name][index] = time.perf_counter() - started
    return seconds


def process_peak_bytes() -> int | None:
    """Most memory that this process has held at once; None where the system does not tell.

    Not that of `getrusage`, which begins as the peak of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024


def scaled(value: float | None, unit: float | None) -> float | None:
    """A value in a unit, or None where either is not known."""
    return None if value is None or unit is None else value / unit


def spread(values: np.ndarray) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle), float(low), float(high)


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Median, and its 95 % interval by order statistics; of fewer than six values, their range.

    It reaches from the k-th smallest value to the k-th largest, for the largest k at which the true
    median lies outside with a probability of 5 % at most, by the binomial distribution.
    """
    ordered = np.sort(values)
    outside = max(int(stats.binom.ppf(0.025, len(ordered), 0.5)), 1)
    return float(np.median(ordered)), float(ordered[outside - 1]), float(ordered[-outside])


def comparison(name: str, ratios: np.ndarray) -> dict[str, Any]:
    """Columns of a row for a ratio: its median over rounds, the median's 95 % interval, and all.

    `NAME_tie` says that the interval spans 1, which of a thing to itself says nothing.
    """
    middle, low, high = interval(ratios)
    return {
        name: middle,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_tie": low <= 1 <= high and bool((ratios != 1).any()),
        f"{name}_samples": ratios.tolist(),
    }


def of_peak(operations: float | None, seconds: np.ndarray, peak: float) -> float | None:
    """Share of a ceiling, in operations per second, at the median time."""
    return scaled(operations, float(np.median(seconds)) * peak)


def summary(name: str, values: np.ndarray) -> dict[str, Any]:
    """Columns of a row for one quantity: median, quartiles, and every sample `[rounds]`."""
    middle, low, high = spread(values)
    return {
        name: middle,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_samples": values.tolist(),
    }
