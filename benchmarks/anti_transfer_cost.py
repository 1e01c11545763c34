"""Anti-transfer: what it adds to a training step, layer by layer, on both VGG16s.

A step is the whole one of a run: spectrograms, network, losses, gradients and Adam. Beside no
anti-transfer: with the teacher's Gram matrices kept, with the teacher run in every step, and the
straightforward form, which runs it too and makes one Gram matrix of the whole batch's channels,
as the authors' code does. Memory is arguments, results and temporaries of the compiled step;
kept matrices are those of 500 utterances.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from measure import Program, comparison, compile_lowered, scaled, summary, time_together
from settings import Cases, Figure, Settings

from serjax import models, training
from serjax.data import batches
from serjax.errors import InputError
from serjax.training.anti_transfer import OF_TEACHERS, AntiTransferLoss, References
from serjax.training.state import create_state
from serjax.training.task import abstract_variables, input_shape

TITLE = "A training step with anti-transfer"
COLUMNS = {
    "layer": "network, batch, layer",
    "form": "form",
    "ms": "ms",
    "of_none": "time of none",
    "memory_mib": "MiB",
    "memory_of_none": "memory of none",
    "kept_mib": "kept MiB",
}
FIGURE = Figure(
    "of_none", "time of a step without anti-transfer", ("layer",), reference=1, of="none"
)

_UTTERANCES = 500
# A CPU would take a quarter of a minute for a step of the real network's batch of 20.
_BATCHES = {"quat_vgg16": {"cpu": 20, "gpu": 20}, "vgg16": {"cpu": 4, "gpu": 20}}
_QUICK_LAYERS = (2, 9)


class _BatchWide(AntiTransferLoss):
    """One Gram matrix of all channels of all examples, differentiated automatically."""

    def __call__(
        self, references: References | None, indices: jax.Array, features: Mapping[str, Any]
    ) -> jax.Array:
        ((_, name),) = self.terms
        (theirs,) = features[OF_TEACHERS]

        def gram(y: jax.Array) -> jax.Array:
            rows = jnp.moveaxis(y, -1, 1).reshape(len(y) * y.shape[-1], -1)
            return (rows @ rows.T).reshape(-1)

        ours, theirs = gram(features[name]), jax.lax.stop_gradient(gram(theirs))
        cosine = ours @ theirs / (jnp.linalg.norm(ours) * jnp.linalg.norm(theirs) + 1e-9)
        return jnp.full(len(indices), jnp.square(cosine))


class _Steps:
    """Compiled steps of one network that hand one state on to each other."""

    def __init__(self, name: str) -> None:
        platform = jax.devices()[0].platform
        self.batch = _BATCHES[name].get(platform, 20)
        self.model = models.create(name, 4, dropout_rate=0.1)
        self.front_end = models.front_end(name)
        self._optimizer = optax.adam(1e-4)
        rng = np.random.default_rng(0)
        size = self.front_end.segment_samples
        waveforms = [rng.normal(0, 0.1, size).astype(np.float32) for _ in range(_UTTERANCES)]
        labels = rng.integers(0, 4, _UTTERANCES).tolist()
        self.examples = jax.device_put(batches.pack(waveforms, labels, size, room=size))
        self.state = create_state(
            self.model, self._optimizer, jax.random.key(0), input_shape(self.front_end)
        )
        # The teacher starts from other weights; trained ones would take as long.
        self._teacher = create_state(
            self.model, optax.identity(), jax.random.key(1), input_shape(self.front_end)
        ).variables

    def loss(self, layer: int, kind: type[AntiTransferLoss]) -> AntiTransferLoss:
        """The anti-transfer loss at a convolution."""
        spec = training.AntiTransfer("", (str(layer),))
        abstract = abstract_variables(self.model, self.front_end)
        teachers = [(self.model, self._teacher)]
        return kind(self.model, abstract, self.front_end, [spec], teachers)

    def keep(self, loss: AntiTransferLoss) -> References:
        """What is kept of all utterances."""
        everything = np.arange(_UTTERANCES, dtype=np.int32)
        return loss.keep(self.state.variables, self.examples, everything, self.batch)

    def compile(self, loss: AntiTransferLoss | None, references: References | None) -> Program:
        """A step as a program of the batch's indices, others in every round."""
        step = training.make_train_step(
            self.model, self.front_end, self._optimizer, jax.random.key(0), 4, anti_transfer=loss
        )

        def renew(number: int) -> tuple[jax.Array]:
            drawn = np.random.default_rng(number).choice(_UTTERANCES, self.batch, replace=False)
            return (jax.device_put(drawn.astype(np.int32)),)

        first = renew(0)
        program = compile_lowered(step.lower(self.state, self.examples, *first, references), *first)

        def call(indices: jax.Array) -> Any:
            self.state, result = program.call(self.state, self.examples, indices, references)
            return result

        return dataclasses.replace(program, call=call, renew=renew)


def _measured(settings: Settings, name: str, layers: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each convolution and form of one network."""
    rows = []
    steps = _Steps(name)
    none = steps.compile(None, None)
    for layer in layers:
        loss, wide = steps.loss(layer, AntiTransferLoss), steps.loss(layer, _BatchWide)
        kept = steps.keep(loss)
        programs = {
            "none": none,
            "kept": steps.compile(loss, kept),
            "in every step": steps.compile(loss, loss.references()),
            "batch-wide": steps.compile(wide, wide.references()),
        }
        seconds = time_together(programs, settings.rounds)
        for form, program in programs.items():
            rows.append(
                {
                    "layer": f"{name}, {steps.batch}, conv{layer}",
                    "form": form,
                    **summary("ms", 1e3 * seconds[form]),
                    **comparison("of_none", seconds[form] / seconds["none"]),
                    "memory_mib": scaled(program.memory_bytes, 2**20),
                    "memory_of_none": scaled(program.memory_bytes, none.memory_bytes),
                    "kept_mib": loss.kept_bytes(_UTTERANCES) / 2**20 if form == "kept" else None,
                    "compile_s": program.compile_seconds,
                }
            )
    return rows


def cases(settings: Settings) -> Cases:
    """Both networks, each at every convolution, or at some.

    Raises:
        InputError: A precision other than float32.
    """
    if settings.dtype != "float32":
        raise InputError(f"--suite anti_transfer: expected --dtype float32, found {settings.dtype}")
    layers = _QUICK_LAYERS if settings.quick else range(1, 14)
    return {name: functools.partial(_measured, settings, name, layers) for name in _BATCHES}
