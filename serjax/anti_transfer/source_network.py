"""Frozen networks for anti-transfer: their runs, and what their layers need."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax import models, report
from serjax.errors import InputError
from serjax.features.front_ends import FrontEnd
from serjax.training.config import AntiTransfer
from serjax.training.run_folder.trained_run import load_run
from serjax.training.state import Variables

UNTRAINED = "untrained"
"""The teacher that is the network itself before training, from other weights: a control."""


def embedded_method(model: nn.Module) -> str | None:
    """Method that applies a network to the embedding, where it stands behind one."""
    return "classify" if isinstance(model, models.Embedded) else None


class Teacher:
    """A frozen network up to some of its layers.

    Args:
        model: From `serjax.models.create`.
        variables: Trained; only those that the layers need are kept.
        layers: Names in its `features`.
        x: Shape and dtype of a batch of one of what it reads: of the embedding where it stands
            behind one, else of the spectrogram.
        mask: Shape and dtype of its mask.

    Attributes:
        leaves: The variables that are needed.
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
        self._like = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]

        def features(leaves: list[Any], x: jax.Array, mask: jax.Array) -> list[jax.Array]:
            whole = jax.tree.unflatten(self._tree, leaves)
            _, found = model.apply(whole, x, mask=mask, method=embedded_method(model))
            return [found[layer] for layer in layers]

        self._features = features
        # What a lowered program keeps of its arguments is what its results depend on.
        lowered = jax.export.export(jax.jit(features))(self._like, x, mask)
        self._needed = [i for i in lowered.module_kept_var_idx if i < len(leaves)]
        self.leaves = [leaves[i] for i in self._needed]

    def __call__(self, leaves: list[Any], x: jax.Array, mask: jax.Array) -> list[jax.Array]:
        """Activations of the layers.

        Args:
            leaves: `leaves`, on the device.
            x: What it reads, `[batch, rows, columns, channels]`.
            mask: `[batch, frames]`.
        """
        whole: list[Any] = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in self._like]
        for index, leaf in zip(self._needed, leaves, strict=True):
            whole[index] = leaf
        return self._features(whole, x, mask)


def load_source_networks(
    specs: Sequence[AntiTransfer],
    name: str,
    front_end: FrontEnd,
    dtype: Any = jnp.float32,
    *,
    untrained: Callable[[], tuple[nn.Module, Variables]] | None = None,
) -> list[tuple[nn.Module, Variables]]:
    """Loads teachers from their runs.

    Args:
        specs: Which.
        name: Of the network in training, which must be theirs.
        front_end: What it hears, and they must have heard.
        dtype: Of their arithmetic.
        untrained: Makes the teacher called `UNTRAINED`.

    Returns:
        The network and the best variables of each.

    Raises:
        InputError: No finished run, or one of another model or another input.
    """
    teachers = []
    for spec in specs:
        if spec.teacher == UNTRAINED and untrained is not None:
            teachers.append(untrained())
            continue
        folder = Path(spec.teacher)
        run = load_run(folder, name, dtype=dtype)
        heard = report.read_config(folder / "config.json")["front_end"]
        # As the file has it, whose pairs are lists.
        wanted = json.loads(json.dumps(dataclasses.asdict(front_end)))
        differ = [key for key in wanted if wanted[key] != heard.get(key)]
        if differ:
            values = ", ".join(f"{key} {wanted[key]!r} not {heard.get(key)!r}" for key in differ)
            raise InputError(f"{folder}: expected a teacher that hears what {name} does: {values}")
        teachers.append((run.model, run.variables))
    return teachers


def chance_level_note(teacher: str) -> str | None:
    """What is to be said of a teacher that its own test does not tell from chance; else None.

    To differ from such a network is what the control does, whose teacher is `UNTRAINED`.

    Raises:
        InputError: No finished run.
    """
    if teacher == UNTRAINED:
        return None
    metrics = report.read_metrics(Path(teacher) / "metrics.json")
    ua, classes = metrics["test"]["ua"], len(metrics["classes"])
    if ua["low"] > 1 / classes:
        return None
    value, low, high = (f"{100 * ua[key]:.1f}" for key in ("value", "low", "high"))
    return (
        f"{teacher} tells its {classes} classes no better than chance, {100 / classes:.1f} %: its "
        f"UA is {value} % ({low} to {high}), and there is nothing in it to unlearn"
    )
