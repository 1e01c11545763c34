"""Search for the recordings of published corpora by name, and its error messages."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from serjax.data.corpus import CorpusError

LOSSLESS_SUFFIXES = (".aif", ".aiff", ".flac", ".wav")
AUDIO_SUFFIXES = (*LOSSLESS_SUFFIXES, ".mp3", ".ogg")

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """File names of a published corpus.

    Attributes:
        name: Name of the corpus in messages.
        recording: Regular expression for the end of a recording's path, from the beginning of a
            file's or a folder's name, without the suffix. Its groups identify the recording.
        expected: Description of the paths for error messages, with an example.
        source: Address of the download.
        table: Regular expression for the end of the path of a file that describes recordings, with
            the suffix. Its only group identifies the table. None if the names of the recordings
            hold all labels.
    """

    name: str
    recording: str
    expected: str
    source: str
    table: str | None = None

    @property
    def wanted(self) -> str:
        """End of a message about missing files."""
        return f"expected {self.expected} ({self.source})"


@dataclass(frozen=True)
class Recordings:
    """Recordings and tables of a corpus in a folder.

    Attributes:
        root: The folder.
        matches: Path of each recording relative to `root`, with forward slashes, and the match of
            `Layout.recording`, sorted by path.
        tables: Path of each table by the group of `Layout.table`, sorted by path.
        notes: Descriptions of the ignored files, one line each.
    """

    root: Path
    matches: tuple[tuple[str, re.Match[str]], ...]
    tables: Mapping[str, str]
    notes: tuple[str, ...]


def existing(data_dir: str | Path | None, name: str, wanted: str) -> Path:
    """Returns the file or folder of a corpus.

    Args:
        data_dir: Path of the file or folder.
        name: Name of the corpus in messages.
        wanted: End of a message about a missing folder.

    Returns:
        The path, with `~` expanded.

    Raises:
        CorpusError: `data_dir` is None or does not exist.
    """
    if data_dir is None:
        raise CorpusError(f"{name}: no data directory given; {wanted}")
    path = Path(os.path.expanduser(data_dir))
    if not path.exists():
        raise CorpusError(f"{name}: data directory {path} does not exist; {wanted}")
    return path


def existing_folder(data_dir: str | Path | None, name: str, wanted: str) -> Path:
    """Returns the folder of a corpus.

    Args:
        data_dir: Path of the folder.
        name: Name of the corpus in messages.
        wanted: End of a message about a missing folder.

    Returns:
        The path, with `~` expanded.

    Raises:
        CorpusError: `data_dir` is None, does not exist, or is a file.
    """
    path = existing(data_dir, name, wanted)
    if not path.is_dir():
        raise CorpusError(f"{name}: data directory {path} is a file, not a folder; {wanted}")
    return path


def find(data_dir: str | Path | None, layout: Layout) -> Recordings:
    """Finds the recordings of a corpus, of any audio format, and its tables below a folder.

    A recording is identified by its name. Of several files with the same name, the corpus has a
    lossless one, and of these the least nested one: a widespread package of RAVDESS holds
    everything twice, CREMA-D has MP3 files too, and a corpus converted to another format often lies
    next to the original.

    Args:
        data_dir: Folder of the corpus.
        layout: File names of the corpus.

    Returns:
        The recordings and tables.

    Raises:
        CorpusError: `data_dir` is None or does not exist, or the folder holds no recording of the
            corpus, or none of its tables.
    """
    root = existing_folder(data_dir, layout.name, layout.wanted)
    paths = walk(root)
    pattern = _anywhere(layout.recording)
    table = None if layout.table is None else _anywhere(layout.table)
    tables: dict[str, str] = {}
    recordings: dict[tuple[str, ...], tuple[str, re.Match[str]]] = {}
    duplicates = ignored = 0
    for path in sorted(paths, key=_preference):
        if table is not None and (table_match := table.fullmatch(path)):
            tables.setdefault(table_match[1], path)
            continue
        match = pattern.fullmatch(os.path.splitext(path)[0])
        if not is_audio(path) or match is None:
            ignored += 1
        elif match.groups() in recordings:
            duplicates += 1
        else:
            recordings[match.groups()] = path, match
    if not recordings:
        raise CorpusError(
            f"{layout.name}: no recording in {root}; {layout.wanted}; {contents(paths)}"
        )
    if table is not None and not tables:
        raise CorpusError(
            f"{layout.name}: no table in {root}, only {len(recordings)} recordings; {layout.wanted}"
        )
    notes = []
    if ignored:
        notes.append(f"ignored {ignored} files not named as {layout.name}'s recordings are")
    if duplicates:
        notes.append(f"dropped {duplicates} files whose name another file has: kept one of each")
    return Recordings(
        root,
        tuple(sorted(recordings.values(), key=lambda pair: pair[0])),
        dict(sorted(tables.items(), key=lambda item: item[1])),
        tuple(notes),
    )


def decode(layout: Layout, path: str, what: str, code: str, meaning: Mapping[str, T]) -> T:
    """Returns the meaning of a code in a file name.

    Args:
        layout: File names of the corpus.
        path: File that the code is from, for the message.
        what: Kind of the code, for the message, such as "emotion".
        code: The code.
        meaning: Meaning of each code of the corpus.

    Returns:
        The meaning of the code.

    Raises:
        CorpusError: The corpus has no code of this name.
    """
    if code not in meaning:
        known = ", ".join(meaning)
        raise CorpusError(
            f"{layout.name}: {path}: unknown {what} {code!r}; expected one of {known}"
        )
    return meaning[code]


def walk(root: Path) -> list[str]:
    """Returns the relative path of each file below `root`; links are followed, each folder once."""
    files: list[str] = []
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        visited.add(os.path.realpath(folder))
        subfolders[:] = sorted(
            name
            for name in subfolders
            if os.path.realpath(os.path.join(folder, name)) not in visited
        )
        relative = Path(folder).relative_to(root)
        files += [f"{relative.as_posix()}/{name}" if relative.parts else name for name in names]
    return files


def is_audio(path: str) -> bool:
    """Returns True if a file has the suffix of an audio format."""
    return path.lower().endswith(AUDIO_SUFFIXES)


def _anywhere(end: str) -> re.Pattern[str]:
    """Returns the pattern of a path with this end, from the beginning of a name."""
    return re.compile(rf"(?:.*/)?(?:{end})")


def _preference(path: str) -> tuple[bool, int, str]:
    """Returns a sort key: of files with the same name, the preferred one comes first."""
    return not path.lower().endswith(LOSSLESS_SUFFIXES), path.count("/"), path


def contents(files: list[str]) -> str:
    """Describes the files in a folder without a corpus, for a message."""
    if not files:
        return "found no files at all"
    first = ", ".join(sorted(files)[:3])
    return f"found {len(files)} other files: {first}{', ...' if len(files) > 3 else ''}"
