"""Training history of a run, `history.csv`: one row per epoch."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from serjax.errors import InputError
from serjax.files import PathLike
from serjax.report.files.formats import read_table, write_table

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
"""Columns that every history has. Losses are in nats, WA and UA in [0, 1], times in seconds."""

_TRAIN = "train_"


def write_history(path: PathLike, rows: Iterable[Mapping[str, float]]) -> None:
    """Writes `history.csv`, numbers in full precision.

    Args:
        path: File to write.
        rows: One mapping per epoch with all `HISTORY_COLUMNS`. The other keys of the first row,
            such as `train_<name>` of each auxiliary loss, follow as further columns in their order.
            A run without a validation set has NaN in its columns.

    Raises:
        InputError: A column is missing from a row, or the first row does not have it.
    """
    rows = list(rows)
    columns = list(HISTORY_COLUMNS)
    columns += [name for name in (rows[0] if rows else ()) if name not in HISTORY_COLUMNS]
    for row in rows:
        if set(row) != set(columns):
            differing = sorted(set(row) ^ set(columns))
            raise InputError(
                f"a row of the history must have columns {columns}, differs in {differing}"
            )
    # `.item()` turns the scalars of NumPy and JAX into Python numbers, whose repr is exact.
    numbers = ([np.asarray(row[name]).item() for name in columns] for row in rows)
    write_table(path, columns, numbers)


def read_history(path: PathLike) -> list[dict[str, float]]:
    """Reads `history.csv`.

    Args:
        path: File to read.

    Returns:
        One dict per epoch, in the order of the file: `epoch` is an int, all else floats.

    Raises:
        InputError: The file does not exist, has no epochs, has no column of a required name, or
            has a cell that is not a number.
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


def auxiliary_losses(history: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Collects the auxiliary losses of a history.

    Args:
        history: One mapping per epoch, as returned by `read_history`.

    Returns:
        Values over the epochs by the name of the loss, in the order of the columns; empty for a run
        without auxiliary losses.

    Example:
        >>> auxiliary_losses([{"epoch": 1, "train_loss": 2.0, "train_anti_transfer": 0.5}])
        {'anti_transfer': [0.5]}
    """
    columns = [
        name
        for name in (history[0] if history else ())
        if name.startswith(_TRAIN) and name not in HISTORY_COLUMNS
    ]
    return {name.removeprefix(_TRAIN): [row[name] for row in history] for name in columns}
