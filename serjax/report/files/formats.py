"""CSV and JSON: written atomically and in full precision, read with errors that name the file."""

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
    """Writes a CSV file, numbers in full precision, strings quoted."""
    text = io.StringIO(newline="")
    # Strings are quoted, always: "03" stays a name for other readers, and so does a carriage
    # return, which some versions of the module write bare.
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text_atomic(path, text.getvalue())


def read_table(
    path: PathLike, required: Sequence[str]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a CSV file, and each row with the number of its (last) line.

    Raises:
        InputError: There is no such file, it is not CSV, or it lacks a required column.
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
        path: The file to write.
        content: Anything JSON can hold, scalars and arrays of NumPy and JAX, and paths.

    Raises:
        ValueError: A number is NaN or infinite, which JSON has no word for.
        TypeError: A value is of another type.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if hasattr(value, "dtype"):
            return np.asarray(value).tolist()
        raise TypeError(f"{path}: cannot write {type(value).__name__} {value!r} as JSON")

    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=plain)
    write_text_atomic(path, text + "\n")


def read_json(path: PathLike) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        InputError: There is no such file, or it holds something else.
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
    """Raises InputError unless what was read is an object with the keys."""
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise InputError(f"{path}: expected {prefix}{key}, found none")


def require_numbers(path: PathLike, content: Any, keys: Iterable[str], prefix: str) -> None:
    """Raises InputError unless what was read has numbers at the keys."""
    keys = tuple(keys)
    require(path, content, keys, prefix)
    for key in keys:
        if not isinstance(content[key], int | float):
            raise InputError(f"{path}: expected a number in {prefix}{key}, found {content[key]!r}")
