"""Compiled programs, their arguments, and what the compiler reports of them."""

import concurrent.futures
import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.operations import count_operations
from serjax.training.devices import memory
from serjax.training.state import TrainState, state_of

_Key = TypeVar("_Key")


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program with its arguments and costs.

    Attributes:
        call: The program.
        arguments: Positional arguments of the program.
        operations: Floating-point operations of one call, counted before optimization, because
            optimization may replace convolutions by library calls that are not counted; None if
            they are not counted.
        temporary_bytes: Memory in addition to arguments and results, or None.
        memory_bytes: Memory of arguments, results and temporaries, each shared buffer counted
            once; or None.
        compile_seconds: Duration of the compilation.
        make_arguments: Function from a round's index to the arguments of that round, called
            before the round is timed; None uses `arguments` in every round.
    """

    call: Callable[..., Any]
    arguments: Sequence[Any]
    operations: float | None
    temporary_bytes: int | None
    memory_bytes: int | None
    compile_seconds: float
    make_arguments: Callable[[int], Sequence[Any]] | None = None


def compile_program(
    function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = ()
) -> Program:
    """Compiles a function for the shapes of its arguments.

    Args:
        function: Function that JAX can trace.
        *arguments: Positional arguments of the function.
        donate: Positions of the arguments whose memory the program may reuse.
    """
    return compile_traced(jax.jit(function, donate_argnums=donate).trace(*arguments), *arguments)


def compile_traced(traced: jax.stages.Traced, *arguments: Any) -> Program:
    """Compiles a traced function.

    Args:
        traced: Traced function, as returned by `jax.jit(function).trace(...)`.
        *arguments: Positional arguments that the program is called with.
    """
    lowered = traced.lower()
    started = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - started
    needs: Any = compiled.memory_analysis()
    return Program(
        compiled,
        arguments,
        count_operations(traced),
        int(needs.temp_size_in_bytes),
        memory.peak_bytes(compiled),
        seconds,
    )


def compile_concurrently(makers: Mapping[_Key, Callable[[], Program]]) -> dict[_Key, Program]:
    """Makes several programs at the same time, because one compilation uses little over one core.

    Their `compile_seconds` are not meaningful.

    Args:
        makers: Functions that make one program each.

    Returns:
        The programs, under the keys of their makers.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        programs = pool.map(lambda make: make(), makers.values())
        return dict(zip(makers, programs, strict=True))


def initial_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    input_shape: tuple[int, ...],
    seed: int = 0,
) -> TrainState:
    """Makes the training state of a network before its first step, for measurements.

    NumPy samples the kernels from a uniform distribution of variance 2 / fan-in, because compiling
    the network's own initializers takes longer than many a measurement. Biases, scales and
    statistics have the network's own initial values.

    Args:
        model: Network.
        optimizer: Optimizer of the state.
        input_shape: Shape of a model input, batch axis included.
        seed: Seed of the initial values.
    """

    def variables(key: jax.Array) -> dict[str, Any]:
        return dict(model.init(key, jnp.zeros(input_shape, jnp.float32)))

    def is_kernel(path: Any, leaf: Any) -> bool:
        return path[0].key == "params" and leaf.ndim > 1

    def other_leaves(key: jax.Array) -> list[jax.Array]:
        leaves = jax.tree_util.tree_leaves_with_path(variables(key))
        return [leaf for path, leaf in leaves if not is_kernel(path, leaf)]

    key, rng = jax.random.key(seed), np.random.default_rng(seed)
    others = iter(jax.jit(other_leaves)(key))

    def initialize(path: Any, leaf: Any) -> jax.Array:
        if not is_kernel(path, leaf):
            return next(others)
        limit = math.sqrt(6 * leaf.shape[-1] / leaf.size)
        values = rng.random(leaf.shape, np.float32)
        values -= 0.5
        values *= 2 * limit
        return jnp.asarray(values, leaf.dtype)

    abstract = jax.eval_shape(variables, key)
    return state_of(jax.tree_util.tree_map_with_path(initialize, abstract), optimizer)


@jax.jit
def _randomize_signs(key: jax.Array, x: jax.Array) -> jax.Array:
    # One random word gives 32 signs: a word for each element would take a CPU longer than much of
    # the code that is timed.
    words = jax.random.bits(key, (-(-x.size // 32), 1), jnp.uint32)
    bits = (words >> jnp.arange(32, dtype=jnp.uint32)[None]) & 1
    return jnp.where(bits.reshape(-1)[: x.size].reshape(x.shape) == 1, x, -x)


def with_random_signs(program: Program, *positions: int) -> Program:
    """Returns the program with other arguments in each round: random signs, same magnitudes.

    The signs depend on the round and the position, so that all programs of a round have the same.

    Args:
        program: Program whose arguments are arrays.
        *positions: Positions of the arguments to randomize; none randomizes all.
    """
    randomized = positions or range(len(program.arguments))

    def make_arguments(index: int) -> list[Any]:
        key = jax.random.fold_in(jax.random.key(0), index)
        keys = {position: jax.random.fold_in(key, position) for position in randomized}
        return [
            _randomize_signs(keys[position], x) if position in keys else x
            for position, x in enumerate(program.arguments)
        ]

    return dataclasses.replace(program, make_arguments=make_arguments)
