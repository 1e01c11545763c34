"""Source networks of anti-transfer: frozen networks that were trained for another task."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import PyTree

from serjax import models, report
from serjax.anti_transfer.config import UNTRAINED, AntiTransfer
from serjax.errors import InputError
from serjax.features.front_ends import FrontEnd
from serjax.models.variables import Variables
from serjax.training.run_folder.trained_run import load_run


def classify_method(model: nn.Module) -> str | None:
    """Returns the method that applies a network to an encoder's output; None without encoder."""
    return "classify" if isinstance(model, models.Embedded) else None


class SourceNetwork:
    """A frozen network up to some of its layers.

    Args:
        model: Network from `serjax.models.create`.
        variables: Trained variables; only those that the layers need are stored.
        layers: Names of layers in its `features`.
        x: Shape and dtype of an input batch of one example: an encoder's output for networks that
            have an encoder, a spectrogram for others.
        mask: Shape and dtype of the input's mask.

    Attributes:
        leaves: Variables that the layers need.
    """

    def __init__(
        self,
        model: nn.Module,
        variables: Variables,
        layers: Sequence[str],
        x: jax.ShapeDtypeStruct,
        mask: jax.ShapeDtypeStruct,
    ) -> None:
        leaves, self._tree = jax.tree.flatten(variables)
        self._abstract = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]

        def features(leaves: list[PyTree], x: jax.Array, mask: jax.Array) -> list[jax.Array]:
            variables = jax.tree.unflatten(self._tree, leaves)
            _, features = model.apply(variables, x, mask=mask, method=classify_method(model))
            return [features[layer] for layer in layers]

        self._features = features
        # A lowered program keeps those of its arguments that its results depend on.
        exported = jax.export.export(jax.jit(features))(self._abstract, x, mask)
        self._needed = [i for i in exported.module_kept_var_idx if i < len(leaves)]
        self.leaves = [leaves[i] for i in self._needed]

    def __call__(self, leaves: list[PyTree], x: jax.Array, mask: jax.Array) -> list[jax.Array]:
        """Computes the activations of the layers.

        Args:
            leaves: The attribute `leaves`, on the device.
            x: Input `[batch, rows, columns, channels]`.
            mask: `[batch, frames]` bool, True at valid frames.
        """
        every: list[Any] = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in self._abstract]
        for index, leaf in zip(self._needed, leaves, strict=True):
            every[index] = leaf
        return self._features(every, x, mask)


def load_source_networks(
    terms: Sequence[AntiTransfer],
    name: str,
    front_end: FrontEnd,
    dtype: DTypeLike = jnp.float32,
    *,
    untrained: Callable[[], tuple[nn.Module, Variables]] | None = None,
) -> list[tuple[nn.Module, Variables]]:
    """Loads source networks from their runs.

    Args:
        terms: Source networks and layers.
        name: Name of the model in training, which must be that of the source networks.
        front_end: Front end of the model in training, which must be that of the source networks.
        dtype: Type of the source networks' arithmetic.
        untrained: Function that makes the source network called "untrained".

    Returns:
        The network and the best variables of each run.

    Raises:
        InputError: A folder holds no finished run, or one of another model or front end.
    """
    networks = []
    for term in terms:
        if term.source == UNTRAINED and untrained is not None:
            networks.append(untrained())
            continue
        folder = Path(term.source)
        run = load_run(folder, name, dtype=dtype)
        config = report.read_config(folder / "config.json")
        _check_front_end(folder, name, config.get("resolved_front_end", {}), front_end)
        networks.append((run.model, run.variables))
    return networks


def _check_front_end(
    folder: Path, name: str, of_source: dict[str, Any], front_end: FrontEnd
) -> None:
    """Checks that a source network has the same input as the network in training."""
    expected = json.loads(json.dumps(dataclasses.asdict(front_end)))  # pairs become lists
    differing = [key for key in expected if expected[key] != of_source.get(key)]
    if differing:
        values = ", ".join(
            f"{key} {expected[key]!r} not {of_source.get(key)!r}" for key in differing
        )
        raise InputError(
            f"{folder}: expected a source network with the front end of {name}: {values}"
        )


def chance_level_note(source: str) -> str | None:
    """Returns a note on a source network whose test accuracy is not above chance, or None.

    Anti-transfer from it is like anti-transfer from the untrained control.

    Args:
        source: Folder of a finished run, or "untrained".

    Raises:
        InputError: The folder holds no finished run.
    """
    if source == UNTRAINED:
        return None
    metrics = report.read_metrics(Path(source) / "metrics.json")
    ua, classes = metrics["test"]["ua"], len(metrics["classes"])
    if ua["low"] > 1 / classes:
        return None
    value, low, high = (f"{100 * ua[key]:.1f}" for key in ("value", "low", "high"))
    return (
        f"the source network {source} recognizes its {classes} classes no better than chance, "
        f"{100 / classes:.1f} %: its UA is {value} % ({low} to {high}), so it has no task to "
        "transfer from"
    )
