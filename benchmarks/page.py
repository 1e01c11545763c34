"""The page of a folder of results: every suite's table and figure, in one file."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

import tables
from settings import Figure, Rows

from serjax.files import write_bytes_atomic, write_text_atomic
from serjax.report import html
from serjax.report.dots import Dot, plot_dots
from serjax.report.figures import png


def write_page(folder: Path, found: Mapping[str, tuple[ModuleType, Mapping[str, Any]]]) -> Path:
    """Writes `report.html`, and a figure `STEM.png` beside each file of results.

    Args:
        folder: Where the results lie.
        found: By the stem of a file of results its suite and its content.

    Returns:
        The path of the page.
    """
    title = "Speed and memory of serjax"
    body = [f"<header>\n<h1>{title}</h1>\n</header>\n"]
    for stem, (suite, results) in found.items():
        body.append(_section(folder / f"{stem}.png", suite, results))
    path = folder / "report.html"
    write_text_atomic(path, html.document(title, body))
    return path


def _section(path: Path, suite: ModuleType, results: Mapping[str, Any]) -> str:
    facts = [
        str(results["device"]),
        f"jax {results['jax']}",
        f"Python {results['python']}",
        f"commit {results['commit']}",
        str(results["date"]),
        f"{results['rounds']} rounds",
        *(f"{name} {version}" for name, version in results["peer_versions"].items()),
    ]
    listed = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    paragraphs = (suite.__doc__ or "").split("\n\n")[1:]
    notes = "".join(f"<p class='note'>{escape(text)}</p>" for text in paragraphs)
    rows = [tables.cells(suite, row) for row in results["rows"]]
    return html.section(
        f"{suite.TITLE}, {results['dtype']}",
        f"<ul class='facts'>{listed}</ul>",
        notes,
        _figure(path, suite.FIGURE, results["rows"]),
        html.table(tuple(suite.COLUMNS.values()), rows),
        f"<pre><code>{escape(str(results['command']))}</code></pre>",
    )


def _figure(path: Path, figure: Figure, rows: Rows) -> str:
    """Draws it for the page, in both colour schemes, and into its file."""
    dots = [
        Dot(
            ", ".join(str(row[name]) for name in figure.rows),
            str(row[figure.series]),
            *(row[f"{figure.quantity}{end}"] for end in ("", "_low", "_high")),
        )
        for row in rows
        if row[figure.quantity] is not None and row[figure.series] != figure.of
    ]
    if not dots:
        return ""
    light, dark = (
        plot_dots(dots, figure.label, reference=figure.reference, dark=dark)
        for dark in (False, True)
    )
    write_bytes_atomic(path, png(light))
    return html.picture(light, dark, figure.label)
