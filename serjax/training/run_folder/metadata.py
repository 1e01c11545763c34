"""Metadata of a run: the keys of `config.json` next to the configuration."""

import dataclasses
import platform
from typing import Any

import jax
import numpy as np

import serjax
from serjax.training.config import RunConfig
from serjax.training.config.resolve import front_end_of
from serjax.training.input.dataset import RunDataset

METADATA_KEYS = (
    "classes",
    "parameters",
    "utterances",
    "corpus_hashes",
    "resolved_front_end",
    "device",
    "versions",
    "command",
    "notes",
    "protocol",
    "runs",
    "dimensions",
    "corpus_dimensions",
    "reconstruction",
    "emotions",
)
"""Top-level keys of `config.json` that are no options.

A set of runs has "protocol" and "runs"; RH-emo's pretraining has the last four.
"""


def device() -> str:
    """Returns number, kind and platform of the devices, such as "1 x cpu (cpu)"."""
    first = jax.devices()[0]
    return f"{jax.device_count()} x {first.device_kind} ({first.platform})"


def versions() -> dict[str, str]:
    """Returns the versions of the packages that the results of a run depend on, by name."""
    return {
        "serjax": serjax.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
    }


def run_metadata(
    config: RunConfig, dataset: RunDataset, command: list[str], parameters: int | None = None
) -> dict[str, Any]:
    """Collects the metadata of a run.

    Args:
        config: Resolved configuration.
        dataset: Dataset of the run.
        command: Command line.
        parameters: Number of parameters of a network; None for a classical model.

    Returns:
        Values by `METADATA_KEYS`; `open_folder` writes them to `config.json`.
    """
    split = dataset.split
    indices = {"train": split.train, "validation": split.validation, "test": split.test}
    return {
        "classes": dataset.classes,
        **({} if parameters is None else {"parameters": parameters}),
        "utterances": {name: len(of_split) for name, of_split in indices.items()},
        "corpus_hashes": dict(dataset.hashes),
        "resolved_front_end": dataclasses.asdict(front_end_of(config)),
        "device": device(),
        "versions": versions(),
        "command": command,
        "notes": list(dataset.corpus.notes),
    }
