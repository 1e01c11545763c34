"""Anti-transfer learning: frozen networks whose layers a network in training is to differ from.

The loss of a layer is `serjax.losses.anti_transfer_loss`. Of a frozen network, the teacher, only
what its layers need is kept and computed, forward only. Both networks read the same spectrogram,
and the same embedding of it where they stand behind one. Where an example's input is the same in
every epoch, so are the teacher's Gram matrices: they are computed once, and kept on the device.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from serjax import losses
from serjax.anti_transfer.source_network import Teacher, embedded_method
from serjax.data import batches
from serjax.data.batches import Examples
from serjax.errors import InputError, unknown_name
from serjax.features.front_ends import FrontEnd
from serjax.losses import gram
from serjax.training import freeze
from serjax.training.build import abstract_variables, build_model, input_shape
from serjax.training.config import AntiTransfer, RunConfig, front_end_of
from serjax.training.state import Variables

# More than this is computed anew in every step instead of kept.
_MOST_KEPT_BYTES = 2**32
OF_TEACHERS = "of teachers"
"""Where the features of a network in training hold its teachers' layers."""


@flax.struct.dataclass
class References:
    """Arrays of the teachers that a training step reads.

    Attributes:
        leaves: Variables of each teacher; empty where kept.
        kept: Of each layer of each teacher `[training examples, n]` int8, see
            `serjax.losses.gram.quantize`; empty where not.
        row: `[examples]` int32, an example's row in these.
    """

    leaves: tuple[list[jax.Array], ...]
    kept: tuple[jax.Array, ...]
    row: jax.Array


class AntiTransferLoss:
    """The anti-transfer terms of a run: several teachers, several layers of each.

    Args:
        model: The network in training.
        abstract: Shapes and dtypes of its variables.
        front_end: What it hears.
        specs: Teachers and layers.
        teachers: The network and the variables of each, see `load_source_networks`.

    Attributes:
        teachers: The frozen networks.
        terms: Teacher's specification and name of each layer, in order.
        embedding: Variables of the first teacher's embedding, `{collection: tree}`, where the
            network stands behind one.

    Raises:
        InputError: No such layer, or one of another shape.
    """

    def __init__(
        self,
        model: nn.Module,
        abstract: Variables,
        front_end: FrontEnd,
        specs: Sequence[AntiTransfer],
        teachers: Sequence[tuple[nn.Module, Variables]],
    ) -> None:
        self._model, self._front_end, self._specs = model, front_end, specs
        x, mask = _input(front_end)
        features = _features(model, abstract, front_end)
        shared = x if embedded_method(model) is None else features["embedding"]
        self._embedding_layers = [
            freeze.leaf_path(keys)[:-1]
            for keys, _ in jax.tree_util.tree_leaves_with_path(abstract["params"])
            if embedded_method(model) is not None and freeze.leaf_path(keys)[0] == "embedding"
        ]
        self._layers = [_resolve(spec, features) for spec in specs]
        self.terms = [
            (spec, layer)
            for spec, layers in zip(specs, self._layers, strict=True)
            for layer in layers
        ]
        shapes = [features[layer].shape[1:] for _, layer in self.terms]
        self._shapes = [(math.prod(shape[:-1]), shape[-1]) for shape in shapes]
        self.teachers: list[Teacher] = []
        self.embedding: Variables = {}
        for spec, layers, (network, variables) in zip(specs, self._layers, teachers, strict=True):
            teacher = Teacher(network, variables, layers, shared, mask)
            found = jax.eval_shape(teacher, teacher.leaves, shared, mask)
            for layer, of_teacher in zip(layers, found, strict=True):
                if of_teacher.shape != features[layer].shape:
                    raise InputError(
                        f"{spec.teacher}: expected {layer} of the shape "
                        f"{features[layer].shape[1:]} that the network in training has, found "
                        f"{of_teacher.shape[1:]}"
                    )
            self.teachers.append(teacher)
            if not self.embedding and embedded_method(model) is not None:
                self.embedding = {
                    collection: tree["embedding"]
                    for collection, tree in variables.items()
                    if "embedding" in tree
                }

    def describe(self) -> str:
        """Which layers of which teachers, in a line."""
        return "; ".join(
            f"{', '.join(layers)} of {spec.teacher} (beta {spec.beta:g}, {spec.aggregation})"
            for spec, layers in zip(self._specs, self._layers, strict=True)
        )

    def why_not_kept(self, examples: int, augmentation: str, frozen: freeze.Frozen) -> str | None:
        """Why the teachers' layers must be computed in every step; None: they need not.

        Args:
            examples: Training examples.
            augmentation: As of the run, or "none".
            frozen: Layers of the network that do not train.
        """
        if augmentation != "none":
            return "augmentation changes the input"
        if self._front_end.variable_length:
            return "every epoch hears other chunks"
        if any(not freeze.is_frozen(path, frozen, sys.maxsize) for path in self._embedding_layers):
            return "the embedding trains"
        if any(spec.aggregation != "gram" for spec in self._specs):
            return "only Gram matrices are kept"
        if self.kept_bytes(examples) > _MOST_KEPT_BYTES:
            return f"{self.kept_bytes(examples) / 2**30:.1f} GiB would be too much to keep"
        return None

    def kept_bytes(self, examples: int) -> int:
        """Bytes that keeping the teachers' layers for so many examples takes."""
        return examples * sum(gram.quantized_size(*shape) for shape in self._shapes)

    def references(self) -> References:
        """What a step reads where nothing is kept."""
        leaves = tuple(jax.device_put(teacher.leaves) for teacher in self.teachers)
        return References(leaves, (), jnp.zeros((0,), jnp.int32))

    def keep(
        self, variables: Variables, examples: Examples, members: np.ndarray, batch_size: int
    ) -> References:
        """Computes what a step reads where the teachers' layers are kept.

        Args:
            variables: Of the network in training, whose embedding is used.
            examples: On the device.
            members: `[n]` int32, indices of the training examples.
            batch_size: Examples at a time.
        """
        front_end, size = self._front_end, self._front_end.segment_samples
        sources = self.references().leaves

        @jax.jit
        def rows(
            variables: Variables, sources: Any, examples: Examples, indices: jax.Array
        ) -> list[jax.Array]:
            start, length, _, _ = batches.select(examples, indices)
            x, mask = front_end(batches.cut(examples.samples, start, length, size), length)
            shared: Any = x
            if embedded_method(self._model) is not None:
                shared = self._model.apply(variables, x, mask=mask, method="embed")
            layers = self._of_teachers(sources, shared, mask)
            return [jax.vmap(gram.quantize)(_positions(layer)) for layer in layers]

        parts = []
        for first in range(0, len(members), batch_size):
            batch = members[first : first + batch_size].astype(np.int32)
            indices = np.pad(batch, (0, batch_size - len(batch)), constant_values=-1)
            parts.append(rows(variables, sources, examples, jax.device_put(indices)))
        kept = tuple(jnp.concatenate(layer)[: len(members)] for layer in zip(*parts, strict=True))
        row = np.zeros(len(examples), np.int32)
        row[members] = np.arange(len(members))
        return References((), kept, jax.device_put(row))

    def beside(
        self, apply: Callable[..., Any], references: References | None
    ) -> Callable[..., Any]:
        """The network's `apply`, with the teachers' layers among its features.

        Teachers run before the network does, so that what they take meanwhile is free again when
        it needs most.

        Args:
            apply: `(variables, x, mask=..., **options) -> ((logits, features), updates)`.
            references: From `references` or `keep`; of the latter nothing is run.
        """
        assert references is not None  # of every run that has this loss
        if references.kept:
            return apply
        sources, behind = references.leaves, embedded_method(self._model)

        def run(
            variables: Variables, x: jax.Array, *, mask: jax.Array, **options: Any
        ) -> tuple[Any, Any]:
            embedding = {}
            if behind is not None:
                x, updates = apply(variables, x, mask=mask, method="embed", **options)
                embedding, variables = {"embedding": x}, {**variables, **updates}
            of_teachers = self._of_teachers(sources, jax.lax.stop_gradient(x), mask)
            # A barrier would say this too, but XLA drops them on CPUs before it orders a program.
            last = sum(layer[(0,) * layer.ndim] for layer in of_teachers)
            x += 0 * jnp.asarray(last, x.dtype)
            (logits, features), updates = apply(variables, x, mask=mask, method=behind, **options)
            return (logits, {**embedding, **features, OF_TEACHERS: of_teachers}), updates

        return run

    def _of_teachers(self, sources: Any, shared: jax.Array, mask: jax.Array) -> list[jax.Array]:
        """Activations of all terms' layers in the teachers."""
        return [
            layer
            for teacher, leaves in zip(self.teachers, sources, strict=True)
            for layer in teacher(leaves, shared, mask)
        ]

    def __call__(
        self, references: References | None, indices: jax.Array, features: Mapping[str, Any]
    ) -> jax.Array:
        """Sum of the terms of each example.

        Args:
            references: From `references` or `keep`.
            indices: `[batch]` int32, the examples; -1 is an empty entry.
            features: Of what `beside` made of the network's `apply`.

        Returns:
            `[batch]` float32.
        """
        assert references is not None  # of every run that has this loss
        total = jnp.zeros(len(indices), jnp.float32)
        if references.kept:
            rows = references.row[jnp.maximum(indices, 0)]
            for (spec, name), kept in zip(self.terms, references.kept, strict=True):
                layer = _positions(features[name])
                cosine = jax.vmap(gram.similarity_to_quantized)(layer, kept[rows])
                total += spec.beta * jnp.square(cosine)
            return total
        for (spec, name), of_teacher in zip(self.terms, features[OF_TEACHERS], strict=True):
            total += losses.anti_transfer_loss(
                features[name], of_teacher, spec.beta, aggregation=spec.aggregation
            )
        return total


def _positions(features: jax.Array) -> jax.Array:
    """`[batch, ..., channels]` -> `[batch, positions, channels]`."""
    return features.reshape(len(features), -1, features.shape[-1])


def _input(front_end: FrontEnd) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Shapes of one example and its mask."""
    x = jax.ShapeDtypeStruct(input_shape(front_end), jnp.float32)
    return x, jax.ShapeDtypeStruct(x.shape[:2], jnp.bool_)


def _features(model: nn.Module, abstract: Variables, front_end: FrontEnd) -> dict[str, Any]:
    """Shapes of the features that the network gives of one example."""
    _, features = jax.eval_shape(
        lambda v, x, mask: model.apply(v, x, mask=mask), abstract, *_input(front_end)
    )
    return dict(features)


def layers_of(spec: AntiTransfer, student: RunConfig) -> tuple[str, ...]:
    """Names of the layers that a specification means in a network, before a teacher is trained.

    Raises:
        InputError: The network has no such layer.
    """
    model, front_end = build_model(student, 2), front_end_of(student)
    return _resolve(spec, _features(model, abstract_variables(model, front_end), front_end))


def _resolve(spec: AntiTransfer, features: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the layers that a specification means."""
    known = [name for name in features if name != "embedding"]
    if spec.layers == ("all",):
        return tuple(name for name in known if name.startswith("conv"))
    names = [f"conv{layer}" if layer.isdigit() else layer for layer in spec.layers]
    for name in names:
        if name not in known:
            raise InputError(unknown_name("layer for anti-transfer", name, known))
    return tuple(names)
