"""What the loaders of published corpora share: finding recordings by name, and telling failures."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from serjax.data.corpus import CorpusError

AUDIO_SUFFIXES = (".aif", ".aiff", ".flac", ".mp3", ".ogg", ".wav")

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """How a corpus is published.

    Attributes:
        name: The corpus's name in messages.
        stem: What a recording's file name matches, without its suffix.
        expected: The same for people, with an example.
        source: Where to get the corpus.
    """

    name: str
    stem: re.Pattern[str]
    expected: str
    source: str


@dataclass(frozen=True)
class Recordings:
    """What a folder holds of a corpus.

    Attributes:
        root: The folder.
        matches: Path of each recording relative to `root`, with forward slashes, and the match of
            its name, sorted by path.
        notes: What was left out, one line each.
    """

    root: Path
    matches: tuple[tuple[str, re.Match[str]], ...]
    notes: tuple[str, ...]


def find(data_dir: str | Path | None, layout: Layout) -> Recordings:
    """Finds a corpus's recordings anywhere below a folder, of any audio format.

    A recording's name identifies it. Of several files of one name the least nested is kept: a
    widespread package of RAVDESS holds everything twice, and a corpus converted to another
    format often lies beside the original.

    Raises:
        CorpusError: No folder is given, it does not exist, or holds no recording of the corpus.
    """
    wanted = f"expected {layout.expected} ({layout.source})"
    if data_dir is None:
        raise CorpusError(f"{layout.name}: no data directory given; {wanted}")
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        found = "is a file, not a folder" if root.exists() else "does not exist"
        raise CorpusError(f"{layout.name}: data directory {root} {found}; {wanted}")

    files = _walk(root)
    kept: dict[str, tuple[str, re.Match[str]]] = {}
    duplicates = ignored = 0
    for path in sorted(files, key=lambda path: (path.count("/"), path)):
        stem, suffix = os.path.splitext(path.rpartition("/")[2])
        match = layout.stem.fullmatch(stem)
        if suffix.lower() not in AUDIO_SUFFIXES or match is None:
            ignored += 1
        elif stem in kept:
            duplicates += 1
        else:
            kept[stem] = path, match
    if not kept:
        raise CorpusError(f"{layout.name}: no recording in {root}; {wanted}; {_contents(files)}")
    notes = []
    if ignored:
        notes.append(f"ignored {ignored} files not named as {layout.name}'s recordings are")
    if duplicates:
        notes.append(f"dropped {duplicates} files whose name another file has: kept one of each")
    return Recordings(root, tuple(sorted(kept.values(), key=lambda pair: pair[0])), tuple(notes))


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


def _walk(root: Path) -> list[str]:
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
        files += [(Path(folder) / name).relative_to(root).as_posix() for name in names]
    return files


def _contents(files: list[str]) -> str:
    if not files:
        return "found no files at all"
    first = ", ".join(sorted(files)[:3])
    return f"found {len(files)} other files: {first}{', ...' if len(files) > 3 else ''}"
