"""Networks: each architecture in real and quaternion numbers, side by side.

Inference at batch 1 and at the batch of the highest throughput; a training step (loss, gradient,
Adam) on spectrograms; parameters, size of a checkpoint of float32 numbers, GFLOP of one example's
inference, and memory of the compiled step: arguments, results and temporaries without what they
share. The ceiling, of which a training step's operations are a share, is a large matrix product.
Both algebras hear what their papers have them hear: the quaternion networks the embedding
of RH-emo, which is a part of them here. Ratios are to the real network in the same rounds.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import baselines, device_peaks
from benchmarks.measure import (
    Program,
    comparison,
    compile_program,
    fresh_state,
    made_together,
    of_peak,
    renewed,
    scaled,
    summary,
    time_together,
)
from benchmarks.settings import Cases, Figure, Rows, Settings
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
    "step_of_real": "time of real",
    "step_of_peak": "% of ceiling",
    "memory_mib": "training MiB",
    "memory_of_real": "memory of real",
}
FIGURE = Figure(
    "step_of_real", "time of the real network's training step", ("model",), reference=1, of="real"
)

_CLASSES = 4
_QUATERNION = "quat_"
_FORMS = {"": "real", _QUATERNION: "quaternion"}
# SqueezeNet is here for PyTorch's sake; to compile its quaternion step takes a CPU a minute.
_QUICK = ("dscnn", "quat_dscnn", "squeezenet", "vgg16", "quat_vgg16")
# Candidates for the highest throughput, and the training batch. On a CPU a network of many
# operations would take a minute for a larger one.
_BATCHES = {"cpu": (1, 4, 16), "gpu": (1, 8, 32, 128)}
_QUICK_BATCHES = {"cpu": (1, 16), "gpu": (1, 32)}
_TRAINING_BATCH = {"cpu": 4, "gpu": 20}
_MANY_OPERATIONS = 1e10
_FEW_EXAMPLES = 2


def _sizes(architecture: str, quick: bool) -> tuple[tuple[int, ...], int]:
    """Batches of inference, and that of training, the same for all algebras."""
    platform = jax.devices()[0].platform
    if platform == "cpu" and models.describe(architecture, _CLASSES).operations > _MANY_OPERATIONS:
        return (1,) if quick else (1, _FEW_EXAMPLES), _FEW_EXAMPLES
    batches = _QUICK_BATCHES if quick else _BATCHES
    return batches.get(platform, batches["gpu"]), _TRAINING_BATCH.get(platform, 20)


class Network:
    """One of our networks with its weights, and programs of it."""

    def __init__(self, name: str, dtype: str) -> None:
        """Makes a network with fresh weights; `dtype` is that of its arithmetic."""
        self.model = models.create(name, _CLASSES, dtype=jnp.dtype(dtype))
        self.shape = models.front_end(name).input_shape
        self._optimizer = optax.adam(1e-4)
        self.state = fresh_state(self.model, self._optimizer, (1, *self.shape))

    def inputs(self, batch: int) -> tuple[jax.Array, jax.Array]:
        """Random spectrograms and labels."""
        rng = np.random.default_rng(batch)
        x = rng.normal(size=(batch, *self.shape)).astype(np.float32)
        return jnp.asarray(x), jnp.asarray(rng.integers(0, _CLASSES, batch), jnp.int32)

    def inference(self, batch: int) -> Program:
        """Logits of a batch."""
        program = compile_program(
            lambda variables, x: self.model.apply(variables, x)[0],
            self.state.variables,
            self.inputs(batch)[0],
        )
        return renewed(program, 1)

    def training(self, batch: int) -> Program:
        """A training step as a program of its spectrograms, which hands its state on."""

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
        # Inference goes on with the weights that the donated copy leaves behind.
        held = [jax.tree.map(jnp.copy, self.state)]

        def call(x: jax.Array) -> jax.Array:
            held[0], value = program.call(held[0], x, labels)
            return value

        return renewed(dataclasses.replace(program, call=call, arguments=(x,)))


def _best(seconds: dict[tuple[str, int], np.ndarray], form: str) -> tuple[int, np.ndarray]:
    """The batch of the highest median throughput, and examples per second there `[rounds]`."""
    rates = {batch: batch / values for (one, batch), values in seconds.items() if one == form}
    batch = max(rates, key=lambda batch: float(np.median(rates[batch])))
    return batch, rates[batch]


def _measured(settings: Settings, architecture: str, names: tuple[str, ...]) -> Rows:
    peak = device_peaks.measured().flops(settings.dtype)
    batches, training = _sizes(architecture, settings.quick)
    networks = {name: Network(name, settings.dtype) for name in names}
    steps = made_together(
        {name: functools.partial(network.training, training) for name, network in networks.items()}
    )
    inference = made_together(
        {
            (name, batch): functools.partial(network.inference, batch)
            for name, network in networks.items()
            for batch in batches
        }
    )
    for name, network in networks.items():
        if settings.peers and name == architecture:
            for form, peer in baselines.networks(name, network, settings.dtype).items():
                inference |= {(form, batch): peer.inference(batch) for batch in batches}
                steps[form] = peer.training(training)
    waited = time_together(
        {f"{form} {batch}": one for (form, batch), one in inference.items()}, settings.rounds
    )
    seconds = {key: waited[f"{key[0]} {key[1]}"] for key in inference}
    stepped = time_together(steps, settings.rounds)

    rows = []
    for form, step in steps.items():
        ours = networks.get(form)
        best, rates = _best(seconds, form)
        row: dict[str, Any] = {
            "model": architecture,
            "form": _FORMS.get(form.removesuffix(architecture), form),
            "parameters": ours and parameter_count(ours.state.params),
            "checkpoint_mib": ours and 4 * parameter_count(ours.state.variables) / 2**20,
            "gflop": scaled(inference[form, 1].operations, 1e9),
            **summary("latency_ms", 1e3 * seconds[form, 1]),
            **summary("throughput", rates),
            "best_batch": best,
            "batch": training,
            **summary("step_ms", 1e3 * stepped[form]),
            "step_of_real": None,
            "step_gflop": scaled(step.operations, 1e9),
            "step_of_peak": of_peak(step.operations, stepped[form], peak),
            "memory_mib": scaled(step.memory_bytes, 2**20),
            "memory_of_real": None,
        }
        if architecture in steps:
            row |= comparison("step_of_real", stepped[form] / stepped[architecture])
            row["memory_of_real"] = scaled(step.memory_bytes, steps[architecture].memory_bytes)
        rows.append(row)
    return rows


def cases(settings: Settings) -> Cases:
    """A case for each architecture: its real and its quaternion network.

    Raises:
        InputError: Unknown name of a network, or one of another algebra.
    """
    known = [name for name in models.names() if not name.startswith("phm")]
    for name in settings.models:
        if name not in known:
            raise InputError(unknown_name("model", name, known))
    selected = settings.models or (_QUICK if settings.quick else known)
    pairs = {
        name: tuple(one for one in (name, _QUATERNION + name) if one in selected)
        for name in known
        if not name.startswith(_QUATERNION)
    }
    return {
        ", ".join(pair): functools.partial(_measured, settings, name, pair)
        for name, pair in pairs.items()
        if pair
    }
