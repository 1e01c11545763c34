"""Predictions of a run, `predictions.csv`: one row per utterance."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from serjax.data import Identity
from serjax.errors import InputError
from serjax.files import PathLike
from serjax.report.files.formats import read_table, write_table

_COLUMNS = ("path", "split", "speaker", "true", "predicted")
_TIMES = ("start", "end")


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of a model for utterances.

    Attributes:
        classes: Names of the classes, in the order of the probabilities.
        paths: `[utterances]`, names of the audio files.
        speakers: `[utterances]`, names of the speakers.
        true: Integers `[utterances]`, true classes as indices into `classes`.
        predicted: Integers `[utterances]`, predicted classes as indices into `classes`.
        probabilities: Floats `[utterances, classes]` in [0, 1].
        splits: `[utterances]`, "test" or "validation"; all "test" by default.
        times: `[utterances]`, start and end in the audio file, in seconds, see `Identity`; whole
            files by default.

    Raises:
        InputError: Lengths differ, a label is out of range, a probability is not finite, or class
            names repeat.
    """

    classes: Sequence[str]
    paths: Sequence[str]
    speakers: Sequence[str]
    true: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    splits: Sequence[str] = ()
    times: Sequence[tuple[float, float]] = ()

    def __post_init__(self) -> None:
        for name in ("true", "predicted", "probabilities"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        if not self.splits:
            object.__setattr__(self, "splits", ["test"] * len(self.paths))
        if not self.times:
            object.__setattr__(self, "times", [(0.0, math.inf)] * len(self.paths))
        if len(set(self.classes)) != len(self.classes):
            raise InputError(f"class names must differ, got {list(self.classes)}")
        size = len(self.paths)
        shapes = {
            "speakers": ((len(self.speakers),), (size,)),
            "splits": ((len(self.splits),), (size,)),
            "times": ((len(self.times),), (size,)),
            "true": (self.true.shape, (size,)),
            "predicted": (self.predicted.shape, (size,)),
            "probabilities": (self.probabilities.shape, (size, len(self.classes))),
        }
        for name, (shape, expected) in shapes.items():
            if shape != expected:
                raise InputError(f"{name} of {size} utterances must be {expected}, got {shape}")
        is_finite = np.isfinite(self.probabilities).all(-1)
        if not is_finite.all():
            path = self.paths[int(np.argmin(is_finite))]
            raise InputError(f"{path}: expected finite probabilities, found NaN or infinity")
        for name in ("true", "predicted"):
            labels = getattr(self, name)
            if size and (labels.min() < 0 or labels.max() >= len(self.classes)):
                raise InputError(
                    f"{name} must index {len(self.classes)} classes, "
                    f"got {labels.min()} to {labels.max()}"
                )

    def __len__(self) -> int:
        """Returns the number of utterances."""
        return len(self.paths)

    @property
    def utterances(self) -> list[Identity]:
        """Identity of each utterance; several predictions may be for one utterance."""
        return [Identity(path, *times) for path, times in zip(self.paths, self.times, strict=True)]

    def of_split(self, split: str) -> "Predictions":
        """Selects the predictions of one split, in their order.

        Args:
            split: Name of the split, "test" or "validation".
        """
        rows = [i for i, name in enumerate(self.splits) if name == split]
        return Predictions(
            classes=self.classes,
            paths=[self.paths[i] for i in rows],
            speakers=[self.speakers[i] for i in rows],
            true=self.true[rows],
            predicted=self.predicted[rows],
            probabilities=self.probabilities[rows],
            splits=[split] * len(rows),
            times=[self.times[i] for i in rows],
        )


def write_predictions(path: PathLike, predictions: Predictions) -> None:
    """Writes `predictions.csv`, numbers in full precision.

    The columns `start` and `end` follow the path if an utterance is a segment of its recording. The
    end of one that lasts to the end of its recording is empty.

    Args:
        path: File to write.
        predictions: Predictions to write, one row per utterance.
    """
    classes = predictions.classes
    has_segments = not all(utterance.is_whole for utterance in predictions.utterances)

    def times(index: int) -> tuple[float | str, ...]:
        start, end = predictions.times[index]
        return (start, "" if end == math.inf else end) if has_segments else ()

    rows = (
        [
            predictions.paths[i],
            *times(i),
            predictions.splits[i],
            predictions.speakers[i],
            classes[predictions.true[i]],
            classes[predictions.predicted[i]],
            *predictions.probabilities[i].astype(float).tolist(),
        ]
        for i in range(len(predictions))
    )
    columns = ["path", *(_TIMES if has_segments else ()), *_COLUMNS[1:]]
    write_table(path, [*columns, *(f"p_{c}" for c in classes)], rows)


def read_predictions(path: PathLike) -> Predictions:
    """Reads `predictions.csv`.

    Args:
        path: File to read.

    Returns:
        The predictions in the order of the file; `probabilities` are float64.

    Raises:
        InputError: The file does not exist, has no column of a required name, names a class without
            a column of probabilities, or has a probability outside [0, 1].
    """
    columns, lines = read_table(path, _COLUMNS)
    times = [(0.0, math.inf)] * len(lines)
    if tuple(columns[1:3]) == _TIMES:
        times = [_read_times(path, number, line[1:3]) for number, line in lines]
        columns = [*columns[:1], *columns[3:]]
        lines = [(number, [*line[:1], *line[3:]]) for number, line in lines]
    first = len(_COLUMNS)
    if tuple(columns[:first]) != _COLUMNS or not all(
        name.startswith("p_") for name in columns[first:]
    ):
        raise InputError(
            f"{path}: expected columns {', '.join(_COLUMNS)} and p_<class> for each "
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
        times=times,
    )


def _read_times(path: PathLike, number: int, cells: Sequence[str]) -> tuple[float, float]:
    """Reads the start and the end of an utterance from the cells of a line."""
    try:
        start, end = float(cells[0]), float(cells[1] or math.inf)
    except ValueError:
        start = end = math.nan
    if not 0 <= start < end:
        raise InputError(
            f"{path}, line {number}: expected a start and a later end in seconds, found {cells}"
        )
    return start, end
