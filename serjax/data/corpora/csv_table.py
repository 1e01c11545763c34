"""Tables of recordings in CSV files."""

import csv
import math
from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import DIMENSIONS, Corpus, CorpusError, Utterance, corpus_of_files
from serjax.data.registry import register

REQUIRED = ("path", "emotion")
TEXTS = ("speaker", "text", "session")
NUMBERS = ("start", "end", *DIMENSIONS)

_NAME = "csv"
_WANTED = (
    "expected a CSV file, or a folder with one, whose columns are path and emotion, and optionally "
    f"{', '.join((*TEXTS, *NUMBERS))}"
)


@register("csv")
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads a CSV file in UTF-8 with commas and the names of the columns in the first line.

    The columns path and emotion are required. The columns speaker, text, session, start and end
    (seconds), valence, activation and dominance are optional; their empty cells are None. Other
    columns are ignored and noted. Emotions are converted to lower case.

    Args:
        data_dir: The file, or a folder with exactly one CSV file. Paths in the file are relative
            to its folder.

    Returns:
        The corpus.

    Raises:
        CorpusError: The file does not exist, a required column is missing, a column occurs twice,
            or a line is wrong: an empty path or emotion, a cell that is not a number, a recording
            that does not exist or is listed twice, an end before its start.
    """
    path = _table(files.existing(data_dir, _NAME, _WANTED))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            _check_header(path, header)
            utterances = []
            line_of: dict[tuple[str, float | None, float | None], int] = {}
            for row in reader:
                if not row:
                    continue
                where = f"{path}, line {reader.line_num}"
                utterance = _utterance(path.parent, where, header, row)
                key = utterance.path, utterance.start, utterance.end
                if key in line_of:
                    raise CorpusError(
                        f"{where}, column path: {utterance.path} is listed already in line "
                        f"{line_of[key]}"
                    )
                line_of[key] = reader.line_num
                utterances.append(utterance)
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: is not a CSV file in UTF-8: {error}") from error
    if not utterances:
        raise CorpusError(f"{path}: has no line below the names of its columns; {_WANTED}")
    known = (*REQUIRED, *TEXTS, *NUMBERS)
    ignored = [name for name in header if name not in known]
    notes = [f"ignored columns of the CSV: {', '.join(ignored)}"] if ignored else []
    return corpus_of_files(_NAME, utterances, path.parent, notes)


def _table(path: Path) -> Path:
    """Returns the CSV file at a path, or the only one in the folder at a path."""
    if not path.is_dir():
        return path
    tables = sorted(entry for entry in path.iterdir() if entry.suffix.lower() == ".csv")
    if len(tables) != 1:
        names = ", ".join(entry.name for entry in tables) or "none"
        raise CorpusError(f"{_NAME}: expected one CSV file in {path}, found {names}; {_WANTED}")
    return tables[0]


def _check_header(path: Path, header: list[str]) -> None:
    columns = f"found {', '.join(header) or 'none'}"
    for name in REQUIRED:
        if name not in header:
            raise CorpusError(f"{path}, line 1: no column {name}; {columns}; {_WANTED}")
    for name in header:
        if header.count(name) > 1:
            raise CorpusError(f"{path}, line 1: column {name!r} is there twice; {columns}")


def _utterance(folder: Path, where: str, header: list[str], row: list[str]) -> Utterance:
    if len(row) != len(header):
        raise CorpusError(f"{where}: expected {len(header)} cells, found {len(row)}")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
    for name in REQUIRED:
        if not cells[name]:
            raise CorpusError(f"{where}, column {name}: is empty")
    recording = Path(cells["path"])
    if not (folder / recording).is_file():
        raise CorpusError(f"{where}, column path: no file {folder / recording}")
    numbers = {name: _number(where, name, cells.get(name, "")) for name in NUMBERS}
    start, end = numbers["start"] or 0.0, numbers["end"]
    if start < 0:
        raise CorpusError(f"{where}, column start: expected 0 or more, found {start:g}")
    if end is not None and end <= start:
        raise CorpusError(f"{where}, column end: expected more than {start:g}, found {end:g}")
    return Utterance(
        recording.as_posix(),
        emotion=cells["emotion"].lower(),
        speaker=cells.get("speaker") or None,
        text=cells.get("text") or None,
        session=cells.get("session") or None,
        **numbers,
    )


def _number(where: str, name: str, cell: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CorpusError(f"{where}, column {name}: expected a number, found {cell!r}")
    return value
