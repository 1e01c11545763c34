"""Tables of text as people have them: written by spreadsheets, data-frame libraries and databases.

Encoding, separator, decimal mark and spelling of missing values are recognized, and the notes of a
table say what was assumed. What is ambiguous is refused.
"""

import csv
import io
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serjax.errors import InputError
from serjax.files.csv_cells import name_of_cell

MISSING = frozenset(
    (
        *("", "<NA>", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
        *("1.#QNAN", "N/A", "NA", "NULL", "NaN", "None", "NaT", "n/a", "nan", "null"),
    )
)
"""Cells without a value: empty ones, and the spellings that pandas reads as missing by default."""

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# The longer marks come first: that of UTF-32 begins with that of UTF-16.
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OTHER_FORMATS = {
    b"PK\x03\x04": "a workbook of Excel or OpenDocument",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x1f\x8b": "a compressed file",
    b"SQLite format": "a database",
}
_UNMARKED = "windows-1252"

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_TIMEDELTA = re.compile(
    r"(?:(?P<days>\d+) days?,? ?)?(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)"
    r"(?P<seconds>\d+(?:[.,]\d+)?)"
)
_QUANTITY = re.compile(r"(\S+?) ?(s|sec|seconds?|ms|milliseconds?)")


class TableError(InputError):
    """A table that cannot be read, or not in one way only: one line with the file and the line."""


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        line: Number of its last line in the file.
        cells: Its values by the name of the column; a missing value is absent.
    """

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        path: Its file.
        encoding: Encoding of the file.
        columns: Known columns that it has.
        rows: Its rows; rows without a value in a known column are left out.
        notes: Assumptions, and columns that are ignored, one line each.
        has_decimal_commas: True if numbers have a comma instead of a point.
    """

    path: Path
    encoding: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    has_decimal_commas: bool = False

    def number(self, row: Row, column: str) -> float | None:
        """Returns the number in a cell; None if it is missing.

        Args:
            row: Row of the table.
            column: Name of the column.

        Raises:
            TableError: The cell holds something else.
        """
        cell = row.cells.get(column)
        if cell is None:
            return None
        value = self._float(cell)
        if not math.isfinite(value):
            raise self._error(row, column, "a number", cell)
        return value

    def seconds(self, row: Row, column: str) -> float | None:
        """Returns the time in a cell, in seconds; None if it is missing.

        Args:
            row: Row of the table.
            column: Name of the column. A cell holds a number of seconds, a number with the unit s
                or ms, or days, hours, minutes and seconds, such as "0 days 00:00:01.5" of pandas
                and audformat, "00:01.5" or "00:00:01,500".

        Raises:
            TableError: The cell holds something else.
        """
        cell = row.cells.get(column)
        if cell is None:
            return None
        if match := _TIMEDELTA.fullmatch(cell):
            days, hours, minutes = (int(match[n] or 0) for n in ("days", "hours", "minutes"))
            rest = float(match["seconds"].replace(",", "."))
            value = ((24 * days + hours) * 60 + minutes) * 60 + rest
        elif match := _QUANTITY.fullmatch(cell):
            value = self._float(match[1]) / (1000 if match[2].startswith("m") else 1)
        else:
            value = self._float(cell)
        if not math.isfinite(value):
            raise self._error(row, column, "a number", cell)
        return value

    def _float(self, cell: str) -> float:
        if self.has_decimal_commas:
            cell = cell.replace(",", ".")
        try:
            return float(cell)
        except ValueError:
            return math.nan

    def _error(self, row: Row, column: str, expected: str, cell: str) -> TableError:
        where = f"{self.path}, line {row.line}, column {column}"
        return TableError(f"{where}: expected {expected}, found {cell!r}")


def read(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    required: Sequence[str],
    numbers: Sequence[str] = (),
) -> Table:
    """Reads a table whose first row names its columns.

    Args:
        path: File of the table.
        columns: Other names of each known column, by its name. They are used if the column itself
            is absent; upper and lower case are the same.
        required: Known columns that the table must have.
        numbers: Known columns that hold numbers or times.

    Returns:
        The table. Its cells have no spaces at their ends.

    Raises:
        TableError: The file cannot be read, is no table of text, has no column of a required name
            or two of a known name, or a row has another number of cells.
    """
    text, encoding = _decode(path)
    separator, records = _split(path, text, columns, required)
    (_, first), *records = records or [(1, [])]
    names, notes = _known_columns(path, [_plain(cell) for cell in first], columns, required)
    if encoding == _UNMARKED:
        notes.insert(0, f"{path.name} is not in UTF-8: read as {encoding}")
    elif encoding not in ("utf-8", "utf-8-sig"):
        notes.insert(0, f"{path.name} is read as {encoding}")
    if separator != ",":
        notes.insert(0, f"{path.name} is separated by {_SEPARATORS[separator]}")
    rows, spellings = _rows(path, records, len(first), names)
    if spellings:
        listed = ", ".join(f"{spelling} ({n})" for spelling, n in sorted(spellings.items()))
        notes.append(f"read cells as missing values: {listed}")
    has_decimal_commas = separator != "," and _has_decimal_commas(path, rows, numbers)
    if has_decimal_commas:
        notes.append("read commas in numbers as decimal points")
    known = tuple(name for name in columns if name in names)
    return Table(path, encoding, known, tuple(rows), tuple(notes), has_decimal_commas)


def _decode(path: Path) -> tuple[str, str]:
    """Returns the text of a file and its encoding."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise TableError(
            f"{path}: expected a CSV file that can be read, found: {reason}"
        ) from error
    for magic, name in _OTHER_FORMATS.items():
        if content.startswith(magic):
            raise TableError(f"{path}: expected a CSV file, found {name}; export it as CSV")
    marks = [name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)]
    # Without a mark, every second byte of ASCII text in UTF-16 is 0.
    if not marks and content[1::2].count(0) > len(content) / 4:
        marks = ["utf-16-le"]
    elif not marks and content[::2].count(0) > len(content) / 4:
        marks = ["utf-16-be"]
    for encoding in marks[:1] or ("utf-8", _UNMARKED):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    expected = marks[0] if marks else "UTF-8, UTF-16 or Windows-1252"
    raise TableError(f"{path}: is not a CSV file in {expected}")


def _split(
    path: Path, text: str, columns: Mapping[str, Sequence[str]], required: Sequence[str]
) -> tuple[str, list[tuple[int, list[str]]]]:
    """Returns the separator of a table, and its records with the number of their last line."""
    skipped = 0
    separators: Sequence[str] = [*_SEPARATORS]
    if match := re.match(r'"?sep=(.)"?\r?\n', text):  # Excel's own remark
        separators, text, skipped = [match[1]], text[match.end() :], 1
        if match[1] not in _SEPARATORS:
            raise TableError(f"{path}, line 1: unknown separator {match[1]!r}")
    fitting, headers = [], {}
    for separator in separators:
        try:
            header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        except csv.Error as error:
            raise TableError(f"{path}: is not a CSV file: {error}") from error
        headers[separator] = [_plain(cell) for cell in header]
        if all({name, *columns[name]} & {*headers[separator]} for name in required):
            fitting.append(separator)
    if len(fitting) > 1:
        listed = " or ".join(_SEPARATORS[separator] for separator in fitting)
        raise TableError(f"{path}, line 1: cannot tell whether {listed} separate the columns")
    separator = fitting[0] if fitting else max(headers, key=lambda s: len(headers[s]))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return separator, [(skipped + reader.line_num, record) for record in reader if record]
    except csv.Error as error:
        line = skipped + reader.line_num
        raise TableError(f"{path}, line {line}: is not a CSV file: {error}") from error


def _known_columns(
    path: Path,
    header: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    required: Sequence[str],
) -> tuple[dict[str, int], list[str]]:
    """Returns the index of each known column, and notes on the other ones."""
    listed = f"found {', '.join(header) or 'none'}"
    indices: dict[str, int] = {}
    notes: list[str] = []
    for name, others in columns.items():
        present = [name] if name in header else [other for other in others if other in header]
        if len(present) > 1:
            raise TableError(f"{path}, line 1: expected one column {name}, found {present}")
        if not present and name in required:
            raise TableError(f"{path}, line 1: no column {name}; {listed}")
        for each in present:
            if header.count(each) > 1:
                raise TableError(f"{path}, line 1: column {each!r} is there twice; {listed}")
            indices[name] = header.index(each)
            if each != name:
                notes.append(f"read column {each} as {name}")
    ignored = [name for i, name in enumerate(header) if name and i not in indices.values()]
    if ignored:
        notes.append(f"ignored columns of the CSV: {', '.join(ignored)}")
    return indices, notes


def _rows(
    path: Path, records: Sequence[tuple[int, list[str]]], width: int, names: Mapping[str, int]
) -> tuple[list[Row], Counter[str]]:
    """Returns the rows, and the numbers of missing values by their spelling."""
    # R writes the number of each row in front of it, and no name for this column.
    has_row_names = all(
        len(cells) == width + 1 and cells[0] == str(number)
        for number, (_, cells) in enumerate(records, start=1)
    )
    rows: list[Row] = []
    spellings: Counter[str] = Counter()
    for line, record in records:
        cells = record[1:] if has_row_names else record
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) < width or any(cell.strip() for cell in cells[width:]):
            raise TableError(f"{path}, line {line}: expected {width} cells, found {len(cells)}")
        values = {name: cells[index] for name, index in names.items()}
        present = {name: cell for name, cell in values.items() if cell.strip() not in MISSING}
        if not present:
            continue
        spellings.update(
            cell.strip() for name, cell in values.items() if name not in present and cell.strip()
        )
        rows.append(Row(line, {name: name_of_cell(cell.strip()) for name, cell in present.items()}))
    return rows, spellings


def _has_decimal_commas(path: Path, rows: Sequence[Row], numbers: Sequence[str]) -> bool:
    """Returns True if numbers have decimal commas."""
    cells = [row.cells[name] for row in rows for name in numbers if name in row.cells]
    with_comma = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    with_point = [cell for cell in cells if re.fullmatch(r"[+-]?\d*\.\d+", cell)]
    if with_comma and with_point:
        raise TableError(
            f"{path}: expected decimal points or decimal commas, found both: {with_point[0]} and "
            f"{with_comma[0]}"
        )
    return bool(with_comma)


def _plain(name: str) -> str:
    """Returns the name of a column without spaces at its ends, in lower case."""
    return unicodedata.normalize("NFC", name).strip().lower()
