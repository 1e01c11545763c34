"""Tables of a suite's rows: for the console, as Markdown, for a page, and as CSV."""

import csv
import inspect
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.device_peaks import DevicePeaks
from benchmarks.settings import Rows, Suite

# Explanation of every table.
NOTE = (
    "Times are medians of interleaved calls, with quartiles in brackets; rates are medians. "
    "Ratios are medians over the rounds, with 95 % intervals in brackets; an interval that spans 1 "
    "is a tie. "
    "Percentages of peak and bandwidth refer to the device peaks named with each table."
)

# Rates, whose quartiles follow from those of the times in the same row.
_WITHOUT_QUARTILES = ("throughput", "hours_per_s", "bandwidth_fraction")
_SIGNIFICANT_DIGITS = 3


def cells(suite: Suite, row: Mapping[str, Any]) -> list[str]:
    """Formats a row's values in the suite's columns, with quartiles or interval if it has them.

    A column whose title begins with "%" shows a fraction in percent.
    """
    return [_format(row, column, title) for column, title in suite.COLUMNS.items()]


def text_columns(suite: Suite, rows: Rows) -> list[str]:
    """Returns the titles of the columns that hold text."""
    return [
        title
        for column, title in suite.COLUMNS.items()
        if any(isinstance(row[column], str) for row in rows)
    ]


def notes(suite: Suite) -> list[str]:
    """Returns the paragraphs that describe a suite's measurement."""
    return (inspect.getdoc(suite) or "").split("\n\n")[1:]


def _format(row: Mapping[str, Any], column: str, title: str) -> str:
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
    if not ends or column in _WITHOUT_QUARTILES:
        return f"{value:,.{decimals}f}"
    if value == 1 and ends == [1, 1]:  # ratio of a program to itself
        return "1"
    low, high = (f"{end:,.{decimals}f}" for end in ends)
    return f"{value:,.{decimals}f} [{low}, {high}]{' tie' if row.get(f'{column}_tie') else ''}"


def _decimals(value: float) -> int:
    """Computes the decimal places for three significant digits; 0 for integers of more digits."""
    if value == 0:
        return 0
    return max(_SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(abs(value))), 0)


def console_table(suite: Suite, rows: Rows) -> Table:
    """Makes the table for the console."""
    table = Table(title=suite.TITLE, title_justify="left", box=None, pad_edge=False)
    texts = text_columns(suite, rows)
    for title in suite.COLUMNS.values():
        table.add_column(title, justify="left" if title in texts else "right", no_wrap=True)
    for row in rows:
        table.add_row(*cells(suite, row))
    return table


def markdown(suite: Suite, rows: Rows, metadata: Mapping[str, Any]) -> str:
    """Makes the table as Markdown, below lines on its origin and on the measurement.

    Args:
        suite: Suite of the rows.
        rows: Results.
        metadata: Metadata of the run.
    """
    lines = [
        f"{suite.TITLE}, {metadata['dtype']}: {origin(metadata)}.",
        "",
        f"Device peaks: {DevicePeaks(**metadata['device_peaks']).describe()}.",
        "",
        *(line for paragraph in notes(suite) for line in (paragraph, "")),
        *markdown_table(suite.COLUMNS.values(), [cells(suite, row) for row in rows]),
    ]
    return "\n".join(lines) + "\n"


def origin(metadata: Mapping[str, Any]) -> str:
    """Formats the command, device, versions, commit and date of a run."""
    versions = {name: metadata[name] for name in ("jax", "flax", "python")}
    versions |= metadata["baseline_versions"]
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"`{metadata['command']}` on {metadata['device']}, {listed}, commit {metadata['commit']}, "
        f"{metadata['date']}"
    )


def markdown_table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Makes the lines of a Markdown table.

    Args:
        columns: Titles of the columns.
        rows: Cells of each row.

    Returns:
        Lines of text.

    Example:
        >>> markdown_table(["form", "ms"], [["real", "3.00"]])
        ['| form | ms |', '| --- | --- |', '| real | 3.00 |']
    """
    titles = list(columns)
    body = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(row) + " |" for row in body]


def csv_text(rows: Rows) -> str:
    """Formats all columns as CSV, except the samples, which are in the JSON file."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if not name.endswith("_samples")]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
