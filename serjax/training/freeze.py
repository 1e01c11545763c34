"""Frozen layers, for training what is built on a pretrained network: for good, or up to a step.

Layers are chosen by patterns: regular expressions that match the whole path of a module, its names
joined by "/". All layers below a matched module are meant, so "stage1_block1" is that block,
"stage[12]_.*" two stages, "(.*/)?head" the head, behind an embedding too. What is frozen is given
as `{pattern: step}`: the layers train from that step on, or never where it is None. A layer follows
the first pattern that matches it, and trains where none does: `{"head": 0, ".*": None}` trains the
head alone, `{"head": 0, "stage4_.*": 500, ".*": None}` the last stage too from step 500 on.

A frozen layer's parameters do not change, and no gradient is computed for them alone. Its batch
norms normalize with their running statistics, and these do not move: it is the function that it
was, as in evaluation. Dropout, which has nothing to freeze, stays as in training.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import optax

from serjax.errors import InputError

Path = tuple[str, ...]
Frozen = Mapping[str, int | None]


def matches(pattern: str, path: Path) -> bool:
    """Whether a pattern matches a module, given by its path, or one that it lies in."""
    parents = ("/".join(path[: depth + 1]) for depth in range(len(path)))
    return any(re.fullmatch(pattern, parent) for parent in parents)


def leaf_path(keys: Iterable[Any]) -> Path:
    """Names on the way to a leaf of a collection of variables, from `jax.tree_util` keys."""
    return tuple(key.key for key in keys)


def check_patterns(patterns: Iterable[str], params: Any) -> None:
    """Refuses patterns that choose no layer.

    Args:
        patterns: Regular expressions, see above.
        params: Parameters, or their shapes.

    Raises:
        InputError: A pattern is no regular expression or matches no layer of these parameters.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    layers = list(dict.fromkeys(leaf_path(keys)[:-1] for keys, _ in leaves))
    for pattern in patterns:
        try:
            found = any(matches(pattern, layer) for layer in layers)
        except re.error as error:
            raise InputError(f"{pattern!r}: not a regular expression: {error}") from error
        if not found:
            some = ", ".join("/".join(layer) for layer in layers[:4])
            raise InputError(
                f"{pattern!r}: expected to match a layer, found {len(layers)} and none of that "
                f"name: {some}{', ...' if len(layers) > 4 else ''}"
            )


def _first_step(path: Path, frozen: Frozen) -> int | None:
    """Step from which a module's parameters train; None: never."""
    return next((step for pattern, step in frozen.items() if matches(pattern, path)), 0)


def is_frozen(path: Path, frozen: Frozen, step: int) -> bool:
    """Whether the module at a path is frozen at a step."""
    first = _first_step(path, frozen)
    return first is None or step < first


def stages(frozen: Frozen) -> list[int]:
    """Steps at which the set of frozen layers changes, ascending, the first of them 0.

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
    """The same transformation, of the layers that train.

    Layers that never train have zero updates and no moments. Layers that train from a later step
    on have zero updates until then, and their moments and step count start there: moments that
    had seen thousands of zero gradients would make Adam's first steps several times too long. A
    learning-rate schedule within the transformation counts from a layer's first step too; chain
    it behind, `optax.chain(optimizer(optax.scale_by_adam(), frozen),
    optax.scale_by_learning_rate(schedule))`, to have it count from the run's.

    Args:
        transformation: From optax.
        frozen: See above.

    Returns:
        A transformation whose `init` raises InputError for a pattern that matches no layer.
    """

    def label(keys: Any, leaf: Any) -> str:
        return str(_first_step(leaf_path(keys)[:-1], frozen))

    def labels(params: Any) -> Any:
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
    """`model.apply` with the layers held that are frozen at a step.

    Args:
        model: From `serjax.models.create`.
        variables: Of the model.
        *args: Of `model.apply`.
        frozen: See above.
        step: Fixed, not traced: what is frozen is decided when the program is compiled.
        **options: Of `model.apply`.

    Returns:
        What `model.apply` does; gradients of frozen parameters are zero and the running statistics
        of frozen layers are those given.

    Raises:
        InputError: A pattern matches no layer.
    """

    def hold(keys: Any, leaf: jax.Array) -> jax.Array:
        held = is_frozen(leaf_path(keys)[:-1], frozen, step)
        return jax.lax.stop_gradient(leaf) if held else leaf

    def run_held(
        call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
    ) -> Any:
        # Batch norms of every algebra have this field; False asks for batch statistics.
        norm = context.module
        batch = getattr(norm, "use_running_average", None) is False
        if not batch or not is_frozen(norm.path, frozen, step):
            return call(*args, **kwargs)
        return norm.clone(parent=norm.scope, use_running_average=True)(*args, **kwargs)

    check_patterns(frozen, variables["params"])
    params = jax.tree_util.tree_map_with_path(hold, variables["params"])
    with nn.intercept_methods(run_held):
        return model.apply({**variables, "params": params}, *args, **options)
