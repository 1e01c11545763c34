"""Cost of anti-transfer in a training step, for each layer of the real and quaternion VGG16.

A step is that of a training run: spectrograms, network, losses, gradients and Adam's update. "none"
has no anti-transfer loss. "cached" reads the source-task network's Gram matrices from a cache.
"recomputed" runs the source-task network up to the layer in every step. "batch-wide" runs it too,
and makes one Gram matrix of the channels of the whole batch, as the authors' code does. The memory
is that of arguments, results and temporaries of the compiled step, including the cached matrices of
500 utterances. `--quick` measures some of the layers, and the DSCNN instead of the real VGG16,
because its steps are short.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.measure import in_unit, quantity_columns, ratio_columns, time_interleaved
from benchmarks.programs import Program, compile_concurrently, compile_traced, initial_state
from benchmarks.settings import Cases, DotPlot, Rows, Settings
from serjax import models, training
from serjax.anti_transfer.config import AntiTransfer
from serjax.anti_transfer.loss import SOURCE_FEATURES, AntiTransferLoss, ReferenceArrays
from serjax.data import batches
from serjax.errors import InputError
from serjax.training.build import abstract_variables, input_shape
from serjax.training.objective.task_loss import Batch

TITLE = "A training step with anti-transfer"
COLUMNS = {
    "layer": "network, batch, layer",
    "form": "form",
    "ms": "ms",
    "time_vs_none": "time / none",
    "memory_mib": "step MiB",
    "memory_vs_none": "memory / none",
    "cached_mib": "cached MiB",
}
FIGURE = DotPlot(
    "time_vs_none",
    "time relative to a step without anti-transfer",
    ("layer",),
    reference=1,
    reference_series="none",
)

_UTTERANCES = 500
_SECONDS = 4  # of an utterance
# On a CPU a step of the real network would take 15 s at batch size 20.
_BATCH, _CPU_BATCHES, _QUICK_CPU_BATCHES = 20, {"vgg16": 4}, {"quat_vgg16": 8}
_LAYERS = dict.fromkeys(("quat_vgg16", "vgg16"), range(1, 14))
_QUICK_LAYERS = {"quat_vgg16": (2,), "dscnn": (2, 6)}


class _BatchWide(AntiTransferLoss):
    """Loss of one Gram matrix of all channels of all examples, differentiated automatically."""

    def __call__(
        self, arrays: ReferenceArrays, batch: Batch, features: Mapping[str, Any], logits: jax.Array
    ) -> jax.Array:
        ((_, name),) = self.layers
        (source_features,) = features[SOURCE_FEATURES]

        def gram(y: jax.Array) -> jax.Array:
            rows = jnp.moveaxis(y, -1, 1).reshape(len(y) * y.shape[-1], -1)
            return (rows @ rows.T).reshape(-1)

        target, source = gram(features[name]), jax.lax.stop_gradient(gram(source_features))
        cosine = target @ source / (jnp.linalg.norm(target) * jnp.linalg.norm(source) + 1e-9)
        return jnp.full(len(batch.indices), jnp.square(cosine))


class _Steps:
    """Compiled training steps of one network; each call uses the state that the last one returned.

    Attributes:
        batch: Batch size.
        model: Flax module.
        front_end: Front end of the network.
        examples: Random waveforms and labels.
        state: Current training state.
    """

    def __init__(self, name: str, quick: bool) -> None:
        """Makes a network and random examples.

        Args:
            name: One of `serjax.models.names()`.
            quick: Use the batch sizes of `--quick`.
        """
        batch_sizes = _QUICK_CPU_BATCHES if quick else _CPU_BATCHES
        on_cpu = jax.devices()[0].platform == "cpu"
        self.batch = batch_sizes.get(name, _BATCH) if on_cpu else _BATCH
        self.model = models.create(name, 4, dropout_rate=0.1)
        self.front_end = models.front_end(name)
        self._optimizer = optax.adam(1e-4)
        rng = np.random.default_rng(0)
        size = min(self.front_end.segment_samples, _SECONDS * self.front_end.sample_rate)
        waveforms = [rng.normal(0, 0.1, size).astype(np.float32) for _ in range(_UTTERANCES)]
        labels = rng.integers(0, 4, _UTTERANCES).tolist()
        self.examples = jax.device_put(batches.pack(waveforms, labels, size, room=size))
        shape = input_shape(self.front_end)
        self.state = initial_state(self.model, self._optimizer, shape)
        # Random weights take the same time as trained ones.
        self._source_variables = initial_state(
            self.model, optax.identity(), shape, seed=1
        ).variables

    def loss(self, layer: int, kind: type[AntiTransferLoss]) -> AntiTransferLoss:
        """Makes the anti-transfer loss at a convolution.

        Args:
            layer: Number of the convolution.
            kind: Class of the loss.
        """
        term = AntiTransfer("", (str(layer),))
        abstract = abstract_variables(self.model, self.front_end)
        networks = [(self.model, self._source_variables)]
        return kind(self.model, abstract, self.front_end, [term], networks)

    def cached_references(self, loss: AntiTransferLoss) -> ReferenceArrays:
        """Makes a cache of the size that the loss has for all utterances.

        Its values are random: they take the same time to read.
        """
        size = loss.cache_bytes(1)
        values = np.random.default_rng(0).integers(-127, 128, (_UTTERANCES, size), np.int8)
        return ReferenceArrays((), (jnp.asarray(values),), jnp.arange(_UTTERANCES, dtype=jnp.int32))

    def compile(self, loss: AntiTransferLoss | None, references: ReferenceArrays | None) -> Program:
        """Compiles a training step; its argument is the indices of the batch, random per round.

        Args:
            loss: Anti-transfer loss, or None.
            references: References of the loss, or None.
        """
        step = training.make_train_step(
            self.model,
            self.front_end,
            self._optimizer,
            jax.random.key(0),
            4,
            auxiliary_losses={} if loss is None else {"anti_transfer": loss},
        )
        arrays = {} if references is None else {"anti_transfer": references}

        def make_arguments(index: int) -> tuple[jax.Array]:
            rng = np.random.default_rng(index)
            indices = rng.choice(_UTTERANCES, self.batch, replace=False)
            return (jax.device_put(indices.astype(np.int32)),)

        first = make_arguments(0)
        program = compile_traced(step.trace(self.state, self.examples, *first, arrays), *first)

        def call(indices: jax.Array) -> Any:
            self.state, result = program.call(self.state, self.examples, indices, arrays)
            return result

        return dataclasses.replace(program, call=call, make_arguments=make_arguments)


def _measure(settings: Settings, name: str, layers: Sequence[int]) -> Rows:
    """Measures a network; makes a row for each convolution and form."""
    rows: Rows = []
    steps = _Steps(name, settings.quick)
    programs: dict[str, Program] = {}
    for layer in layers:
        loss, wide = steps.loss(layer, AntiTransferLoss), steps.loss(layer, _BatchWide)
        makers = {
            "none": functools.partial(steps.compile, None, None),
            "cached": functools.partial(steps.compile, loss, steps.cached_references(loss)),
            "recomputed": functools.partial(steps.compile, loss, loss.references()),
            "batch-wide": functools.partial(steps.compile, wide, wide.references()),
        }
        if programs:  # the step without anti-transfer is the same for all
            del makers["none"]
        programs |= compile_concurrently(makers)
        none = programs["none"]
        seconds = time_interleaved(programs, settings.rounds)
        cached_mib = loss.cache_bytes(_UTTERANCES) / 2**20
        for form, program in programs.items():
            rows.append(
                {
                    "layer": f"{name}, {steps.batch}, conv{layer}",
                    "form": form,
                    **quantity_columns("ms", 1e3 * seconds[form]),
                    **ratio_columns("time_vs_none", seconds[form] / seconds["none"]),
                    "memory_mib": in_unit(program.memory_bytes, 2**20),
                    "memory_vs_none": in_unit(program.memory_bytes, none.memory_bytes),
                    "cached_mib": cached_mib if form == "cached" else None,
                }
            )
    return rows


def cases(settings: Settings) -> Cases:
    """Returns a case for each network: all convolutions of it, or some if `quick`.

    Raises:
        InputError: A precision other than float32, or a network that this suite does not measure.
    """
    if settings.dtype != "float32":
        raise InputError(f"--suite anti_transfer: expected --dtype float32, found {settings.dtype}")
    layers = _QUICK_LAYERS if settings.quick else _LAYERS
    for name in settings.models:
        if name not in layers:
            raise InputError(f"--models: expected {' or '.join(layers)}, found {name!r}")
    return {
        name: functools.partial(_measure, settings, name, layers[name])
        for name in settings.models or layers
    }
