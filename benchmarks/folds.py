"""Batched runs: one step of five folds in one program, compared with five steps of one run.

A step is that of a training run: spectrograms, network, loss, gradients, Adam's update, and the
transfer of its results to the host. "single" is a step of one run, "sequential" the steps of five
runs one after the other, "vmap" and "scan" the batching of `serjax.protocols.run_batch`, on all
devices. The reference is the time of "sequential"; on a GPU also that of a single run of a small
network, which leaves most of the GPU idle. "dscnn 32, 20" is the DSCNN on images of 32 rows and
columns at batch size 20; "dense" is two dense layers.
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

from benchmarks.measure import in_unit, quantity_columns, ratio_columns, time_interleaved
from benchmarks.programs import Program, compile_traced, initial_state
from benchmarks.settings import Cases, DotPlot, Rows, Settings
from serjax import models, training
from serjax.data import batches
from serjax.features.front_ends import FrontEnd
from serjax.protocols.run_batch import METHODS, RunBatch
from serjax.training.build import input_shape
from serjax.training.state import TrainState
from serjax.training.step import TrainStep

TITLE = "Five folds in one program"
COLUMNS = {
    "model": "network, batch",
    "form": "form",
    "ms": "ms",
    "time_vs_sequential": "time / sequential",
    "time_vs_single": "time / single",
    "memory_mib": "step MiB",
    "compile_s": "compile s",
}
FIGURE = DotPlot(
    "time_vs_sequential",
    "time relative to one run after the other",
    ("model",),
    reference=1,
    reference_series="sequential",
)

_RUNS = 5
_EXAMPLES = 100
_SECONDS = 4  # of an example
_OPTIMIZER = optax.adam(1e-3)


class _Dense(nn.Module):
    """A network of two hidden dense layers and an output layer, without convolutions."""

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
    """Makes a network and its front end.

    Args:
        name: Kind of network, and frames and bins of its input, such as "dscnn 32".
        dtype: Arithmetic, "float32" or "bfloat16".
    """
    kind, size = name.split()
    image_size = (int(size), int(size))
    front_end = dataclasses.replace(models.front_end("dscnn"), image_size=image_size)
    if kind == "dense":
        return _Dense(jnp.dtype(dtype)), front_end
    return models.create("dscnn", 4, dtype=jnp.dtype(dtype)), front_end


def _stateful_call(
    program: Callable[..., Any], state: TrainState, *arguments: Any
) -> Callable[[], Any]:
    """Makes a function that takes a step and copies its results to the host, as a run does.

    Args:
        program: Training step.
        state: State before the first step; each call uses the state that the last one returned.
        *arguments: Further arguments of the step.
    """

    def call() -> Any:
        nonlocal state
        state, results = program(state, *arguments)
        return jax.device_get(results)

    return call


def _measure(settings: Settings, name: str, batch: int) -> Rows:
    """Measures a network; makes a row for each form."""
    model, front_end = _network(name, settings.dtype)
    rng = np.random.default_rng(0)
    size = min(front_end.segment_samples, _SECONDS * front_end.sample_rate)
    waveforms = [rng.normal(0, 0.1, size).astype(np.float32) for _ in range(_EXAMPLES)]
    labels = rng.integers(0, 4, _EXAMPLES).tolist()
    examples = batches.pack(waveforms, labels, size, room=size)
    indices = rng.permuted(np.tile(np.arange(_EXAMPLES, dtype=np.int32), (_RUNS, 1)), axis=1)
    indices = indices[:, :batch]
    key = jax.random.key(0)
    state = jax.device_get(initial_state(model, _OPTIMIZER, input_shape(front_end)))

    def make_step(number: Any, key: jax.Array) -> TrainStep:
        return training.training_step(model, front_end, _OPTIMIZER, key, 4)

    device_examples, device_indices = jax.device_put(examples), jax.device_put(indices)
    step = training.make_train_step(model, front_end, _OPTIMIZER, key, 4)
    single = compile_traced(step.trace(jax.device_put(state), device_examples, device_indices[0]))
    calls = [
        _stateful_call(single.call, jax.device_put(state), device_examples, row)
        for row in device_indices
    ]
    programs: dict[str, Program] = {
        "single": dataclasses.replace(single, call=calls[0]),
        "sequential": dataclasses.replace(single, call=lambda: [call() for call in calls]),
    }
    for method in METHODS:
        run_batch = RunBatch(method, _RUNS)
        arguments = (
            run_batch.replicate(examples),
            run_batch.place(indices[:, None]),
            run_batch.stack([key] * _RUNS),
        )
        states = run_batch.stack([state] * _RUNS)
        program = compile_traced(run_batch.compile_step(make_step).trace(states, *arguments))
        programs[method] = dataclasses.replace(
            program, call=_stateful_call(program.call, states, *arguments)
        )
    seconds = time_interleaved(programs, settings.rounds)
    return [
        {
            "model": f"{name}, {batch}",
            "form": form,
            **quantity_columns("ms", 1e3 * seconds[form]),
            **ratio_columns("time_vs_sequential", seconds[form] / seconds["sequential"]),
            **ratio_columns("time_vs_single", seconds[form] / seconds["single"]),
            "memory_mib": in_unit(program.memory_bytes, 2**20),
            "compile_s": program.compile_seconds,
        }
        for form, program in programs.items()
    ]


def cases(settings: Settings) -> Cases:
    """Returns a case for the DSCNN at several input sizes, and for a network of dense layers."""
    sizes = {"dense 32": 20, "dscnn 32": 20, "dscnn 64": 20, "dscnn 128": 20}
    if settings.quick:
        sizes = {"dense 32": 20, "dscnn 32": 20}
    return {
        name: functools.partial(_measure, settings, name, batch) for name, batch in sizes.items()
    }
