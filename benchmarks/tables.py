"""Rows of a suite as tables: for the screen, for Markdown, for a page, and as CSV."""

import csv
import inspect
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from rich.table import Table

from benchmarks import device_peaks
from benchmarks.settings import Rows

# How to read every table.
NOTE = (
    "Times are medians of calls side by side, with quartiles in brackets; rates are medians. "
    "Ratios are medians over the rounds, with 95 % intervals in brackets, and a tie where these "
    "span 1. "
    "Shares in percent are of the ceilings named with each table."
)

# Rates of the times beside them, whose spread theirs is.
_WITHOUT_SPREAD = ("throughput", "hours_per_s", "of_bandwidth")
_DIGITS = 3


def cells(suite: ModuleType, row: Mapping[str, Any]) -> list[str]:
    """A row's values in the suite's columns, as text, with their spread where there is one.

    A column whose title begins with "%" shows shares in percent.
    """
    return [_shown(row, column, title) for column, title in suite.COLUMNS.items()]


def texts(suite: ModuleType, rows: Rows) -> list[str]:
    """Titles of the columns that hold words."""
    return [
        title
        for column, title in suite.COLUMNS.items()
        if any(isinstance(row[column], str) for row in rows)
    ]


def notes(suite: ModuleType) -> list[str]:
    """Paragraphs on what a suite measures and how."""
    return (inspect.getdoc(suite) or "").split("\n\n")[1:]


def _shown(row: Mapping[str, Any], column: str, title: str) -> str:
    value = row[column]
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if column == "error":
        return f"{value:.1e}"
    unit = 0.01 if title.startswith("%") else 1.0
    value /= unit
    decimals = _decimals(value)
    ends = [row[name] / unit for name in (f"{column}_low", f"{column}_high") if name in row]
    if not ends or column in _WITHOUT_SPREAD:
        return f"{value:,.{decimals}f}"
    if value == 1 and ends == [1, 1]:  # a thing beside itself
        return "1"
    low, high = (f"{end:,.{decimals}f}" for end in ends)
    return f"{value:,.{decimals}f} [{low}, {high}]{' tie' if row.get(f'{column}_tie') else ''}"


def _decimals(value: float) -> int:
    """Decimal places at which a value has so many significant digits, or all before the point."""
    if value == 0:
        return 0
    return max(_DIGITS - 1 - math.floor(math.log10(abs(value))), 0)


def on_screen(suite: ModuleType, rows: Rows) -> Table:
    """The table that is printed."""
    table = Table(title=suite.TITLE, title_justify="left", box=None, pad_edge=False)
    words = texts(suite, rows)
    for title in suite.COLUMNS.values():
        table.add_column(title, justify="left" if title in words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*cells(suite, row))
    return table


def markdown(suite: ModuleType, rows: Rows, about: Mapping[str, Any]) -> str:
    """The table as Markdown, below lines that say where it comes from and how to read it."""
    lines = [
        f"{suite.TITLE}, {about['dtype']}: {origin(about)}.",
        "",
        f"Ceilings: {device_peaks.Ceilings(**about['ceilings']).describe()}.",
        "",
        *(line for paragraph in notes(suite) for line in (paragraph, "")),
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
