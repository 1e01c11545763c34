"""Rows of a suite as tables: for the screen, for Markdown, for a page, and as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import ceilings
from rich.table import Table
from settings import Rows

_TEXTS = ("layer", "form", "network, batch, layer", "model", "feature", "against", "network")


def cells(suite: ModuleType, row: Mapping[str, Any]) -> list[str]:
    """A row's values in the suite's columns, as text, with quartiles where there are some."""
    return [_shown(row, column) for column in suite.COLUMNS]


def _shown(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if column == "error":
        return f"{value:.1e}"
    if f"{column}_low" not in row:
        return _number(value)
    ends = f"[{_number(row[f'{column}_low'])}, {_number(row[f'{column}_high'])}]"
    return f"{_number(value)} {ends}{' tie' if row.get(f'{column}_tie') else ''}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def on_screen(suite: ModuleType, rows: Rows) -> Table:
    """The table that is printed."""
    table = Table(title=suite.TITLE, title_justify="left", box=None, pad_edge=False)
    for title in suite.COLUMNS.values():
        table.add_column(title, justify="left" if title in _TEXTS else "right", no_wrap=True)
    for row in rows:
        table.add_row(*cells(suite, row))
    return table


def markdown(suite: ModuleType, rows: Rows, about: Mapping[str, Any]) -> str:
    """The table as Markdown, below lines that say where it comes from."""
    lines = [
        f"{suite.TITLE}, {about['dtype']}: {origin(about)}.",
        "",
        f"Ceilings: {ceilings.Ceilings(**about['ceilings']).describe()}.",
        "",
        *markdown_table(suite.COLUMNS.values(), [cells(suite, row) for row in rows]),
    ]
    return "\n".join(lines) + "\n"


def origin(about: Mapping[str, Any]) -> str:
    """Command, device, versions, commit and date of results."""
    versions = {name: about[name] for name in ("jax", "flax", "python")} | about["peer_versions"]
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"`{about['command']}` on {about['device']}, {listed}, commit {about['commit']}, "
        f"{about['date']}"
    )


def markdown_table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table of text."""
    titles = list(columns)
    body = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(row) + " |" for row in body]


def csv_text(rows: Rows) -> str:
    """All columns but the samples, which the JSON file holds."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if not name.endswith("_samples")]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
