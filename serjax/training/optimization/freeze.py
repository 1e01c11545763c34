"""Frozen layers, for fine-tuning a pretrained network: for the whole run, or up to a step.

Layers are chosen by patterns: regular expressions that match the whole path of a module, its names
joined by "/". A pattern includes all layers below a matched module, so "stage1_block1" is that
block, "stage[12]_.*" two stages, and "(.*/)?head" the head, also of a network with an encoder.
Frozen layers are a mapping `{pattern: step}`: the layers train from that step on, or never if it is
None. A layer follows the first pattern that matches it, and trains if none does:
`{"head": 0, ".*": None}` trains the head only, and `{"head": 0, "stage4_.*": 500, ".*": None}` also
the last stage from step 500 on.

The parameters of a frozen layer do not change, and no gradient is computed that only they need. Its
batch norms normalize by their running statistics, which do not change either: a frozen layer is the
same function as in evaluation. Dropout has no parameters to freeze and stays active.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import optax
from jaxtyping import PyTree

from serjax.errors import InputError
from serjax.models.variables import Path, check_patterns, leaf_path, matches

# `optax.partition` holds the optimizers; Optax has no batch norms to freeze and no later start.

Frozen = Mapping[str, int | None]


def _first_step(path: Path, frozen: Frozen) -> int | None:
    """Returns the step from which the parameters of a module train; None: never."""
    return next((step for pattern, step in frozen.items() if matches(pattern, path)), 0)


def is_frozen(path: Path, frozen: Frozen, step: int) -> bool:
    """Returns True if a module is frozen at a step.

    Args:
        path: Names of the modules that lead to the module.
        frozen: Frozen layers, see the module's description.
        step: Number of steps taken before.
    """
    first = _first_step(path, frozen)
    return first is None or step < first


def stages(frozen: Frozen) -> list[int]:
    """Returns the steps at which the set of frozen layers changes, ascending, 0 included.

    Args:
        frozen: Frozen layers, see the module's description.

    Raises:
        InputError: A step is negative.
    """
    for pattern, step in frozen.items():
        if step is not None and step < 0:
            raise InputError(
                f"{pattern!r}: expected to train from step 0 on or later, found {step}"
            )
    return sorted({0, *(step for step in frozen.values() if step is not None)})


def optimizer(
    transformation: optax.GradientTransformation, frozen: Frozen
) -> optax.GradientTransformation:
    """Restricts an optimizer to the layers that train.

    Layers that never train have zero updates and no moments. Layers that train from a later step
    on have zero updates until then, and their moments and step count start there: moments of
    thousands of zero gradients would make Adam's first steps several times too long. A
    learning-rate schedule within the transformation also counts from a layer's first step. To
    count from the first step of the run, chain it after:
    `optax.chain(optimizer(optax.scale_by_adam(), frozen),
    optax.scale_by_learning_rate(schedule))`.

    Args:
        transformation: Gradient transformation of optax.
        frozen: Frozen layers, see the module's description.

    Returns:
        Gradient transformation, whose `init` raises InputError for a pattern without a match.
    """

    def label(keys: Any, leaf: Any) -> str:
        return str(_first_step(leaf_path(keys)[:-1], frozen))

    def labels(params: PyTree) -> Any:
        check_patterns(frozen, params)
        return jax.tree_util.tree_map_with_path(label, params)

    groups: dict[str, optax.GradientTransformation] = {str(None): optax.set_to_zero()}
    for first in stages(frozen):
        groups[str(first)] = _from_step(transformation, first)
    return optax.partition(groups, labels)


def _from_step(
    transformation: optax.GradientTransformation, first: int
) -> optax.GradientTransformation:
    if first == 0:
        return transformation
    return optax.conditionally_mask(transformation, lambda step: step >= first)


def apply(
    model: nn.Module, variables: Any, *args: Any, frozen: Frozen, step: int, **options: Any
) -> Any:
    """Calls `model.apply` with frozen layers.

    Args:
        model: Network from `serjax.models.create`.
        variables: Variables of the model.
        *args: Arguments of `model.apply`.
        frozen: Frozen layers, see the module's description.
        step: Number of steps taken before, a Python integer: compiling the program decides which
            layers are frozen.
        **options: Options of `model.apply`.

    Returns:
        Result of `model.apply`. Gradients of frozen parameters are zero, and running statistics of
        frozen layers do not change.

    Raises:
        InputError: A pattern matches no layer.
    """

    def stop_gradient(keys: Any, leaf: jax.Array) -> jax.Array:
        is_stopped = is_frozen(leaf_path(keys)[:-1], frozen, step)
        return jax.lax.stop_gradient(leaf) if is_stopped else leaf

    def call_frozen(
        call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
    ) -> Any:
        # Batch norms of every algebra have this field; False means batch statistics.
        layer = context.module
        is_batch_norm = getattr(layer, "use_running_average", None) is False
        if not is_batch_norm or not is_frozen(layer.path, frozen, step):
            return call(*args, **kwargs)
        return layer.clone(parent=layer.scope, use_running_average=True)(*args, **kwargs)

    check_patterns(frozen, variables["params"])
    params = jax.tree_util.tree_map_with_path(stop_gradient, variables["params"])
    with nn.intercept_methods(call_frozen):
        return model.apply({**variables, "params": params}, *args, **options)
