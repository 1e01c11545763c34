"""Networks: each architecture in real and quaternion numbers, side by side.

Inference at batch size 1 and at the batch size of the highest throughput; a training step (loss,
gradient, Adam) on spectrograms; number of parameters, size of a float32 checkpoint, GFLOP of the
inference of one example, and memory of the compiled step: arguments, results and temporaries, each
shared buffer counted once. The peak, whose fraction the operations of a training step are, is that
of a large matrix product. Both algebras have the model inputs of their papers; the quaternion
networks contain the RH-emo encoder that computes theirs. Ratios refer to the real network in the
same rounds.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import device_peaks
from benchmarks.measure import (
    fraction_of_peak,
    in_unit,
    quantity_columns,
    ratio_columns,
    time_interleaved,
)
from benchmarks.programs import (
    Program,
    compile_concurrently,
    compile_program,
    initial_state,
    with_random_signs,
)
from benchmarks.settings import Cases, DotPlot, Rows, Settings
from benchmarks.torch_networks import torch_networks
from serjax import models
from serjax.errors import InputError, unknown_name
from serjax.training.state import TrainState, parameter_count

TITLE = "Networks, real and quaternion"
COLUMNS = {
    "model": "model",
    "form": "form",
    "parameters": "parameters",
    "checkpoint_mib": "checkpoint MiB",
    "gflop": "GFLOP",
    "latency_ms": "inference ms, 1 example",
    "throughput": "inference examples/s",
    "best_batch": "at batch",
    "batch": "training batch",
    "step_ms": "training step ms",
    "step_vs_real": "time / real",
    "step_peak_fraction": "% of peak",
    "memory_mib": "training MiB",
    "memory_vs_real": "memory / real",
}
FIGURE = DotPlot(
    "step_vs_real",
    "training step's time relative to the real network",
    ("model",),
    reference=1,
    reference_series="real",
)

_CLASSES = 4
_QUATERNION = "quat_"
_FORMS = {"": "real", _QUATERNION: "quaternion"}
# SqueezeNet is measured for the comparison with PyTorch; compiling its quaternion step takes a CPU
# a minute.
_QUICK = ("dscnn", "quat_dscnn", "squeezenet", "vgg16", "quat_vgg16")
# Candidate batch sizes for the highest throughput, and the batch size of training. On a CPU a
# network of many operations would take a minute for a larger batch.
_BATCHES = {"cpu": (1, 4, 16), "gpu": (1, 8, 32, 128)}
_QUICK_BATCHES = {"cpu": (1, 16), "gpu": (1, 32)}
_TRAINING_BATCH = {"cpu": 4, "gpu": 20}
_MANY_OPERATIONS = 1e10
_FEW_EXAMPLES = 2


def _sizes(architecture: str, quick: bool) -> tuple[tuple[int, ...], int]:
    """Selects the batch sizes of inference and of training, the same for all algebras."""
    platform = jax.devices()[0].platform
    if platform == "cpu" and models.describe(architecture, _CLASSES).operations > _MANY_OPERATIONS:
        return (1,) if quick else (1, _FEW_EXAMPLES), _FEW_EXAMPLES
    batches = _QUICK_BATCHES if quick else _BATCHES
    return batches.get(platform, batches["gpu"]), _TRAINING_BATCH.get(platform, 20)


class Network:
    """A network with its weights, and its programs.

    Attributes:
        model: Flax module.
        shape: Shape of an input: frames, bins, channels.
        state: Training state before the first step.
    """

    def __init__(self, name: str, dtype: str) -> None:
        """Makes a network with random weights.

        Args:
            name: One of `serjax.models.names()`.
            dtype: Arithmetic, "float32" or "bfloat16".
        """
        self.model = models.create(name, _CLASSES, dtype=jnp.dtype(dtype))
        self.shape = models.front_end(name).input_shape
        self._optimizer = optax.adam(1e-4)
        self.state = initial_state(self.model, self._optimizer, (1, *self.shape))

    def inputs(self, batch: int) -> tuple[jax.Array, jax.Array]:
        """Samples random spectrograms `[batch, frames, bins, channels]` and labels `[batch]`."""
        rng = np.random.default_rng(batch)
        x = rng.normal(size=(batch, *self.shape)).astype(np.float32)
        return jnp.asarray(x), jnp.asarray(rng.integers(0, _CLASSES, batch), jnp.int32)

    def inference_program(self, batch: int) -> Program:
        """Makes a program of the logits of a batch."""
        program = compile_program(
            lambda variables, x: self.model.apply(variables, x)[0],
            self.state.variables,
            self.inputs(batch)[0],
        )
        return with_random_signs(program, 1)

    def training_program(self, batch: int) -> Program:
        """Makes a program of a training step; its argument is the batch of spectrograms.

        Each call uses the state that the previous call returned.
        """

        def step(
            state: TrainState, x: jax.Array, labels: jax.Array
        ) -> tuple[TrainState, jax.Array]:
            def loss(params: Any) -> tuple[jax.Array, Any]:
                (logits, _), updates = self.model.apply(
                    {"params": params, "batch_stats": state.batch_stats},
                    x,
                    train=True,
                    rngs={"dropout": jax.random.fold_in(jax.random.key(0), state.step)},
                    mutable=["batch_stats"],
                )
                losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
                return losses.mean(), updates.get("batch_stats", {})

            (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
            updates, opt_state = self._optimizer.update(gradient, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
            return TrainState(state.step + 1, params, stats, opt_state), value

        x, labels = self.inputs(batch)
        program = compile_program(step, self.state, x, labels, donate=(0,))
        # A step donates its state, so it has a copy: inference needs the original weights.
        state = jax.tree.map(jnp.copy, self.state)

        def call(x: jax.Array) -> jax.Array:
            nonlocal state
            state, value = program.call(state, x, labels)
            return value

        return with_random_signs(dataclasses.replace(program, call=call, arguments=(x,)))


def _highest_throughput(
    seconds: dict[tuple[str, int], np.ndarray], form: str
) -> tuple[int, np.ndarray]:
    """Selects the batch size of the highest median throughput.

    Args:
        seconds: Seconds of inference, `[rounds]`, by form and batch size.
        form: Form to select for.

    Returns:
        Batch size, and examples per second in each round, `[rounds]`.
    """
    rates = {batch: batch / values for (each, batch), values in seconds.items() if each == form}
    batch = max(rates, key=lambda batch: float(np.median(rates[batch])))
    return batch, rates[batch]


def _measure(settings: Settings, architecture: str, names: tuple[str, ...]) -> Rows:
    """Measures the networks of an architecture; makes a row for each network and baseline."""
    peak = device_peaks.measured().operations_per_second(settings.dtype)
    batches, training_batch = _sizes(architecture, settings.quick)
    networks = {name: Network(name, settings.dtype) for name in names}
    steps = compile_concurrently(
        {
            name: functools.partial(network.training_program, training_batch)
            for name, network in networks.items()
        }
    )
    inference = compile_concurrently(
        {
            (name, batch): functools.partial(network.inference_program, batch)
            for name, network in networks.items()
            for batch in batches
        }
    )
    if settings.baselines and architecture in networks:
        forms = torch_networks(architecture, networks[architecture], settings.dtype)
        for form, baseline in forms.items():
            inference |= {(form, batch): baseline.inference_program(batch) for batch in batches}
            steps[form] = baseline.training_program(training_batch)
    durations = time_interleaved(
        {f"{form} {batch}": program for (form, batch), program in inference.items()},
        settings.rounds,
    )
    inference_seconds = {key: durations[f"{key[0]} {key[1]}"] for key in inference}
    step_seconds = time_interleaved(steps, settings.rounds)

    rows = []
    for form, step in steps.items():
        network = networks.get(form)
        best_batch, rates = _highest_throughput(inference_seconds, form)
        row: dict[str, Any] = {
            "model": architecture,
            "form": _FORMS.get(form.removesuffix(architecture), form),
            "parameters": network and parameter_count(network.state.params),
            "checkpoint_mib": network and 4 * parameter_count(network.state.variables) / 2**20,
            "gflop": in_unit(inference[form, 1].operations, 1e9),
            **quantity_columns("latency_ms", 1e3 * inference_seconds[form, 1]),
            **quantity_columns("throughput", rates),
            "best_batch": best_batch,
            "batch": training_batch,
            **quantity_columns("step_ms", 1e3 * step_seconds[form]),
            "step_vs_real": None,
            "step_gflop": in_unit(step.operations, 1e9),
            "step_peak_fraction": fraction_of_peak(step.operations, step_seconds[form], peak),
            "memory_mib": in_unit(step.memory_bytes, 2**20),
            "memory_vs_real": None,
        }
        if architecture in steps:
            ratios = step_seconds[form] / step_seconds[architecture]
            row |= ratio_columns("step_vs_real", ratios)
            row["memory_vs_real"] = in_unit(step.memory_bytes, steps[architecture].memory_bytes)
        rows.append(row)
    return rows


def cases(settings: Settings) -> Cases:
    """Returns a case for each architecture: its real and its quaternion network.

    Raises:
        InputError: A name is unknown, or that of a network of another algebra.
    """
    known = [name for name in models.names() if not name.startswith("phm")]
    for name in settings.models:
        if name not in known:
            raise InputError(unknown_name("model", name, known))
    selected = settings.models or (_QUICK if settings.quick else known)
    pairs = {
        name: tuple(each for each in (name, _QUATERNION + name) if each in selected)
        for name in known
        if not name.startswith(_QUATERNION)
    }
    return {
        ", ".join(pair): functools.partial(_measure, settings, name, pair)
        for name, pair in pairs.items()
        if pair
    }
