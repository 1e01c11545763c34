"""What the loaders of published corpora share: finding recordings by name, and telling failures."""

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
    """How a corpus is published.

    Attributes:
        name: The corpus's name in messages.
        recording: Regular expression for the end of a recording's path, from the beginning of a
            file's or a folder's name, without the suffix. Its groups identify the recording.
        expected: The same for people, with an example.
        source: Where to get the corpus.
        table: The same as `recording` for the files that describe the recordings, with the suffix;
            None where the recordings' names say all. Its only group identifies the table.
    """

    name: str
    recording: str
    expected: str
    source: str
    table: str | None = None

    @property
    def wanted(self) -> str:
        """End of a message on what is not there."""
        return f"expected {self.expected} ({self.source})"


@dataclass(frozen=True)
class Published:
    """What the corpus's owners say it holds.

    Attributes:
        counts: Recordings of each class.
        speakers: How many there are.
        total: Recordings, those of no class too.
        column: What the classes are: a column of the corpus.
    """

    counts: Mapping[str, int]
    speakers: int
    total: int
    column: str = "emotion"


@dataclass(frozen=True)
class Recordings:
    """What a folder holds of a corpus.

    Attributes:
        root: The folder.
        matches: Path of each recording relative to `root`, with forward slashes, and the match of
            it, sorted by path.
        tables: Path of each table by what identifies it, sorted by path.
        notes: What was left out, one line each.
    """

    root: Path
    matches: tuple[tuple[str, re.Match[str]], ...]
    tables: Mapping[str, str]
    notes: tuple[str, ...]


def existing(data_dir: str | Path | None, name: str, wanted: str) -> Path:
    """Returns a corpus's file or folder.

    Raises:
        CorpusError: None is given, or it does not exist.
    """
    if data_dir is None:
        raise CorpusError(f"{name}: no data directory given; {wanted}")
    path = Path(data_dir).expanduser()
    if not path.exists():
        raise CorpusError(f"{name}: data directory {path} does not exist; {wanted}")
    return path


def existing_folder(data_dir: str | Path | None, name: str, wanted: str) -> Path:
    """Returns a corpus's folder.

    Raises:
        CorpusError: None is given, it does not exist, or it is a file.
    """
    path = existing(data_dir, name, wanted)
    if not path.is_dir():
        raise CorpusError(f"{name}: data directory {path} is a file, not a folder; {wanted}")
    return path


def find(data_dir: str | Path | None, layout: Layout) -> Recordings:
    """Finds a corpus's recordings, of any audio format, and tables anywhere below a folder.

    A recording's name identifies it. Of several files of one name a lossless and then the least
    nested one is kept: a widespread package of RAVDESS holds everything twice, CREMA-D comes as
    MP3 too, and a corpus converted to another format often lies beside the original.

    Raises:
        CorpusError: No folder is given, it does not exist, holds no recording of the corpus, or
            no table where there must be one.
    """
    root = existing_folder(data_dir, layout.name, layout.wanted)
    paths = walk(root)
    pattern = _anywhere(layout.recording)
    table = None if layout.table is None else _anywhere(layout.table)
    tables: dict[str, str] = {}
    kept: dict[tuple[str, ...], tuple[str, re.Match[str]]] = {}
    duplicates = ignored = 0
    for path in sorted(paths, key=_preference):
        if table is not None and (described := table.fullmatch(path)):
            tables.setdefault(described[1], path)
            continue
        match = pattern.fullmatch(os.path.splitext(path)[0])
        if not is_audio(path) or match is None:
            ignored += 1
        elif match.groups() in kept:
            duplicates += 1
        else:
            kept[match.groups()] = path, match
    if not kept:
        raise CorpusError(
            f"{layout.name}: no recording in {root}; {layout.wanted}; {contents(paths)}"
        )
    if table is not None and not tables:
        raise CorpusError(
            f"{layout.name}: no table in {root}, only {len(kept)} recordings; {layout.wanted}"
        )
    notes = []
    if ignored:
        notes.append(f"ignored {ignored} files not named as {layout.name}'s recordings are")
    if duplicates:
        notes.append(f"dropped {duplicates} files whose name another file has: kept one of each")
    return Recordings(
        root,
        tuple(sorted(kept.values(), key=lambda pair: pair[0])),
        dict(sorted(tables.items(), key=lambda item: item[1])),
        tuple(notes),
    )


def decode(layout: Layout, path: str, what: str, code: str, meaning: Mapping[str, T]) -> T:
    """Returns what a code in a file name means.

    Raises:
        CorpusError: The corpus has no such code.
    """
    if code not in meaning:
        known = ", ".join(meaning)
        raise CorpusError(
            f"{layout.name}: {path}: unknown {what} {code!r}; expected one of {known}"
        )
    return meaning[code]


def walk(root: Path) -> list[str]:
    """Returns every file below `root`, relative, following links but no folder twice."""
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
    """Whether a file is called as audio files are."""
    return path.lower().endswith(AUDIO_SUFFIXES)


def _anywhere(end: str) -> re.Pattern[str]:
    """Returns the pattern of a path that ends so, from the beginning of a name."""
    return re.compile(rf"(?:.*/)?(?:{end})")


def _preference(path: str) -> tuple[bool, int, str]:
    """Sorts the file to keep before others of the same name."""
    return not path.lower().endswith(LOSSLESS_SUFFIXES), path.count("/"), path


def contents(files: list[str]) -> str:
    """Says what was found in place of a corpus."""
    if not files:
        return "found no files at all"
    first = ", ".join(sorted(files)[:3])
    return f"found {len(files)} other files: {first}{', ...' if len(files) > 3 else ''}"
