"""Anti-transfer loss of a run: layers of a network are kept dissimilar from source networks.

The loss of a layer is `serjax.losses.anti_transfer_loss` (Guizzo et al., 2023). Of a source network
only the part that the layers need is stored and computed, forward only. Both networks read the same
spectrogram, and the same encoder output if they have an encoder. If an example's input is the same
in every epoch, so are the Gram matrices of the source network: they are computed once and cached on
the device.
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
import optax
from jaxtyping import PyTree

from serjax import losses
from serjax.anti_transfer.config import NAME, UNTRAINED, AntiTransfer, check_configs
from serjax.anti_transfer.source_network import (
    SourceNetwork,
    chance_level_note,
    classify_method,
    load_source_networks,
)
from serjax.data import batches
from serjax.data.batches import Examples
from serjax.errors import InputError, unknown_name
from serjax.features.front_ends import FrontEnd
from serjax.losses import gram
from serjax.models.variables import Variables, leaf_path
from serjax.training.build import abstract_variables, build_model, input_shape
from serjax.training.config import AuxiliaryLossConfig, RunConfig
from serjax.training.config.resolve import front_end_of
from serjax.training.objective.auxiliary_loss import (
    AuxiliaryContext,
    AuxiliaryLoss,
    register_auxiliary_loss_factory,
)
from serjax.training.objective.task_loss import Batch, Features
from serjax.training.optimization import freeze
from serjax.training.state import create_state

# More than this is computed in every step instead of being cached.
_MAX_CACHE_BYTES = 2**32

SOURCE_FEATURES = "features of source networks"
"""Name of the source networks' layers among the features of a network in training."""


@flax.struct.dataclass
class ReferenceArrays:
    """Arrays of the source networks that a training step reads.

    Attributes:
        leaves: Variables of each source network; empty if Gram matrices are cached.
        cached: For each layer of each source network `[training examples, n]` int8, see
            `serjax.losses.gram.quantize`; empty if nothing is cached.
        row: `[examples]` int32, row of an example in `cached`.
    """

    leaves: tuple[list[jax.Array], ...]
    cached: tuple[jax.Array, ...]
    row: jax.Array


class AntiTransferLoss(AuxiliaryLoss):
    """Anti-transfer terms of a run: several source networks, several layers of each.

    Args:
        model: Network in training.
        abstract: Shapes and dtypes of its variables.
        front_end: Front end of the network.
        terms: Source networks and layers.
        networks: Network and variables of each source, see `load_source_networks`.
        augmentation: Augmentation preset of the run.
        frozen: Frozen layers of the network in training.
        log: Function that prints a line.

    Attributes:
        layers: Term and name of each layer, in order.
        initial_embedding: Variables of the first trained source network's encoder, `{collection:
            tree}`, for networks that have one.
        notes: Notes on source networks at chance level.

    Raises:
        InputError: A layer does not exist, or has another shape in the source network.
    """

    def __init__(
        self,
        model: nn.Module,
        abstract: Variables,
        front_end: FrontEnd,
        terms: Sequence[AntiTransfer],
        networks: Sequence[tuple[nn.Module, Variables]],
        *,
        augmentation: str = "none",
        frozen: freeze.Frozen | None = None,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._model, self._front_end, self._terms = model, front_end, terms
        self._augmentation, self._frozen, self._log = augmentation, frozen or {}, log
        x, mask = _abstract_input(front_end)
        features = _abstract_features(model, abstract, front_end)
        has_encoder = classify_method(model) is not None
        shared = features["embedding"] if has_encoder else x
        self._encoder_layers = [
            leaf_path(keys)[:-1]
            for keys, _ in jax.tree_util.tree_leaves_with_path(abstract["params"])
            if has_encoder and leaf_path(keys)[0] == "embedding"
        ]
        self._names = [_resolve_layers(term, features) for term in terms]
        self.layers = [
            (term, name) for term, names in zip(terms, self._names, strict=True) for name in names
        ]
        shapes = [features[name].shape[1:] for _, name in self.layers]
        self._shapes = [(math.prod(shape[:-1]), shape[-1]) for shape in shapes]
        self._sources: list[SourceNetwork] = []
        self.initial_embedding = None
        for term, names, (network, variables) in zip(terms, self._names, networks, strict=True):
            source = SourceNetwork(network, variables, names, shared, mask)
            of_source = jax.eval_shape(source, source.leaves, shared, mask)
            for name, layer in zip(names, of_source, strict=True):
                if layer.shape != features[name].shape:
                    raise InputError(
                        f"{term.source}: expected {name} of the shape "
                        f"{features[name].shape[1:]} of the network in training, found "
                        f"{layer.shape[1:]}"
                    )
            self._sources.append(source)
            # A network without a task has no encoder of its own to start from.
            has_own = has_encoder and term.source != UNTRAINED
            if has_own and self.initial_embedding is None:
                self.initial_embedding = {
                    collection: tree["embedding"]
                    for collection, tree in variables.items()
                    if "embedding" in tree
                }

    def describe(self) -> str:
        """Returns the layers of the source networks in a line."""
        return "; ".join(
            f"{', '.join(names)} of {term.source} (beta {term.beta:g}, {term.aggregation})"
            for term, names in zip(self._terms, self._names, strict=True)
        )

    def why_not_cached(self, examples: int) -> str | None:
        """Returns the reason to compute the source networks in every step, or None.

        Args:
            examples: Number of training examples.
        """
        if self._augmentation != "none":
            return "augmentation changes the input"
        if self._front_end.variable_length:
            return "every epoch has other chunks"
        if any(
            not freeze.is_frozen(path, self._frozen, sys.maxsize) for path in self._encoder_layers
        ):
            return "the embedding trains"
        if any(term.aggregation != "gram" for term in self._terms):
            return "only Gram matrices are cached"
        if self.cache_bytes(examples) > _MAX_CACHE_BYTES:
            return f"a cache of {self.cache_bytes(examples) / 2**30:.1f} GiB would be too large"
        return None

    def cache_bytes(self, examples: int) -> int:
        """Returns the size of the cache for a number of examples, in bytes."""
        return examples * sum(gram.quantized_size(*shape) for shape in self._shapes)

    def prepare(
        self,
        variables: Variables,
        examples: Examples | None,
        indices: np.ndarray,
        batch_size: int,
    ) -> ReferenceArrays:
        """Caches the source networks' Gram matrices if possible; see `AuxiliaryLoss.prepare`."""
        reason = self.why_not_cached(len(indices))
        if examples is None:
            reason = "the corpus is streamed"
        if examples is None or reason is not None:
            self._log(f"its source networks run in every step: {reason}")
            return self.references()
        size = self.cache_bytes(len(indices)) / 2**20
        self._log(f"the Gram matrices of its source networks are cached: {size:.1f} MiB")
        return self.cache(variables, examples, indices, batch_size)

    def references(self) -> ReferenceArrays:
        """Returns the arrays of a step that computes the source networks."""
        leaves = tuple(jax.device_put(source.leaves) for source in self._sources)
        return ReferenceArrays(leaves, (), jnp.zeros((0,), jnp.int32))

    def cache(
        self, variables: Variables, examples: Examples, indices: np.ndarray, batch_size: int
    ) -> ReferenceArrays:
        """Computes the arrays of a step that reads cached Gram matrices.

        Args:
            variables: Variables of the network in training, whose encoder is used.
            examples: Examples on the device.
            indices: `[n]` int32 indices of the training examples.
            batch_size: Number of examples that are computed at once.
        """
        front_end = self._front_end
        leaves = self.references().leaves

        @jax.jit
        def quantized_grams(
            variables: Variables, leaves: PyTree, examples: Examples, indices: jax.Array
        ) -> list[jax.Array]:
            start, length, _, _ = batches.select(examples, indices)
            waveform = batches.cut(examples.samples, start, length, examples.longest)
            x, mask = front_end(waveform, length)
            shared: PyTree = x
            if classify_method(self._model) is not None:
                shared = self._model.apply(variables, x, mask=mask, method="embed")
            layers = self._source_features(leaves, shared, mask)
            return [jax.vmap(gram.quantize)(_positions(layer)) for layer in layers]

        rows = []
        for first in range(0, len(indices), batch_size):
            batch = indices[first : first + batch_size].astype(np.int32)
            padded = np.pad(batch, (0, batch_size - len(batch)), constant_values=-1)
            rows.append(quantized_grams(variables, leaves, examples, jax.device_put(padded)))
        cached = tuple(jnp.concatenate(layer)[: len(indices)] for layer in zip(*rows, strict=True))
        row = np.zeros(len(examples), np.int32)
        row[indices] = np.arange(len(indices))
        return ReferenceArrays((), cached, jax.device_put(row))

    def wrap(self, apply: Callable[..., Any], arrays: ReferenceArrays) -> Callable[..., Any]:
        """Adds the source networks' layers to the features, unless they are cached.

        Source networks run before the network does, so that their memory is free again when the
        network needs most.

        Args:
            apply: `(variables, x, mask=..., **options) -> ((logits, features), updates)`.
            arrays: Arrays from `prepare`.
        """
        if arrays.cached:
            return apply
        leaves, method = arrays.leaves, classify_method(self._model)

        def apply_both(
            variables: Variables, x: jax.Array, *, mask: jax.Array, **options: Any
        ) -> tuple[PyTree, PyTree]:
            embedding = {}
            if method is not None:
                x, updates = apply(variables, x, mask=mask, method="embed", **options)
                embedding, variables = {"embedding": x}, {**variables, **updates}
            layers = self._source_features(leaves, jax.lax.stop_gradient(x), mask)
            # An optimization barrier would order them too, but XLA drops barriers on CPUs before
            # it orders a program.
            last = sum(layer[(0,) * layer.ndim] for layer in layers)
            x += 0 * jnp.asarray(last, x.dtype)
            (logits, features), updates = apply(variables, x, mask=mask, method=method, **options)
            return (logits, {**embedding, **features, SOURCE_FEATURES: layers}), updates

        return apply_both

    def _source_features(
        self, leaves: PyTree, shared: jax.Array, mask: jax.Array
    ) -> list[jax.Array]:
        """Computes the activations of all layers in the source networks."""
        return [
            layer
            for source, own_leaves in zip(self._sources, leaves, strict=True)
            for layer in source(own_leaves, shared, mask)
        ]

    def __call__(
        self, arrays: ReferenceArrays, batch: Batch, features: Features, logits: jax.Array
    ) -> jax.Array:
        """Computes the sum of each example's terms, `[batch]` float32; see `AuxiliaryLoss`."""
        total = jnp.zeros(len(batch.indices), jnp.float32)
        if arrays.cached:
            rows = arrays.row[jnp.maximum(batch.indices, 0)]
            for (term, name), cached in zip(self.layers, arrays.cached, strict=True):
                layer = _positions(features[name])
                cosine = jax.vmap(gram.similarity_to_quantized)(layer, cached[rows])
                total += term.beta * jnp.square(cosine)
            return total
        for (term, name), of_source in zip(self.layers, features[SOURCE_FEATURES], strict=True):
            total += losses.anti_transfer_loss(
                features[name], of_source, term.beta, aggregation=term.aggregation
            )
        return total


def _positions(features: jax.Array) -> jax.Array:
    """Reshapes `[batch, ..., channels]` to `[batch, positions, channels]`."""
    return features.reshape(len(features), -1, features.shape[-1])


def _abstract_input(front_end: FrontEnd) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Returns shape and dtype of one example and its mask."""
    x = jax.ShapeDtypeStruct(input_shape(front_end), jnp.float32)
    return x, jax.ShapeDtypeStruct(x.shape[:2], jnp.bool_)


def _abstract_features(
    model: nn.Module, abstract: Variables, front_end: FrontEnd
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and dtypes of a network's features for one example."""
    _, features = jax.eval_shape(
        lambda v, x, mask: model.apply(v, x, mask=mask), abstract, *_abstract_input(front_end)
    )
    return dict(features)


def layers_of(term: AntiTransfer, student: RunConfig) -> tuple[str, ...]:
    """Returns the names of the layers that a term selects, before a source network is trained.

    Args:
        term: Source network and layers.
        student: Configuration of the network in training.

    Raises:
        InputError: The network has no such layer.
    """
    model, front_end = build_model(student, 2), front_end_of(student)
    features = _abstract_features(model, abstract_variables(model, front_end), front_end)
    return _resolve_layers(term, features)


def _resolve_layers(term: AntiTransfer, features: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the layers that a term selects."""
    known = [name for name in features if name != "embedding"]
    if term.layers == ("all",):
        return tuple(name for name in known if name.startswith("conv"))
    names = [f"conv{layer}" if layer.isdigit() else layer for layer in term.layers]
    for name in names:
        if name not in known:
            raise InputError(unknown_name("layer for anti-transfer", name, known))
    return tuple(names)


@register_auxiliary_loss_factory(NAME, check=check_configs)
def make_loss(
    context: AuxiliaryContext, configs: Sequence[AuxiliaryLossConfig]
) -> AntiTransferLoss:
    """Makes the anti-transfer loss of a run from its configurations.

    Args:
        context: Run.
        configs: Configurations, one for each source network.

    Raises:
        InputError: A source is no finished run of the same model and front end.
    """
    terms = [AntiTransfer.from_config(config) for config in configs]
    model, front_end = context.model, context.front_end

    def untrained() -> tuple[nn.Module, Variables]:
        # Random weights other than those that the run starts from.
        key = jax.random.fold_in(jax.random.key(context.config.seed), 1)
        state = create_state(model, optax.identity(), key, input_shape(front_end))
        return model, state.variables

    networks = load_source_networks(
        terms, context.config.model.name, front_end, untrained=untrained
    )
    loss = AntiTransferLoss(
        model,
        context.variables,
        front_end,
        terms,
        networks,
        augmentation=context.config.augmentation.preset,
        frozen=context.config.model.freeze,
        log=context.console.print,
    )
    notes = (chance_level_note(term.source) for term in terms)
    loss.notes = [note for note in notes if note is not None]
    return loss
