"""Auxiliary losses: terms that are added to the loss of the task, registered by name.

A loss of features, labels and logits is one function:

    @register_auxiliary_loss("feature_norm")
    def feature_norm(features, batch, logits, *, layer):
        return jnp.mean(jnp.square(features[layer].reshape(len(logits), -1)), axis=-1)

    RunConfig(auxiliary_losses=(AuxiliaryLossConfig("feature_norm", 0.1, {"layer": "dense1"}),))

A loss that needs arrays of its own, or adds features to those of the network, is a subclass of
`AuxiliaryLoss`, made by a factory.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import PyTree

from serjax.console import Console
from serjax.data.batches import Examples
from serjax.errors import InputError, unknown_name
from serjax.features.front_ends import FrontEnd
from serjax.models.variables import Variables
from serjax.training.config import AuxiliaryLossConfig, RunConfig
from serjax.training.objective.task_loss import Batch, Features

_MODULES = {"anti_transfer": "serjax.anti_transfer.loss"}
"""Auxiliary losses of the library and the modules that register them when they are imported."""


class AuxiliaryContext(NamedTuple):
    """Parts of a run that an auxiliary loss may depend on.

    Attributes:
        model: Network in training.
        variables: Shapes and dtypes of its variables.
        front_end: Front end of the network.
        config: Configuration of the run, its defaults filled in.
        console: Console for messages.
    """

    model: nn.Module
    variables: Variables
    front_end: FrontEnd
    config: RunConfig
    console: Console


class AuxiliaryLoss:
    """An auxiliary loss of a run: base class with defaults for a loss without arrays.

    Attributes:
        initial_embedding: Variables of the embedding that the network starts from,
            `{collection: tree}`; None: the run's own.
        notes: Remarks on the results, for the report.
    """

    initial_embedding: Variables | None = None
    notes: Sequence[str] = ()

    def describe(self) -> str:
        """Returns a line for the console; empty: nothing is printed."""
        return ""

    def prepare(
        self,
        variables: Variables,
        examples: Examples | None,
        indices: np.ndarray,
        batch_size: int,
    ) -> Any:
        """Computes the arrays that a training step reads, any tree of arrays.

        Args:
            variables: Initial variables of the network.
            examples: Examples on the device; None if they are streamed.
            indices: `[n]` int32 indices of the training examples.
            batch_size: Number of examples of a batch.
        """
        return ()

    def wrap(self, apply: Callable[..., Any], arrays: PyTree) -> Callable[..., Any]:
        """Returns the `apply` of a step, which may add features to those of the network.

        Args:
            apply: `(variables, x, mask=..., **options) -> ((logits, features), updates)`.
            arrays: Arrays from `prepare`.
        """
        return apply

    def __call__(
        self, arrays: PyTree, batch: Batch, features: Features, logits: jax.Array
    ) -> jax.Array:
        """Computes the weighted loss of each example.

        Args:
            arrays: Arrays from `prepare`.
            batch: Examples of the step.
            features: Activations of the network, and those that `wrap` added.
            logits: `[batch, classes]`.

        Returns:
            `[batch]` float32.
        """
        raise NotImplementedError


Factory = Callable[[AuxiliaryContext, Sequence[AuxiliaryLossConfig]], AuxiliaryLoss]
Check = Callable[[Sequence[AuxiliaryLossConfig]], None]


class _Registered(NamedTuple):
    """Factory of an auxiliary loss, the check of its options, and if runs may share it."""

    make: Factory
    check: Check
    can_batch_runs: bool


_REGISTERED: dict[str, _Registered] = {}
_COLUMNS = ("loss", "wa", "ua")  # `train_loss` and so on are columns of the history


def _register(name: str, entry: _Registered) -> None:
    if name in _REGISTERED:
        raise InputError(f"auxiliary loss {name!r}: expected a new name, found a registered one")
    if name in _COLUMNS:
        raise InputError(f"auxiliary loss {name!r}: expected no name of a metric")
    _REGISTERED[name] = entry


def register_auxiliary_loss(name: str) -> Callable[[Callable[..., jax.Array]], Any]:
    """Registers a function as an auxiliary loss, as a decorator.

    Args:
        name: Name for `AuxiliaryLossConfig` and the history's column `train_<name>`.

    Returns:
        Decorator of `loss(features, batch, logits, **options) -> [batch]`, unweighted. The
        options are those of the `AuxiliaryLossConfig`.

    Raises:
        InputError: The name is taken.
    """

    def decorate(loss: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        def check(configs: Sequence[AuxiliaryLossConfig]) -> None:
            for config in configs:
                try:
                    inspect.signature(loss).bind(None, None, None, **config.options)
                except TypeError as error:
                    raise InputError(f"auxiliary loss {name!r}: {error}") from error

        entry = _Registered(lambda _, configs: _SumOfFunction(loss, configs), check, True)
        _register(name, entry)
        return loss

    return decorate


def register_auxiliary_loss_factory(name: str, check: Check | None = None) -> Any:
    """Registers a function that makes an `AuxiliaryLoss`, as a decorator.

    Args:
        name: Name for `AuxiliaryLossConfig` and the history's column `train_<name>`.
        check: Function that raises InputError for options that no run can have, called before
            anything is read.

    Returns:
        Decorator of `make(context, configs) -> AuxiliaryLoss`. The configurations are all of a
        run's that have the name.

    Raises:
        InputError: The name is taken.
    """

    def decorate(make: Factory) -> Factory:
        _register(name, _Registered(make, check or (lambda configs: None), False))
        return make

    return decorate


class _SumOfFunction(AuxiliaryLoss):
    """Weighted sum of a function's values for every configuration of its name."""

    def __init__(
        self, function: Callable[..., jax.Array], configs: Sequence[AuxiliaryLossConfig]
    ) -> None:
        self._terms = [
            (config.weight, functools.partial(function, **config.options)) for config in configs
        ]

    def __call__(
        self, arrays: PyTree, batch: Batch, features: Features, logits: jax.Array
    ) -> jax.Array:
        terms = [weight * term(features, batch, logits) for weight, term in self._terms]
        return functools.reduce(jax.numpy.add, terms)


def names() -> tuple[str, ...]:
    """Returns the names of the known auxiliary losses."""
    return tuple(sorted({*_REGISTERED, *_MODULES}))


def _get(name: str) -> _Registered:
    if name not in _REGISTERED and name in _MODULES:
        importlib.import_module(_MODULES[name])
    if name not in _REGISTERED:
        raise InputError(unknown_name("auxiliary loss", name, names()))
    return _REGISTERED[name]


def _by_name(
    configs: Sequence[AuxiliaryLossConfig],
) -> dict[str, list[AuxiliaryLossConfig]]:
    groups: dict[str, list[AuxiliaryLossConfig]] = {}
    for config in configs:
        groups.setdefault(config.name, []).append(config)
    return groups


def check(configs: Sequence[AuxiliaryLossConfig]) -> None:
    """Checks the auxiliary losses of a run before anything is read.

    Raises:
        InputError: A loss is unknown, or one of its options is.
    """
    for name, group in _by_name(configs).items():
        _get(name).check(group)


def find_unbatchable(configs: Sequence[AuxiliaryLossConfig]) -> str | None:
    """Returns the name of a loss with arrays for each run, so that runs cannot be batched."""
    return next((each.name for each in configs if not _get(each.name).can_batch_runs), None)


def make_auxiliary_losses(context: AuxiliaryContext) -> dict[str, AuxiliaryLoss]:
    """Makes the auxiliary losses of a run, by name.

    Raises:
        InputError: A loss is unknown or does not fit the network.
    """
    groups = _by_name(context.config.auxiliary_losses)
    return {name: _get(name).make(context, group) for name, group in groups.items()}
