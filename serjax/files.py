"""Atomic writing of files: no reader, even after a crash, finds half of a file."""

import os
import secrets
from pathlib import Path

PathLike = str | os.PathLike[str]


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
