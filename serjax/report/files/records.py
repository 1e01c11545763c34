"""The files of a run folder: written atomically, read with errors that name the file.

- `config.json`: an object with at least `model`, `dataset` and `split`. Of the rest, the report
  page knows `command` (a string, or the list of arguments) and `notes` (strings: files skipped,
  duplicates dropped) and lists everything else as it is.
- `history.csv`: one row per epoch, `HISTORY_COLUMNS` and any further numbers.
- `predictions.csv`: one row per utterance: `path, part, speaker, true, predicted` and the
  probability of each class in a column `p_<class>`.
- `metrics.json`: `test` and perhaps `validation`, each with `wa`, `ua` and `f1_macro`
  (`{"value", "low", "high"}`, shares in [0, 1]), `utterances`, and perhaps `f1_weighted` (of the
  same kind), `speakers` and `loss`;
  `per_class` (`{class: {"precision", "recall", "f1", "support"}}`), `confusion` (rows true) and
  `classes`, all three of the test part; perhaps `interval` (how the intervals were made),
  `best_epoch` and `parameters`. It holds no times, so equal runs leave equal files.
- `summary.json`, if there: the folder is of several runs, whose pooled test utterances the other
  files describe; see `serjax.report.tables.run_set`.
- `timing.json`, if there: seconds spent, `{"data", "compile", "train", ..., "total"}`.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax.errors import InputError
from serjax.files import PathLike
from serjax.report.files.formats import read_json, read_table, require, require_numbers, write_table

HISTORY_COLUMNS = (
    "epoch",
    "train_loss",
    "train_wa",
    "train_ua",
    "validation_loss",
    "validation_wa",
    "validation_ua",
    "examples_per_second",
    "seconds",
)
_PREDICTION_COLUMNS = ("path", "split", "speaker", "true", "predicted")
_METRICS = ("wa", "ua", "f1_macro")
_PER_CLASS = ("precision", "recall", "f1", "support")


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What a model answered for each utterance.

    Attributes:
        classes: The classes' names, in the order of the probabilities.
        paths: `[utterances]` names of the audio files.
        speakers: `[utterances]` names of the speakers.
        true: Integers `[utterances]`, indices into `classes`.
        predicted: Integers `[utterances]`, indices into `classes`.
        probabilities: Floats `[utterances, classes]` in [0, 1].
        splits: `[utterances]` of "test" or "validation"; all "test" by default.

    Raises:
        InputError: Lengths differ, a label is out of range, or class names repeat.
    """

    classes: Sequence[str]
    paths: Sequence[str]
    speakers: Sequence[str]
    true: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    splits: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("true", "predicted", "probabilities"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        if not self.splits:
            object.__setattr__(self, "splits", ["test"] * len(self.paths))
        if len(set(self.classes)) != len(self.classes):
            raise InputError(f"class names must differ, got {list(self.classes)}")
        size = len(self.paths)
        shapes = {
            "speakers": ((len(self.speakers),), (size,)),
            "splits": ((len(self.splits),), (size,)),
            "true": (self.true.shape, (size,)),
            "predicted": (self.predicted.shape, (size,)),
            "probabilities": (self.probabilities.shape, (size, len(self.classes))),
        }
        for name, (found, expected) in shapes.items():
            if found != expected:
                raise InputError(f"{name} of {size} utterances must be {expected}, got {found}")
        for name in ("true", "predicted"):
            labels = getattr(self, name)
            if size and (labels.min() < 0 or labels.max() >= len(self.classes)):
                raise InputError(
                    f"{name} must index {len(self.classes)} classes, "
                    f"got {labels.min()} to {labels.max()}"
                )

    def __len__(self) -> int:
        return len(self.paths)

    def of_split(self, split: str) -> "Predictions":
        """The utterances of one part, "test" or "validation", in their order."""
        kept = [i for i, each in enumerate(self.splits) if each == split]
        return Predictions(
            classes=self.classes,
            paths=[self.paths[i] for i in kept],
            speakers=[self.speakers[i] for i in kept],
            true=self.true[kept],
            predicted=self.predicted[kept],
            probabilities=self.probabilities[kept],
            splits=[split] * len(kept),
        )


def write_history(path: PathLike, rows: Iterable[Mapping[str, float]]) -> None:
    """Writes `history.csv`, numbers in full precision.

    Args:
        path: The file to write.
        rows: One mapping per epoch with all `HISTORY_COLUMNS`; what else the first row has follows
            as further columns. A run without a validation part gives NaN for its columns.

    Raises:
        InputError: A row lacks a column or has one that the first row lacks.
    """
    rows = list(rows)
    columns = list(HISTORY_COLUMNS)
    columns += [name for name in (rows[0] if rows else ()) if name not in HISTORY_COLUMNS]
    for row in rows:
        if set(row) != set(columns):
            differ = sorted(set(row) ^ set(columns))
            raise InputError(
                f"a row of the history must have columns {columns}, differs in {differ}"
            )
    # `.item()` turns the scalars of NumPy and JAX into Python numbers, whose repr is exact.
    numbers = ([np.asarray(row[name]).item() for name in columns] for row in rows)
    write_table(path, columns, numbers)


def read_history(path: PathLike) -> list[dict[str, float]]:
    """Reads `history.csv`.

    Args:
        path: The file to read.

    Returns:
        One dict per epoch, in the file's order: `epoch` an int, all else floats.

    Raises:
        InputError: The file is missing, has no epochs, lacks a column, or holds something that is
            not a number.
    """
    columns, lines = read_table(path, HISTORY_COLUMNS)
    if not lines:
        raise InputError(f"{path}: expected at least one epoch, found only the header")
    rows = []
    for number, line in lines:
        row = {}
        for name, cell in zip(columns, line, strict=True):
            try:
                row[name] = int(cell) if name == "epoch" else float(cell)
            except ValueError:
                raise InputError(
                    f"{path}, line {number}: expected a number in column {name}, found {cell!r}"
                ) from None
        rows.append(row)
    return rows


def write_predictions(path: PathLike, predictions: Predictions) -> None:
    """Writes `predictions.csv`, numbers in full precision.

    Args:
        path: The file to write.
        predictions: The utterances, one row each.
    """
    classes = predictions.classes
    rows = (
        [
            predictions.paths[i],
            predictions.splits[i],
            predictions.speakers[i],
            classes[predictions.true[i]],
            classes[predictions.predicted[i]],
            *predictions.probabilities[i].astype(float).tolist(),
        ]
        for i in range(len(predictions))
    )
    write_table(path, [*_PREDICTION_COLUMNS, *(f"p_{c}" for c in classes)], rows)


def read_predictions(path: PathLike) -> Predictions:
    """Reads `predictions.csv`.

    Args:
        path: The file to read.

    Returns:
        The utterances; `probabilities` float64.

    Raises:
        InputError: The file is missing, lacks a column, names a class without a probability column,
            or has a probability outside [0, 1].
    """
    columns, lines = read_table(path, _PREDICTION_COLUMNS)
    first = len(_PREDICTION_COLUMNS)
    if tuple(columns[:first]) != _PREDICTION_COLUMNS or not all(
        name.startswith("p_") for name in columns[first:]
    ):
        raise InputError(
            f"{path}: expected columns {', '.join(_PREDICTION_COLUMNS)} and p_<class> for each "
            f"class, found {', '.join(columns)}"
        )
    classes = [name.removeprefix("p_") for name in columns[first:]]
    index = {name: i for i, name in enumerate(classes)}
    probabilities = np.empty((len(lines), len(classes)))
    for row, (number, line) in enumerate(lines):
        for name in line[3:first]:
            if name not in index:
                raise InputError(
                    f"{path}, line {number}: expected one of the classes {classes}, found {name!r}"
                )
        for column, cell in enumerate(line[first:]):
            try:
                probabilities[row, column] = float(cell)
            except ValueError:
                probabilities[row, column] = np.nan
            if not 0 <= probabilities[row, column] <= 1:
                raise InputError(
                    f"{path}, line {number}: expected a probability in [0, 1] in column "
                    f"p_{classes[column]}, found {cell!r}"
                )
    return Predictions(
        classes=classes,
        paths=[line[0] for _, line in lines],
        splits=[line[1] for _, line in lines],
        speakers=[line[2] for _, line in lines],
        true=np.array([index[line[3]] for _, line in lines], int),
        predicted=np.array([index[line[4]] for _, line in lines], int),
        probabilities=probabilities,
    )


def read_config(path: PathLike) -> dict[str, Any]:
    """Reads `config.json`.

    Args:
        path: The file to read.

    Raises:
        InputError: The file is missing, not a JSON object, or lacks `model`, `dataset` or `split`.
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
        path: The file to read.

    Raises:
        InputError: The file is missing, not a JSON object, or lacks something (see the module's
            description), or its confusion matrix or classes do not fit each other.
    """
    metrics = read_json(path)
    require(path, metrics, ("test", "per_class", "confusion", "classes"))
    for part in ("test", "validation"):
        if part in metrics:
            require(path, metrics[part], (*_METRICS, "utterances"), f"{part}.")
            for name in _METRICS:
                ends = ("value", "low", "high")
                require_numbers(path, metrics[part][name], ends, f"{part}.{name}.")
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
    """Reads `timing.json`: seconds by what they were spent on, empty if there is no such file.

    Raises:
        InputError: The file is malformed.
    """
    if not Path(path).exists():
        return {}
    content = read_json(path)
    for name, value in content.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InputError(f"{path}: expected a number in {name}, found {value!r}")
    return content


def read_summary(path: PathLike) -> dict[str, Any]:
    """Reads `summary.json` of a series of runs, empty if there is no such file.

    Raises:
        InputError: The file is not a JSON object, or lacks something.
    """
    if not Path(path).exists():
        return {}
    summary = read_json(path)
    require(path, summary, ("runs", "mean", "standard_deviation", "pooled", "interval"))
    return summary
