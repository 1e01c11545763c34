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


METADATA_KEYS = (
    *("classes", "parameters", "utterances", "resolved_front_end", "device", "versions"),
    *("command", "notes", "runs", "pretraining"),
)


def run_metadata(
    config: RunConfig, dataset: RunDataset, command: list[str], parameters: int | None = None
) -> dict[str, Any]:
    """Returns the metadata of a run."""
    split = dataset.split
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return {
        "classes": dataset.classes,
        **({} if parameters is None else {"parameters": parameters}),
        "utterances": {name: len(indices) for name, indices in parts.items()},
        "resolved_front_end": dataclasses.asdict(front_end_of(config)),
        "device": device(),
        "versions": versions(),
        "command": command,
        "notes": list(dataset.corpus.notes),
    }
