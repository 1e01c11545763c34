"""CSV and JSON files: written atomically and in full precision, read with errors that name them."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax.errors import InputError
from serjax.files import PathLike, write_text_atomic


def write_table(
    path: PathLike, columns: Sequence[str], rows: Iterable[Sequence[str | int | float]]
) -> None:
    """Writes a CSV file: numbers in full precision, strings quoted.

    Args:
        path: File to write.
        columns: Header of the file.
        rows: Cells of each row, in the order of the columns.
    """
    text = io.StringIO(newline="")
    # All strings are quoted, so that other readers take "03" for a name, and because some versions
    # of the csv module write a carriage return without quotes.
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text_atomic(path, text.getvalue())


def read_table(
    path: PathLike, required: Sequence[str]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Reads a CSV file.

    Args:
        path: File to read.
        required: Columns that the file must have, in any order.

    Returns:
        The header, and for each row the number of its (last) line and its cells.

    Raises:
        InputError: The file does not exist, is not CSV, or has no column of a required name.
    """
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        columns = next(reader, [])
        lines = [(reader.line_num, line) for line in reader]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: expected CSV, {error}") from None
    missing = [name for name in required if name not in columns]
    if missing:
        raise InputError(
            f"{path}: expected columns {', '.join(required)}, found no {', '.join(missing)}"
        )
    if len(set(columns)) != len(columns):
        raise InputError(f"{path}: expected columns with different names, found {columns}")
    for number, line in lines:
        if len(line) != len(columns):
            raise InputError(
                f"{path}, line {number}: expected {len(columns)} columns, found {len(line)}"
            )
    return columns, lines


def write_json(path: PathLike, content: Mapping[str, Any]) -> None:
    """Writes a JSON file.

    Args:
        path: File to write.
        content: JSON values, NumPy and JAX scalars and arrays, and paths.

    Raises:
        ValueError: A number is NaN or infinite, which JSON cannot represent.
        TypeError: A value is of another type.
    """

    def to_plain(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if hasattr(value, "dtype"):
            return np.asarray(value).tolist()
        raise TypeError(f"{path}: cannot write {type(value).__name__} {value!r} as JSON")

    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=to_plain)
    write_text_atomic(path, text + "\n")


def read_json(path: PathLike) -> dict[str, Any]:
    """Reads a JSON file that holds one object.

    Args:
        path: File to read.

    Returns:
        The object.

    Raises:
        InputError: The file does not exist, or holds anything but a JSON object.
    """
    try:
        content = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: expected JSON, {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _read_text(path: PathLike) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise InputError(f"{path}: expected a file of a run folder, {error.strerror}") from None


def require(path: PathLike, content: Any, keys: Iterable[str], prefix: str = "") -> None:
    """Checks that a value read from a JSON file is an object with some keys.

    Args:
        path: File that was read, for the message.
        content: Value to check.
        keys: Keys that the object must have.
        prefix: Dotted name of the object within the file, for the message.

    Raises:
        InputError: The value is not an object, or a key is missing.
    """
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise InputError(f"{path}: expected {prefix}{key}, found none")


def require_numbers(path: PathLike, content: Any, keys: Iterable[str], prefix: str) -> None:
    """Checks that a value read from a JSON file is an object with numbers at some keys.

    Args:
        path: File that was read, for the message.
        content: Value to check.
        keys: Keys that must hold numbers.
        prefix: Dotted name of the object within the file, for the message.

    Raises:
        InputError: The value is not an object, a key is missing, or it holds no number.
    """
    keys = tuple(keys)
    require(path, content, keys, prefix)
    for key in keys:
        if not isinstance(content[key], int | float):
            raise InputError(f"{path}: expected a number in {prefix}{key}, found {content[key]!r}")
