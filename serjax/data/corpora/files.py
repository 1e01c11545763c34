"""Search for the recordings of published corpora by name, and its error messages."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from serjax import audio
from serjax.data.corpus import CorpusError
from serjax.data.listing import list_files, named

# First bytes of files of sound, for names without a suffix.
_AUDIO_CONTENT = re.compile(
    rb"RIFF....WAVE|RF64....WAVE|FORM....AIF|fLaC|OggS|\.snd|NIST_1A|caff|ID3|\xff[\xf2-\xfb]"
    rb"|....ftypM4A",
    re.DOTALL,
)

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
    if not os.path.exists(path):
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
    listing = list_files(root)
    pattern = _anywhere(layout.recording)
    table = None if layout.table is None else _anywhere(layout.table)
    tables: dict[str, str] = {}
    recordings: dict[tuple[str, ...], tuple[str, re.Match[str]]] = {}
    duplicates: list[str] = []
    ignored: list[str] = []
    dead = listing.dead_links
    for path in sorted(listing.paths, key=lambda path: (path in dead, *_preference(path))):
        if table is not None and (table_match := table.fullmatch(path)):
            tables.setdefault(table_match[1], path)
            continue
        match = pattern.fullmatch(os.path.splitext(path)[0])
        if match is not None and match.groups() in recordings and _is_sound(path):
            duplicates.append(path)
        elif match is not None and is_audio(path):
            recordings[match.groups()] = path, match
        else:
            ignored.append(path)
    if not recordings:
        raise CorpusError(
            f"{layout.name}: no recording in {root}; {layout.wanted}; "
            f"{contents(listing.paths, listing.notes)}"
        )
    if table is not None and not tables:
        raise CorpusError(
            f"{layout.name}: no table in {root}, only {len(recordings)} recordings; {layout.wanted}"
        )
    notes = [*listing.notes, *ignored_notes(root, ignored, f"named as {layout.name}'s are")]
    if duplicates:
        notes.append(
            f"dropped {len(duplicates)} files whose name another file has, and kept one of each: "
            f"{named(sorted(duplicates))}"
        )
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


def read_lines(path: Path, name: str) -> list[str]:
    """Reads the lines of a file of a corpus, such as a list or a transcript.

    Args:
        path: The file, in UTF-8; other bytes become surrogate escapes.
        name: Name of the corpus in messages.

    Raises:
        CorpusError: The file cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig", "surrogateescape").splitlines()
    except OSError as error:
        reason = error.strerror or error
        raise CorpusError(f"{name}: {path}: expected a file that can be read: {reason}") from error


def ignored_notes(root: Path, paths: Sequence[str], expected: str) -> list[str]:
    """Describes ignored files: names links that lead nowhere and files that look like sound.

    Args:
        root: Folder of the corpus.
        paths: Paths of the files relative to it.
        expected: Property that recordings have and these files have not, such as "named as
            EMO-DB's are".

    Returns:
        Notes, one line for each reason, and one that counts the other files.
    """
    left_out: dict[str, list[str]] = {}
    others = 0
    for path in paths:
        reason = _reason_to_leave_out(root, path, expected)
        if reason is None:
            others += 1
        else:
            left_out.setdefault(reason, []).append(path)
    notes = [
        f"left out {len(group)} files {reason}: {named(group)}"
        for reason, group in left_out.items()
    ]
    return [*notes, f"ignored {others} files that are no recordings"] if others else notes


def _reason_to_leave_out(root: Path, path: str, expected: str) -> str | None:
    """Returns why a file that looks like sound is no recording; None if it does not look so."""
    if (root / path).is_symlink() and not os.path.exists(root / path):
        return "which are links that lead nowhere"
    if is_audio(path):
        return f"of sound which are not {expected}"
    name = path.rpartition("/")[2].lower()
    if _is_sound(name):
        return "of sound in formats that are not read"
    if any(suffix in audio.SUFFIXES for suffix in Path(name).suffixes):
        return "of sound whose names go on after the suffix of an audio format"
    if "." not in name and _AUDIO_CONTENT.match(_first_bytes(root / path)):
        return "of sound whose names lack the suffix of an audio format"
    return None


def _first_bytes(path: Path) -> bytes:
    """Reads the first bytes of a file; none if it cannot be read or is no regular file."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(12)
    except OSError:
        pass
    return b""


def is_audio(path: str) -> bool:
    """Returns True if a file has the suffix of an audio format."""
    return path.lower().endswith(audio.SUFFIXES)


def _is_sound(path: str) -> bool:
    """Returns True if a file has the suffix of an audio format, be it read or not."""
    return path.lower().endswith((*audio.SUFFIXES, *audio.UNREADABLE_SUFFIXES))


def _anywhere(end: str) -> re.Pattern[str]:
    """Returns the pattern of a path with this end, from the beginning of a name."""
    return re.compile(rf"(?:.*/)?(?:{end})")


def _preference(path: str) -> tuple[bool, bool, int, str]:
    """Returns a sort key: of files with the same name, the preferred one comes first."""
    is_lossy = not path.lower().endswith(audio.LOSSLESS_SUFFIXES)
    return not is_audio(path), is_lossy, path.count("/"), path


def contents(paths: Sequence[str], notes: Sequence[str]) -> str:
    """Describes the files in a folder without a corpus, for a message.

    Args:
        paths: Paths of the files.
        notes: Remarks on what else the folder holds.
    """
    found = f"{len(paths)} other files: {named(paths)}" if paths else "no files at all"
    return "; ".join([f"found {found}", *notes])
