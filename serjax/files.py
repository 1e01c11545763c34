"""Writing files so that a reader, or a crash, never meets half of one."""

import os
import secrets
from pathlib import Path

PathLike = str | os.PathLike[str]


def write_bytes_atomic(path: PathLike, content: bytes) -> None:
    """Writes a file, or leaves what was there before.

    The content goes to a new file beside `path`, which takes its name once it is complete on disk.

    Args:
        path: The file to write, in an existing directory.
        content: All of its content.

    Raises:
        OSError: The file cannot be written; nothing is left behind.
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
    """Writes a text file in UTF-8, or leaves what was there before; line ends stay as given.

    File names that are not valid UTF-8 reach Python with surrogate escapes (PEP 383) and are
    written as the bytes that they are on disk.

    Args:
        path: The file to write, in an existing directory.
        text: All of its content.

    Raises:
        OSError: The file cannot be written; nothing is left behind.
    """
    write_bytes_atomic(path, text.encode("utf-8", "surrogateescape"))
