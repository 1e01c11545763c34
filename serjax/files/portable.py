"""Paths in files that are shared: relative to the folder of the file, instead of this machine's."""

import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from serjax.files.contents import PathLike

FOLDER = "{folder}"
"""Placeholder for the folder of the file, such as in "{folder}/../EMODB"."""


def to_relative(content: Any, folder: PathLike, data_dirs: Iterable[str] = ()) -> Any:
    """Replaces the absolute paths in JSON values.

    A path that shares no folder with `folder` but the root stays as it is.

    Args:
        content: Values of JSON: texts, lists and objects of them, and others, which are returned.
        folder: Folder of the file that the values are written to.
        data_dirs: Folders of corpora, which are removed from texts with paths of their recordings.

    Returns:
        The values, in which a text that is an absolute path begins with `FOLDER`.
    """
    roots = [os.path.join(os.path.abspath(each), "") for each in data_dirs]
    roots += [each.rstrip("/") + "/" for each in data_dirs if os.path.isabs(each)]

    def relative(text: str) -> str:
        name, equals, value = text.partition("=")
        if equals and _is_absolute(value):  # --data-dir=/home/me/EMODB
            return f"{name}={relative(value)}"
        if not _is_absolute(text):
            for root in roots:
                text = text.replace(root, "")
            return text
        try:
            is_near = len(PurePath(os.path.commonpath([text, os.path.abspath(folder)])).parts) > 1
        except ValueError:  # another drive
            return text
        return f"{FOLDER}/{PurePath(os.path.relpath(text, folder)).as_posix()}" if is_near else text

    return _map(relative, content)


def to_absolute(content: Any, folder: PathLike) -> Any:
    """Restores the paths that `to_relative` replaced.

    Args:
        content: Values of JSON, as `to_relative` returns them.
        folder: Folder of the file that they are read from.

    Returns:
        The values with absolute paths, at the place where the folder is now.
    """

    def absolute(text: str) -> str:
        if text != FOLDER and not text.startswith(f"{FOLDER}/"):
            return text
        return os.path.normpath(os.path.join(os.path.abspath(folder), text[len(FOLDER) + 1 :]))

    return _map(absolute, content)


def shown(text: str) -> str:
    """Shortens an absolute path to its last name, for a page or a table that others read.

    Example:
        >>> shown("/home/me/corpora/EMODB"), shown("--data-dir")
        ('…/EMODB', '--data-dir')
    """
    name, equals, value = text.partition("=")
    if equals and os.path.isabs(value):
        return f"{name}={shown(value)}"
    return f"…/{PurePath(text).name}" if os.path.isabs(text) else text


def _is_absolute(text: str) -> bool:
    """Returns True for an absolute path to a place that exists, or could be made."""
    return os.path.isabs(text) and "\0" not in text and os.path.isdir(os.path.dirname(text))


def _map(function: Any, content: Any) -> Any:
    """Applies a function to all texts in JSON values, except the keys of objects."""
    if isinstance(content, str):
        return function(content)
    if isinstance(content, dict):
        return {key: _map(function, value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_map(function, value) for value in content]
    return content
