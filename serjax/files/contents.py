"""Files: written atomically, so that no reader, even after a crash, finds half of one; JSON files
read with checks, so that a damaged one or one of somebody else ends in an error that names it.
"""

import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from serjax.errors import InputError
from serjax.files import schema

PathLike = str | os.PathLike[str]
Content = TypeVar("Content")

# Deeper values, such as the options of a model, have no use, and end in errors of recursion.
_MAX_DEPTH = 32
_MAX_BITS = 63


def write_bytes_atomic(path: PathLike, content: bytes) -> None:
    """Writes a file completely, or does not change it.

    The content is written to a new file in the same folder, which is renamed to `path` once it is
    complete on disk.

    Args:
        path: Path of the file, in an existing folder.
        content: Complete content of the file.

    Raises:
        OSError: The file cannot be written; no partial file remains.
    """
    path = Path(path)
    # Not tempfile: its files are private to the user, and the mode would survive the renaming.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text_atomic(path: PathLike, text: str) -> None:
    """Writes a text file in UTF-8 completely, or does not change it.

    Line ends are not converted. Python represents file names that are not valid UTF-8 with
    surrogate escapes (PEP 383); they are written as the bytes that they are on disk.

    Args:
        path: Path of the file, in an existing folder.
        text: Complete content of the file.

    Raises:
        OSError: The file cannot be written; no partial file remains.
    """
    write_bytes_atomic(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: PathLike, content: Mapping[str, Any]) -> None:
    """Writes a JSON file completely, or does not change it.

    Args:
        path: Path of the file, in an existing folder.
        content: JSON values, NumPy and JAX scalars and arrays, and paths.

    Raises:
        InputError: A number is NaN or infinite, which JSON cannot represent.
        TypeError: A value is of another type.
        OSError: The file cannot be written.
    """

    def to_plain(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if hasattr(value, "dtype"):
            return value.tolist()
        raise TypeError(f"{path}: cannot write {type(value).__name__} {value!r} as JSON")

    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=to_plain)
    except ValueError as error:
        raise InputError(f"{path}: expected finite numbers to write as JSON: {error}") from error
    write_text_atomic(path, text + "\n")


def read_json(path: PathLike, content: type[Content]) -> Content:
    """Reads a JSON file, and checks its content.

    Args:
        path: File to read.
        content: Schema of the content, see `serjax.files.schema`.

    Raises:
        InputError: The file cannot be read, is not JSON, or has other content; the message names
            the file and the field.
    """
    value = parse_json(read_text(path), path)
    try:
        schema.check(value, content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    checked: Content = value
    return checked


def read_text(path: PathLike) -> str:
    """Reads a text file in UTF-8; other bytes become surrogate escapes, as when it was written.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        # A pipe or a device would be read for ever.
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{path}: expected a file, found another kind of entry")
        return Path(path).read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise InputError(f"{path}: expected a file, found: {error.strerror}") from None


def parse_json(text: str, path: PathLike) -> Any:
    """Parses JSON without the values that a program cannot use.

    Args:
        text: Content of the file.
        path: Name of the file in error messages.

    Raises:
        InputError: It is not JSON; a number is NaN, infinite or whole with more than 63 bits; or
            it is nested more than 32 deep.
    """

    def parse_int(digits: str) -> int:
        # Python limits the digits of a number, but not the time that computing with it takes.
        value = int(digits) if len(digits) <= _MAX_BITS // 3 else math.inf
        if abs(value) >= 2**_MAX_BITS:
            raise InputError(f"{path}: expected numbers below 2**{_MAX_BITS}, found {digits[:24]}")
        return int(value)

    def parse_float(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise InputError(f"{path}: expected finite numbers, found {digits[:24]}")
        return value

    try:
        content = json.loads(
            text, parse_int=parse_int, parse_float=parse_float, parse_constant=parse_float
        )
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: expected JSON, {error}") from None
    except RecursionError:
        raise _too_deep(path) from None
    layer = [content] if isinstance(content, dict | list) else []
    for _ in range(_MAX_DEPTH + 1):
        if not layer:
            return content
        values = (each.values() if isinstance(each, dict) else each for each in layer)
        layer = [each for inner in values for each in inner if isinstance(each, dict | list)]
    raise _too_deep(path)


def json_hash(content: Any) -> str:
    """Returns a SHA-256 of values that JSON holds, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _too_deep(path: PathLike) -> InputError:
    return InputError(f"{path}: expected values nested at most {_MAX_DEPTH} deep, found deeper")
