"""Anti-transfer: what it adds to a training step, layer by layer, on both VGG16s.

A step is the whole one of a run: spectrograms, network, losses, gradients and Adam. Beside "none",
without anti-transfer: "kept", with the teacher's Gram matrices kept; "in every step", with the
teacher run in every step, up to the layer; and the straightforward form, "batch-wide", which runs
it too and makes one Gram matrix of the whole batch's channels, as the authors' code does. Memory
is arguments, results and temporaries of the compiled step, among them the kept matrices of 500
utterances. The quick suite takes some layers, and in real numbers the DSCNN, whose steps are short.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.measure import (
    Program,
    comparison,
    compile_traced,
    fresh_state,
    made_together,
    scaled,
    summary,
    time_together,
)
from benchmarks.settings import Cases, Figure, Settings
from serjax import models, training
from serjax.anti_transfer.loss import OF_TEACHERS, AntiTransferLoss, References
from serjax.data import batches
from serjax.errors import InputError
from serjax.training.build import abstract_variables, input_shape

TITLE = "A training step with anti-transfer"
COLUMNS = {
    "layer": "network, batch, layer",
    "form": "form",
    "ms": "ms",
    "of_none": "time of none",
    "memory_mib": "step MiB",
    "memory_of_none": "memory of none",
    "kept_mib": "kept MiB",
}
FIGURE = Figure(
    "of_none", "time of a step without anti-transfer", ("layer",), reference=1, of="none"
)

_UTTERANCES = 500
# A CPU would take a quarter of a minute for a step of 20 of the real network.
_BATCH, _CPU_BATCHES, _QUICK_CPU_BATCHES = 20, {"vgg16": 4}, {"quat_vgg16": 8}
_LAYERS = dict.fromkeys(("quat_vgg16", "vgg16"), range(1, 14))
_QUICK_LAYERS = {"quat_vgg16": (2,), "dscnn": (2, 6)}


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

    def __init__(self, name: str, quick: bool) -> None:
        batches_of = _QUICK_CPU_BATCHES if quick else _CPU_BATCHES
        on_cpu = jax.devices()[0].platform == "cpu"
        self.batch = batches_of.get(name, _BATCH) if on_cpu else _BATCH
        self.model = models.create(name, 4, dropout_rate=0.1)
        self.front_end = models.front_end(name)
        self._optimizer = optax.adam(1e-4)
        rng = np.random.default_rng(0)
        size = self.front_end.segment_samples
        waveforms = [rng.normal(0, 0.1, size).astype(np.float32) for _ in range(_UTTERANCES)]
        labels = rng.integers(0, 4, _UTTERANCES).tolist()
        self.examples = jax.device_put(batches.pack(waveforms, labels, size, room=size))
        shape = input_shape(self.front_end)
        self.state = fresh_state(self.model, self._optimizer, shape)
        # Trained weights would take as long.
        self._teacher = fresh_state(self.model, optax.identity(), shape, seed=1).variables

    def loss(self, layer: int, kind: type[AntiTransferLoss]) -> AntiTransferLoss:
        """The anti-transfer loss at a convolution."""
        spec = training.AntiTransfer("", (str(layer),))
        abstract = abstract_variables(self.model, self.front_end)
        teachers = [(self.model, self._teacher)]
        return kind(self.model, abstract, self.front_end, [spec], teachers)

    def kept(self, loss: AntiTransferLoss) -> References:
        """As many numbers as are kept of all utterances; random ones take as long to read."""
        size = loss.kept_bytes(1)
        numbers = np.random.default_rng(0).integers(-127, 128, (_UTTERANCES, size), np.int8)
        return References((), (jnp.asarray(numbers),), jnp.arange(_UTTERANCES, dtype=jnp.int32))

    def compile(self, loss: AntiTransferLoss | None, references: References | None) -> Program:
        """A step as a program of the batch's indices, others in every round."""
        step = training.make_train_step(
            self.model, self.front_end, self._optimizer, jax.random.key(0), 4, anti_transfer=loss
        )

        def renew(number: int) -> tuple[jax.Array]:
            drawn = np.random.default_rng(number).choice(_UTTERANCES, self.batch, replace=False)
            return (jax.device_put(drawn.astype(np.int32)),)

        first = renew(0)
        program = compile_traced(step.trace(self.state, self.examples, *first, references), *first)

        def call(indices: jax.Array) -> Any:
            self.state, result = program.call(self.state, self.examples, indices, references)
            return result

        return dataclasses.replace(program, call=call, renew=renew)


def _measured(settings: Settings, name: str, layers: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each convolution and form of one network."""
    rows = []
    steps = _Steps(name, settings.quick)
    programs: dict[str, Program] = {}
    for layer in layers:
        loss, wide = steps.loss(layer, AntiTransferLoss), steps.loss(layer, _BatchWide)
        makes = {
            "none": functools.partial(steps.compile, None, None),
            "kept": functools.partial(steps.compile, loss, steps.kept(loss)),
            "in every step": functools.partial(steps.compile, loss, loss.references()),
            "batch-wide": functools.partial(steps.compile, wide, wide.references()),
        }
        if programs:  # the step without anti-transfer is the same for all
            del makes["none"]
        programs |= made_together(makes)
        none = programs["none"]
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
                }
            )
    return rows


def cases(settings: Settings) -> Cases:
    """Both algebras, each at every convolution, or at some.

    Raises:
        InputError: A precision other than float32, or a network that is not measured.
    """
    if settings.dtype != "float32":
        raise InputError(f"--suite anti_transfer: expected --dtype float32, found {settings.dtype}")
    chosen = _QUICK_LAYERS if settings.quick else _LAYERS
    for name in settings.models:
        if name not in chosen:
            raise InputError(f"--models: expected {' or '.join(chosen)}, found {name!r}")
    return {
        name: functools.partial(_measured, settings, name, chosen[name])
        for name in settings.models or chosen
    }
