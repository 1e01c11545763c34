"""Recordings that a table names: by Windows paths, paths of another computer, other Unicode forms.

A name is looked up as it is first, because on disk it is bytes. Otherwise one prefix of all paths
is left out, and letters of another case or Unicode form match if only one recording fits.
"""

import os
import posixpath
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from serjax.data.listing import named
from serjax.data.tables import TableError


@dataclass(frozen=True)
class Matches:
    """Recordings that a table names.

    Attributes:
        paths: Path of each recording; None if there is no such recording.
        notes: Assumptions, one line each.
    """

    paths: list[str | None]
    notes: list[str]


def match_paths(
    cells: Sequence[str],
    exists: Callable[[str], bool],
    list_paths: Callable[[], Iterable[str]],
    encoding: str = "utf-8",
) -> Matches:
    """Finds the recordings that the cells of a table name.

    Args:
        cells: Paths as the table has them.
        exists: Function that says whether there is a recording of a path.
        list_paths: Function that returns the paths of all recordings, called only if needed.
        encoding: Encoding of the table: a name on disk may be the bytes of the cell.

    Raises:
        TableError: Several recordings fit a cell.
    """
    search = _Search(exists, list_paths, encoding)
    spelled = list(dict.fromkeys(cells))
    found = {cell: search.exact(cell) for cell in spelled}
    prefix = ""
    if not any(found.values()):
        prefix = next(filter(None, map(search.prefix, spelled)), "")
        found = {cell: search.exact(_without(prefix, cell)) for cell in spelled}
    for cell in spelled:
        found[cell] = found[cell] or search.similar(_without(prefix, cell))
    notes = []
    if prefix:
        notes.append(f"left out {prefix} at the beginning of the table's paths")
    if any("\\" in cell and found[cell] not in (None, cell) for cell in spelled):
        notes.append("read backslashes in the table's paths as slashes")
    if search.similar_names:
        listed = [f"{path} for {cell}" for cell, path in search.similar_names.items()]
        notes.append(
            f"matched {len(listed)} paths that differ in case or Unicode form: {named(listed)}"
        )
    return Matches([found[cell] for cell in cells], notes)


class _Search:
    """Search for recordings by their path."""

    def __init__(
        self, exists: Callable[[str], bool], list_paths: Callable[[], Iterable[str]], encoding: str
    ) -> None:
        self._exists = exists
        self._list_paths = list_paths
        self._encoding = encoding
        self._similar: dict[str, list[str]] | None = None
        self.similar_names: dict[str, str] = {}

    def exact(self, cell: str) -> str | None:
        """Returns the path of the recording that has exactly this name."""
        return next(filter(self._exists, self._forms(cell)), None)

    def similar(self, cell: str) -> str | None:
        """Returns the path of the only recording whose name differs in case or Unicode form."""
        for form in self._forms(cell):
            if path := self._similar_to(form):
                self.similar_names[cell] = path
                return path
        return None

    def prefix(self, cell: str) -> str | None:
        """Returns the shortest beginning of a path without which there is such a recording."""
        form = cell.replace("\\", "/")
        for index in (i for i, character in enumerate(form) if character == "/"):
            rest = form[index + 1 :]
            if rest and (self.exact(rest) or self._similar_to(rest)):
                return cell[: index + 1]
        return None

    def _forms(self, cell: str) -> Iterator[str]:
        """Yields the path of a cell as it is, as bytes of its encoding, and with slashes."""
        yield posixpath.normpath(cell)
        if self._encoding not in ("utf-8", "utf-8-sig"):
            yield posixpath.normpath(os.fsdecode(cell.encode(self._encoding, "replace")))
        if "\\" in cell:
            yield posixpath.normpath(cell.replace("\\", "/"))

    def _similar_to(self, form: str) -> str | None:
        if self._similar is None:
            self._similar = {}
            for path in self._list_paths():
                self._similar.setdefault(_folded(path), []).append(path)
        paths = self._similar.get(_folded(form), [])
        if len(paths) > 1:
            raise TableError(f"{form}: expected one recording of this name, found {named(paths)}")
        return paths[0] if paths else None


def _without(prefix: str, cell: str) -> str:
    """Returns a path without a prefix, in whatever case a Windows path has it."""
    return cell[len(prefix) :] if cell.lower().startswith(prefix.lower()) else cell


def _folded(path: str) -> str:
    """Returns a form of a path that does not depend on its case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
