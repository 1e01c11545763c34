"""CSV files: written atomically and in full precision, read with errors that name them."""

import csv
import io
from collections.abc import Iterable, Sequence

from serjax.errors import InputError
from serjax.files import PathLike, read_text, write_text_atomic
from serjax.files.csv_cells import name_of_cell, safe_cell


def write_table(
    path: PathLike, columns: Sequence[str], rows: Iterable[Sequence[str | int | float]]
) -> None:
    """Writes a CSV file: numbers in full precision, strings quoted and by `safe_cell`.

    Args:
        path: File to write.
        columns: Header of the file.
        rows: Cells of each row, in the order of the columns.
    """
    text = io.StringIO(newline="")
    # All strings are quoted, so that other readers take "03" for a name, and because some versions
    # of the csv module write a carriage return without quotes.
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in (columns, *rows):
        writer.writerow([safe_cell(each) if isinstance(each, str) else each for each in row])
    write_text_atomic(path, text.getvalue())


def read_table(
    path: PathLike, required: Sequence[str]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Reads a CSV file.

    Args:
        path: File to read.
        required: Columns that the file must have, in any order.

    Returns:
        The header, and for each row the number of its (last) line and its cells.

    Raises:
        InputError: The file does not exist, is not CSV, or has no column of a required name.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        columns = [name_of_cell(cell) for cell in next(reader, [])]
        lines = [(reader.line_num, [name_of_cell(cell) for cell in line]) for line in reader]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: expected CSV, {error}") from None
    missing = [name for name in required if name not in columns]
    if missing:
        raise InputError(
            f"{path}: expected columns {', '.join(required)}, found no {', '.join(missing)}"
        )
    if len(set(columns)) != len(columns):
        raise InputError(f"{path}: expected columns with different names, found {columns}")
    for number, line in lines:
        if len(line) != len(columns):
            raise InputError(
                f"{path}, line {number}: expected {len(columns)} columns, found {len(line)}"
            )
    return columns, lines
