"""Folds together: one step of five runs in one program, beside five steps of one run.

A step is the whole one of a run: spectrograms, network, loss, gradients and Adam, and the host
hears of it. "one" is a step of one run, "separate" the five one after the other, "vmap" and "scan"
the engines of `serjax.protocols.batched_runs`, on as many devices as there are. What matters is the time
of "separate", and on a GPU that of one run, which leaves most of it idle. "dscnn 32, 20" is the
DSCNN on images of 32 rows and columns, 20 in a batch; "dense" is two dense layers.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.measure import (
    Program,
    comparison,
    compile_traced,
    fresh_state,
    scaled,
    summary,
    time_together,
)
from benchmarks.settings import Cases, Figure, Settings
from serjax import models, training
from serjax.data import batches
from serjax.features.front_ends import FrontEnd
from serjax.protocols.batched_runs import ENGINES, Together
from serjax.training.build import input_shape
from serjax.training.state import TrainState
from serjax.training.step import TrainStep

TITLE = "Five folds in one program"
COLUMNS = {
    "model": "network, batch",
    "form": "form",
    "ms": "ms",
    "of_separate": "time of separate",
    "of_one": "time of one",
    "memory_mib": "step MiB",
    "compile_s": "compile s",
}
FIGURE = Figure(
    "of_separate", "time of one run after the other", ("model",), reference=1, of="separate"
)

_RUNS = 5
_EXAMPLES = 100
_OPTIMIZER = optax.adam(1e-3)


class _Dense(nn.Module):
    """Two dense layers and the classes: a network without convolutions."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        y = x.reshape(len(x), -1)
        for _ in range(2):
            y = nn.relu(nn.Dense(256, dtype=self.dtype)(y))
        return nn.Dense(4, dtype=self.dtype)(y).astype(jnp.float32), {}


def _network(name: str, dtype: str) -> tuple[nn.Module, FrontEnd]:
    """A network and what it hears; of a name such as "dscnn 32", in so many frames and bins."""
    kind, size = name.split()
    image_size = (int(size), int(size))
    front_end = dataclasses.replace(models.front_end("dscnn"), image_size=image_size)
    arithmetic = jnp.dtype(dtype)
    if kind == "dense":
        return _Dense(arithmetic), front_end
    return models.create("dscnn", 4, dtype=arithmetic), front_end


def _stepping(program: Callable[..., Any], state: TrainState, *given: Any) -> Callable[[], Any]:
    """Calls that hand one state on to each other, and wait as a run does for what they tell."""
    held = [state]

    def once() -> Any:
        held[0], told = program(held[0], *given)
        return jax.device_get(told)

    return once


def _measured(settings: Settings, name: str, batch: int) -> list[dict[str, Any]]:
    """A row for each form of one network."""
    model, front_end = _network(name, settings.dtype)
    rng = np.random.default_rng(0)
    size = front_end.segment_samples
    waveforms = [rng.normal(0, 0.1, size).astype(np.float32) for _ in range(_EXAMPLES)]
    labels = rng.integers(0, 4, _EXAMPLES).tolist()
    examples = batches.pack(waveforms, labels, size, room=size)
    indices = rng.permuted(np.tile(np.arange(_EXAMPLES, dtype=np.int32), (_RUNS, 1)), axis=1)
    indices = indices[:, :batch]
    key = jax.random.key(0)
    state = jax.device_get(fresh_state(model, _OPTIMIZER, input_shape(front_end)))

    def step_of(number: Any, key: jax.Array) -> TrainStep:
        return training.training_step(model, front_end, _OPTIMIZER, key, 4)

    own, placed = jax.device_put(examples), jax.device_put(indices)
    step = training.make_train_step(model, front_end, _OPTIMIZER, key, 4)
    one = compile_traced(step.trace(jax.device_put(state), own, placed[0]))
    each = [_stepping(one.call, jax.device_put(state), own, row) for row in placed]
    programs: dict[str, Program] = {
        "one": dataclasses.replace(one, call=each[0]),
        "separate": dataclasses.replace(one, call=lambda: [call() for call in each]),
    }
    for engine in ENGINES:
        together = Together(engine, _RUNS)
        given = (
            together.replicate(examples),
            together.place(indices[:, None]),
            together.stack([key] * _RUNS),
        )
        states = together.stack([state] * _RUNS)
        program = compile_traced(together.compile_step(step_of).trace(states, *given))
        programs[engine] = dataclasses.replace(
            program, call=_stepping(program.call, states, *given)
        )
    seconds = time_together(programs, settings.rounds)
    return [
        {
            "model": f"{name}, {batch}",
            "form": form,
            **summary("ms", 1e3 * seconds[form]),
            **comparison("of_separate", seconds[form] / seconds["separate"]),
            **comparison("of_one", seconds[form] / seconds["one"]),
            "memory_mib": scaled(program.memory_bytes, 2**20),
            "compile_s": program.compile_seconds,
        }
        for form, program in programs.items()
    ]


def cases(settings: Settings) -> Cases:
    """DSCNN at its own size and smaller, and a network of dense layers."""
    sizes = {"dense 32": 20, "dscnn 32": 20, "dscnn 64": 20, "dscnn 128": 20}
    if settings.quick:
        sizes = {"dense 32": 20, "dscnn 32": 20}
    return {
        name: functools.partial(_measured, settings, name, batch) for name, batch in sizes.items()
    }
