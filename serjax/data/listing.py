"""Files below a folder, without those that operating systems, drives and archive tools add."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serjax.data.corpus import CorpusError

_MOST_NAMED = 5

# Names of files and folders, hidden ones aside, whose names begin with a dot: `.DS_Store`, the
# resource forks `._NAME`, `.Trash-1000`, `.~lock.NAME#`, `.git` and the like.
_SYSTEM_NAME = re.compile(
    "|".join(
        (
            # macOS and its archives
            r"__MACOSX|Icon\r|Network Trash Folder|Temporary Items",
            # Windows, its office programs, and the streams that other systems show as files
            r"Thumbs\.db.*|ehthumbs.*\.db|desktop\.ini|\$RECYCLE\.BIN|RECYCLE[RD]",
            r"System Volume Information|FOUND\.\d{3}|~\$.*|.*:Zone\.Identifier.*|.*:com\.dropbox.*",
            # Linux
            r"lost\+found",
            # network drives: Synology, QNAP, NetApp
            r"@eaDir|@tmp|#recycle|#snapshot|@Recycle|@Recently-Snapshot|~snapshot",
            r".*@Syno(?:EAStream|Resource)",
            # tar
            r"PaxHeaders?(?:\..*)?|@LongLink|pax_global_header",
            # tools of Python and of version control
            r"__pycache__|CVS",
        )
    ),
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Listing:
    """Files below a folder.

    Attributes:
        paths: Paths relative to the folder, with forward slashes, sorted.
        system: Paths of the skipped files and folders: hidden ones, and those that operating
            systems, drives and archive tools add.
        unreadable: Reason by the path of each folder that cannot be read.
        dead_links: Target by the path of each link that leads nowhere. They are among `paths`.
    """

    paths: tuple[str, ...]
    system: tuple[str, ...]
    unreadable: dict[str, str]
    dead_links: dict[str, str]

    @property
    def notes(self) -> list[str]:
        """Remarks on what is skipped or cannot be read, one line each."""
        notes = []
        if self.system:
            notes.append(
                f"skipped {len(self.system)} hidden files and folders, or those of operating "
                f"systems, drives and archive tools: {named(self.system)}"
            )
        notes += [
            f"left out folder {path}, which cannot be read: {reason}"
            for path, reason in self.unreadable.items()
        ]
        return notes


def is_system_name(name: str) -> bool:
    """Returns True for a hidden file or folder, or one that a system adds.

    Args:
        name: Name without its folder.
    """
    return name.startswith(".") or _SYSTEM_NAME.fullmatch(name) is not None


def list_files(root: Path) -> Listing:
    """Lists the files below a folder. Links are followed, each folder is visited once.

    Args:
        root: The folder.

    Raises:
        CorpusError: The folder cannot be read.
    """
    paths: list[str] = []
    system: list[str] = []
    unreadable: dict[str, str] = {}
    dead_links: dict[str, str] = {}
    visited: set[str] = set()

    def record(error: OSError) -> None:
        folder = Path(os.fspath(error.filename)).relative_to(root).as_posix()
        unreadable[folder] = error.strerror or str(error)

    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=record):
        visited.add(os.path.realpath(folder))
        relative = Path(folder).relative_to(root)
        prefix = f"{relative.as_posix()}/" if relative.parts else ""
        system += [prefix + name for name in (*subfolders, *names) if is_system_name(name)]
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not is_system_name(name)
            and os.path.realpath(os.path.join(folder, name)) not in visited
        )
        for name in names:
            if is_system_name(name):
                continue
            paths.append(prefix + name)
            path = os.path.join(folder, name)
            if os.path.islink(path) and not os.path.exists(path):
                dead_links[prefix + name] = os.readlink(path)
    if "." in unreadable:
        raise CorpusError(f"{root}: expected a folder that can be read, found: {unreadable['.']}")
    return Listing(
        tuple(sorted(paths)),
        tuple(sorted(system)),
        dict(sorted(unreadable.items())),
        dict(sorted(dead_links.items())),
    )


def named(paths: Sequence[str]) -> str:
    """Names the first of several paths and counts the others, for a message.

    >>> named(["a", "b"]), named([*"abcdefg"])
    ('a, b', 'a, b, c, d, e and 2 more')

    Args:
        paths: The paths.
    """
    first = ", ".join(paths[:_MOST_NAMED])
    others = len(paths) - _MOST_NAMED
    return f"{first} and {others} more" if others > 0 else first
