"""Configuration, metrics, times and summary of a run folder, read from its JSON files."""

from pathlib import Path
from typing import Any

import numpy as np

from serjax.errors import InputError
from serjax.files import PathLike
from serjax.report.files.formats import read_json, require, require_numbers

_METRICS = ("wa", "ua", "f1_macro")
_PER_CLASS = ("precision", "recall", "f1", "support")


def read_config(path: PathLike) -> dict[str, Any]:
    """Reads `config.json`.

    Args:
        path: File to read.

    Returns:
        The groups of the configuration and the metadata, see `serjax.report.files`.

    Raises:
        InputError: The file does not exist, is not a JSON object, or has no `model.name`,
            `data.dataset` or `data.split`.
    """
    config = read_json(path)
    require(path, config, ("model", "data"))
    require(path, config["model"], ("name",), "model.")
    require(path, config["data"], ("dataset", "split"), "data.")
    if not isinstance(config.get("notes", []), list):
        raise InputError(f"{path}: expected a list of strings in notes, found {config['notes']!r}")
    return config


def read_metrics(path: PathLike) -> dict[str, Any]:
    """Reads `metrics.json`.

    Args:
        path: File to read.

    Returns:
        The metrics, see `serjax.report.files`.

    Raises:
        InputError: The file does not exist, is not a JSON object, has no value at a required key,
            or its confusion matrix and its classes do not fit each other.
    """
    metrics = read_json(path)
    require(path, metrics, ("test", "per_class", "confusion", "classes"))
    for split in ("test", "validation"):
        if split in metrics:
            require(path, metrics[split], (*_METRICS, "utterances"), f"{split}.")
            for name in _METRICS:
                ends = ("value", "low", "high")
                require_numbers(path, metrics[split][name], ends, f"{split}.{name}.")
    classes = metrics["classes"]
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise InputError(f"{path}: expected a list of names in classes, found {classes!r}")
    require(path, metrics["per_class"], classes, "per_class.")
    for name in classes:
        require_numbers(path, metrics["per_class"][name], _PER_CLASS, f"per_class.{name}.")
    try:
        shape = np.asarray(metrics["confusion"], float).shape
    except (TypeError, ValueError):
        raise InputError(f"{path}: expected rows of numbers of one length in confusion") from None
    if shape != (len(classes), len(classes)):
        raise InputError(
            f"{path}: expected a confusion matrix of {len(classes)} classes, found shape {shape}"
        )
    return metrics


def read_timing(path: PathLike) -> dict[str, float]:
    """Reads `timing.json`.

    Args:
        path: File to read.

    Returns:
        Seconds by stage of the run; empty if the file does not exist.

    Raises:
        InputError: The file is not a JSON object of numbers.
    """
    if not Path(path).exists():
        return {}
    content = read_json(path)
    for name, value in content.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InputError(f"{path}: expected a number in {name}, found {value!r}")
    return content


def read_summary(path: PathLike) -> dict[str, Any]:
    """Reads `summary.json` of a set of runs.

    Args:
        path: File to read.

    Returns:
        The summary, see `serjax.report.write_run_set`; empty if the file does not exist.

    Raises:
        InputError: The file is not a JSON object, or has no value at a required key.
    """
    if not Path(path).exists():
        return {}
    summary = read_json(path)
    require(path, summary, ("runs", "mean", "standard_deviation", "pooled", "interval"))
    return summary
