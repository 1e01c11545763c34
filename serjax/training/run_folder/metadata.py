"""What `config.json` says of a run."""

import dataclasses
import platform
from typing import Any

import jax
import numpy as np

import serjax
from serjax.training.config import RunConfig, front_end_of
from serjax.training.input.dataset import RunDataset


def device() -> str:
    """The devices that JAX runs on, in words."""
    first = jax.devices()[0]
    return f"{jax.device_count()} x {first.device_kind} ({first.platform})"


def versions() -> dict[str, str]:
    """Of what a run's numbers depend on."""
    return {
        "serjax": serjax.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
    }


def described(
    config: RunConfig, task: RunDataset, command: list[str], parameters: int | None = None
) -> dict[str, Any]:
    """Content of `config.json`: the configuration, and what it came to.

    Args:
        config: As it was resolved.
        task: What came of it.
        command: As typed.
        parameters: Of the network, if it is one.
    """
    split = task.split
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return {
        **dataclasses.asdict(config),
        "classes": task.classes,
        **({} if parameters is None else {"parameters": parameters}),
        "utterances": {name: len(indices) for name, indices in parts.items()},
        "front_end": dataclasses.asdict(front_end_of(config)),
        "device": device(),
        "versions": versions(),
        "command": command,
        "notes": list(task.corpus.notes),
    }
