"""Tables of recordings in CSV files."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from serjax.data import tables
from serjax.data.audformat import with_other_tables
from serjax.data.corpora import files
from serjax.data.corpus import DIMENSIONS, Corpus, CorpusError, Identity, Utterance, corpus_of_files
from serjax.data.listing import is_system_name, list_files
from serjax.data.paths import match_paths
from serjax.data.registry import register
from serjax.data.tables import Row, Table, TableError

REQUIRED = ("path", "emotion")
TIMES = ("start", "end")

# Other names of the columns, as audformat, nkululeko and other toolkits call them.
COLUMNS: Mapping[str, Sequence[str]] = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "wav", "audio"),
    "emotion": ("label", "emotion_label", "emo"),
    "speaker": ("speaker_id", "spk", "spk_id", "actor"),
    "text": ("transcription", "transcript"),
    "session": (),
    "start": ("start_time",),
    "end": ("end_time",),
    "valence": (),
    "activation": ("arousal",),
    "dominance": (),
}

# Columns that another table of a database may have.
_SHARED = ("speaker", "text", "session")

_NAME = "csv"
_SUFFIXES = (".csv", ".tsv")
_WANTED = (
    "expected a CSV file, or a folder with one, whose columns are path and emotion, and optionally "
    f"{', '.join(name for name in COLUMNS if name not in REQUIRED)}"
)


@register("csv")
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads a CSV file with the names of the columns in the first row.

    The columns path and emotion are required. The columns speaker, text, session, start and end
    (seconds, or times as of audformat), valence, activation and dominance are optional. `COLUMNS`
    has the other names that they may have. Other columns are ignored and noted. Emotions are
    converted to lower case. A row without an emotion is an utterance without one.

    Separators, encodings, decimal commas and missing values are recognized, see
    `serjax.data.tables`, and so are paths of another computer, see `serjax.data.paths`; the notes
    say what was assumed. The speaker, text and session of a table in audformat may be in other
    tables of its database, see `serjax.data.audformat`.

    Args:
        data_dir: The file, or a folder with exactly one CSV file of these columns. Paths in the
            file are relative to its folder.

    Returns:
        The corpus.

    Raises:
        CorpusError: The file does not exist or cannot be read in one way only, a required column is
            missing, a column occurs twice, or a row is wrong: an empty path, a cell that is not a
            number, a recording that does not exist or is listed twice, an end before its start.
    """
    path = files.existing(data_dir, _NAME, _WANTED)
    try:
        table, notes = _only_table(path) if path.is_dir() else (_read(path), [])
        table = with_other_tables(table, {name: COLUMNS[name] for name in ("path", *_SHARED)})
        utterances, more_notes = _utterances(table)
    except TableError as error:
        raise CorpusError(f"{error}; {_WANTED}") from error
    return corpus_of_files(_NAME, utterances, table.path.parent, [*notes, *more_notes])


def _read(path: Path) -> Table:
    return tables.read(path, COLUMNS, REQUIRED, (*TIMES, *DIMENSIONS))


def _only_table(folder: Path) -> tuple[Table, list[str]]:
    """Returns the only table with the columns in a folder, and a note on other tables."""
    names = [
        name
        for name in sorted(os.listdir(folder))
        if name.lower().endswith(_SUFFIXES) and not is_system_name(name)
    ]
    if len(names) == 1:
        return _read(folder / names[0]), []
    read: dict[str, Table] = {}
    for name in names:
        try:
            read[name] = _read(folder / name)
        except TableError:
            continue
    if len(read) != 1:
        found = ", ".join(read or names) or "none"
        raise CorpusError(f"{_NAME}: expected one CSV file in {folder}, found {found}; {_WANTED}")
    ((name, table),) = read.items()
    others = ", ".join(other for other in names if other != name)
    return table, [f"read {name}, which has the columns, and not {others}"]


def _utterances(table: Table) -> tuple[list[Utterance], list[str]]:
    """Returns the utterances of a table and its notes."""
    folder = table.path.parent
    if not table.rows:
        raise TableError(f"{table.path}: has no line below the names of its columns")
    for row in table.rows:
        if "path" not in row.cells:
            raise TableError(f"{table.path}, line {row.line}, column path: is empty")
    matches = match_paths(
        [row.cells["path"] for row in table.rows],
        lambda path: os.path.isfile(folder / path),
        lambda: _recordings(folder),
        table.encoding,
    )
    utterances: dict[Identity, tuple[Utterance, int]] = {}
    repeated = 0
    for row, recording in zip(table.rows, matches.paths, strict=True):
        if recording is None:
            raise TableError(_missing(table, row))
        utterance = _utterance(table, row, _relative(folder, recording))
        earlier, line = utterances.setdefault(utterance.identity, (utterance, row.line))
        if earlier != utterance:
            raise TableError(
                f"{table.path}, line {row.line}, column path: {utterance.identity} is listed "
                f"already in line {line}"
            )
        repeated += line != row.line
    notes = [*table.notes, *matches.notes]
    if repeated:
        notes.append(f"left out {repeated} rows that repeat another row")
    return [utterance for utterance, _ in utterances.values()], notes


def _recordings(folder: Path) -> Iterable[str]:
    """Returns the paths of the files below a folder."""
    listing = list_files(folder)
    return [path for path in listing.paths if path not in listing.dead_links]


def _relative(folder: Path, recording: str) -> str:
    """Returns the path of a recording relative to the folder, if it lies below it."""
    path = Path(recording)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else recording


def _missing(table: Table, row: Row) -> str:
    """Describes a recording that does not exist."""
    path = table.path.parent / row.cells["path"]
    where = f"{table.path}, line {row.line}, column path"
    if path.is_symlink():
        return f"{where}: {path} is a link that leads nowhere, to {os.readlink(path)}"
    return f"{where}: no file {path}"


def _utterance(table: Table, row: Row, recording: str) -> Utterance:
    cells = row.cells
    where = f"{table.path}, line {row.line}"
    start, end = (table.seconds(row, name) for name in TIMES)
    if start is not None and start < 0:
        raise TableError(f"{where}, column start: expected 0 or more, found {start:g}")
    if end is not None and end <= (start or 0.0):
        raise TableError(f"{where}, column end: expected more than {start or 0.0:g}, found {end:g}")
    return Utterance(
        recording,
        emotion=cells["emotion"].lower() if "emotion" in cells else None,
        speaker=cells.get("speaker"),
        text=cells.get("text"),
        session=cells.get("session"),
        start=start,
        end=end,
        **{name: table.number(row, name) for name in DIMENSIONS},
    )
