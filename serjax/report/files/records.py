"""Configuration, metrics, times and summary of a run folder, read from its JSON files."""

from pathlib import Path
from typing import Any, cast

from serjax.errors import InputError
from serjax.files import PathLike, read_json, schema
from serjax.files.run_files import ConfigContent, MetricsContent, SummaryContent, TimingContent
from serjax.metrics import METRICS


def read_config(path: PathLike) -> dict[str, Any]:
    """Reads `config.json`.

    Args:
        path: File to read.

    Returns:
        The groups of the configuration and the metadata, see `serjax.report.files`.

    Raises:
        InputError: The file does not exist, or has other content than `ConfigContent`.
    """
    return cast(dict[str, Any], read_json(path, ConfigContent))


def read_metrics(path: PathLike) -> dict[str, Any]:
    """Reads `metrics.json`.

    Args:
        path: File to read.

    Returns:
        The metrics, see `serjax.report.files`.

    Raises:
        InputError: The file does not exist, has other content than `MetricsContent`, or its
            confusion matrix and its classes do not fit each other.
    """
    metrics = cast(dict[str, Any], read_json(path, MetricsContent))
    registered = {
        f"{split}.{key}": metrics[split][key]
        for split in ("test", "validation")
        for key in METRICS
        if key in metrics.get(split, {})
    }
    for name, interval in registered.items():
        for end in ("value", "low", "high"):
            schema.check(interval, dict[str, float], f"{path}: {name}")
            if end not in interval:
                raise InputError(f"{path}: expected {name}.{end}, found none")
    classes = metrics["classes"]
    if len(set(classes)) != len(classes) or not classes:
        raise InputError(f"{path}: classes: expected different names, found {classes}")
    if sorted(metrics["per_class"]) != sorted(classes):
        raise InputError(
            f"{path}: per_class: expected {classes}, found {list(metrics['per_class'])}"
        )
    lengths = [len(row) for row in metrics["confusion"]]
    if lengths != [len(classes)] * len(classes):
        raise InputError(
            f"{path}: confusion: expected {len(classes)} rows of {len(classes)} numbers, found "
            f"rows of {lengths}"
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
    return read_json(path, TimingContent) if Path(path).exists() else {}


def read_summary(path: PathLike) -> dict[str, Any]:
    """Reads `summary.json` of a set of runs.

    Args:
        path: File to read.

    Returns:
        The summary, see `serjax.report.write_run_set`; empty if the file does not exist.

    Raises:
        InputError: The file has other content than `SummaryContent`, or means of metrics that its
            runs do not have.
    """
    if not Path(path).exists():
        return {}
    summary = cast(dict[str, Any], read_json(path, SummaryContent))
    for name in ("standard_deviation", "pooled"):
        if summary[name].keys() != summary["mean"].keys():
            raise InputError(f"{path}: {name}: expected {list(summary['mean'])}")
    for number, row in enumerate(summary["runs"]):
        for key in summary["mean"]:
            if not isinstance(row.get(key), int | float):
                raise InputError(f"{path}: runs[{number}]: expected a number in {key}")
    return summary
