"""Databases in audformat: the header `db.yaml`, and a table `db.NAME.csv` for each aspect.

J. Wagner et al., https://audeering.github.io/audformat. The emotions are in one table, often the
speakers in another one, `db.files.csv`, with a row for each recording.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from serjax.data import tables
from serjax.data.tables import Row, Table, TableError

_HEADER = "db.yaml"


def with_other_tables(table: Table, columns: Mapping[str, Sequence[str]]) -> Table:
    """Adds the columns that a table of a database lacks and another table has for its recordings.

    Args:
        table: Table with the column `path`.
        columns: Columns that may be added, with their other names, and `path`; see `tables.read`.

    Returns:
        The table with these columns and a note for each. A table without a header next to it is
        returned as it is.
    """
    folder = table.path.parent
    if not (folder / _HEADER).is_file():
        return table
    for path in sorted(folder.glob("db.*.csv")):
        wanted = {name: columns[name] for name in columns if name not in table.columns}
        if path == table.path or not wanted:
            continue
        try:
            other = tables.read(path, {"path": columns["path"], **wanted}, ["path"])
        except TableError:
            continue  # it is not about recordings
        for name in other.columns:
            values = _values(other, name) if name != "path" else None
            if values:
                rows = [_with_value(row, name, values) for row in table.rows]
                notes = (*table.notes, f"took column {name} from {path.name}")
                known = (*table.columns, name)
                table = dataclasses.replace(table, columns=known, rows=tuple(rows), notes=notes)
    return table


def _values(table: Table, column: str) -> dict[str, str] | None:
    """Returns the value of each recording in a column; None if a recording has several."""
    values: dict[str, str] = {}
    for row in table.rows:
        if "path" in row.cells and column in row.cells:
            value = row.cells[column]
            if values.setdefault(row.cells["path"], value) != value:
                return None
    return values


def _with_value(row: Row, column: str, values: Mapping[str, str]) -> Row:
    value = values.get(row.cells.get("path", ""))
    return row if value is None else Row(row.line, {**row.cells, column: value})
