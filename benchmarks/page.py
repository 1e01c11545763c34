"""A folder of results as one page, with figures, and as one Markdown file."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import tables, targets
from benchmarks.device_peaks import Ceilings
from benchmarks.settings import Drawing, Rows
from serjax.files import write_bytes_atomic, write_text_atomic
from serjax.report.page import html
from serjax.report.plots.drawing import png

Found = Mapping[str, tuple[ModuleType, Mapping[str, Any]]]


def write_page(folder: Path, found: Found) -> Path:
    """Writes `report.html`, and a figure `STEM.png` beside each file of results.

    Args:
        folder: Where the results lie.
        found: By the stem of a file of results its suite and its content.

    Returns:
        The path of the page.
    """
    title = "Speed and memory of serjax"
    body = [f"<header>\n<h1>{title}</h1>\n<p class='note'>{escape(tables.NOTE)}</p>\n</header>\n"]
    for device, contents in by_device(found).items():
        told = Ceilings(**contents[-1]["ceilings"]).describe()
        body.append(
            html.section(
                f"Numbers to beat, {device}",
                f"<p>Ceilings: {escape(told)}.</p>",
                f"<div class='prose'>{_goals(contents)}</div>",
            )
        )
    for stem, (suite, results) in found.items():
        body.append(_section(folder / f"{stem}.png", suite, results))
    path = folder / "report.html"
    write_text_atomic(path, html.document(title, body))
    return path


def by_device(found: Found) -> dict[str, list[Mapping[str, Any]]]:
    """Contents of files of results, by their device."""
    devices: dict[str, list[Mapping[str, Any]]] = {}
    for _, content in found.values():
        devices.setdefault(content["device"], []).append(content)
    return devices


def write_results(folder: Path, found: Found) -> Path:
    """Writes `results.md`: the numbers to beat, then every table; returns its path."""
    lines = [
        "# Speed and memory of serjax",
        "",
        "Written by `benchmarks/run.py`; every table names its command, device, versions and date.",
        "",
        tables.NOTE,
        "",
    ]
    for device, contents in by_device(found).items():
        lines += [f"## Numbers to beat, {device}", ""]
        lines += [*tables.markdown_table(targets.COLUMNS, targets.table(contents)), ""]
    for suite, content in found.values():
        lines += [f"## {suite.TITLE}, {content['dtype']}, {content['device']}", ""]
        lines += [tables.markdown(suite, content["rows"], content)]
    path = folder / "results.md"
    write_text_atomic(path, "\n".join(lines).rstrip() + "\n")
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
        f"ceilings: {Ceilings(**results['ceilings']).describe()}",
    ]
    listed = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    notes = "".join(
        f"<p class='note'>{escape(text.replace('`', ''))}</p>" for text in tables.notes(suite)
    )
    rows = [tables.cells(suite, row) for row in results["rows"]]
    return html.section(
        f"{suite.TITLE}, {results['dtype']}",
        f"<ul class='facts'>{listed}</ul>",
        notes,
        _figure(path, suite.FIGURE, results["rows"]),
        _dense(tuple(suite.COLUMNS.values()), rows, tables.texts(suite, results["rows"])),
        f"<pre><code>{escape(str(results['command']))}</code></pre>",
    )


def _goals(contents: Sequence[Mapping[str, Any]]) -> str:
    rows = [[cell.replace("`", "") for cell in row] for row in targets.table(contents)]
    return _dense(targets.COLUMNS, rows, targets.COLUMNS)


def _dense(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[str]) -> str:
    """A table of many columns, on a page that gives it room."""
    return f"<div class='dense'>{html.table(columns, rows, texts)}</div>"


def _figure(path: Path, drawing: Drawing, rows: Rows) -> str:
    """Draws it for the page, in both colour schemes, and into its file."""
    light, dark = (drawing.draw(rows, dark=dark) for dark in (False, True))
    if light is None:
        return ""
    write_bytes_atomic(path, png(light))
    return html.themed_figure(light, dark, drawing.label)
