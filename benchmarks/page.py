"""Pages of a folder of results: one HTML file with figures, and one Markdown file."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks import tables, targets
from benchmarks.device_peaks import DevicePeaks
from benchmarks.settings import Plot, Rows, Suite
from serjax.files import write_bytes_atomic, write_text_atomic
from serjax.report.page import html
from serjax.report.plots.drawing import png

# Suite and content of each file of results, by the stem of its name.
Results = Mapping[str, tuple[Suite, Mapping[str, Any]]]


def write_page(folder: Path, results: Results) -> Path:
    """Writes `report.html`, and a figure `STEM.png` for each file of results.

    Args:
        folder: Folder of the results.
        results: Suite and content of each file of results, by the stem of its name.

    Returns:
        The path of the page.
    """
    title = "Speed and memory of serjax"
    body = [f"<header>\n<h1>{title}</h1>\n<p class='note'>{escape(tables.NOTE)}</p>\n</header>\n"]
    for device, contents in group_by_device(results).items():
        peaks = DevicePeaks(**contents[-1]["device_peaks"]).describe()
        body.append(
            html.section(
                f"Numbers to beat, {device}",
                f"<p>Device peaks: {escape(peaks)}.</p>",
                f"<div class='prose'>{_targets_table(contents)}</div>",
            )
        )
    for stem, (suite, content) in results.items():
        body.append(_section(folder / f"{stem}.png", suite, content))
    path = folder / "report.html"
    write_text_atomic(path, html.document(title, body))
    return path


def group_by_device(results: Results) -> dict[str, list[Mapping[str, Any]]]:
    """Groups the contents of files of results by device."""
    devices: dict[str, list[Mapping[str, Any]]] = {}
    for _, content in results.values():
        devices.setdefault(content["device"], []).append(content)
    return devices


def write_results(folder: Path, results: Results) -> Path:
    """Writes `results.md`: the numbers to beat, then the table of each suite.

    Args:
        folder: Folder of the results.
        results: Suite and content of each file of results, by the stem of its name.

    Returns:
        The path of the file.
    """
    lines = [
        "# Speed and memory of serjax",
        "",
        "Written by `benchmarks/run.py`; each table names its command, device, versions and date.",
        "",
        tables.NOTE,
        "",
    ]
    for device, contents in group_by_device(results).items():
        lines += [f"## Numbers to beat, {device}", ""]
        lines += [*tables.markdown_table(targets.COLUMNS, targets.table(contents)), ""]
    for suite, content in results.values():
        lines += [f"## {suite.TITLE}, {content['dtype']}, {content['device']}", ""]
        lines += [tables.markdown(suite, content["rows"], content)]
    path = folder / "results.md"
    write_text_atomic(path, "\n".join(lines).rstrip() + "\n")
    return path


def _section(path: Path, suite: Suite, content: Mapping[str, Any]) -> str:
    facts = [
        str(content["device"]),
        f"jax {content['jax']}",
        f"Python {content['python']}",
        f"commit {content['commit']}",
        str(content["date"]),
        f"{content['rounds']} rounds",
        *(f"{name} {version}" for name, version in content["baseline_versions"].items()),
        f"device peaks: {DevicePeaks(**content['device_peaks']).describe()}",
    ]
    listed = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    notes = "".join(
        f"<p class='note'>{escape(text.replace('`', ''))}</p>" for text in tables.notes(suite)
    )
    rows = [tables.cells(suite, row) for row in content["rows"]]
    return html.section(
        f"{suite.TITLE}, {content['dtype']}",
        f"<ul class='facts'>{listed}</ul>",
        notes,
        _figure(path, suite.FIGURE, content["rows"]),
        _wide_table(
            tuple(suite.COLUMNS.values()), rows, tables.text_columns(suite, content["rows"])
        ),
        f"<pre><code>{escape(str(content['command']))}</code></pre>",
    )


def _targets_table(contents: Sequence[Mapping[str, Any]]) -> str:
    rows = [[cell.replace("`", "") for cell in row] for row in targets.table(contents)]
    return _wide_table(targets.COLUMNS, rows, targets.COLUMNS)


def _wide_table(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[str]) -> str:
    """Makes a table of many columns, with small margins."""
    return f"<div class='dense'>{html.table(columns, rows, texts)}</div>"


def _figure(path: Path, plot: Plot, rows: Rows) -> str:
    """Plots the rows for the page in both color schemes, and saves the light one."""
    light, dark = (plot.draw(rows, dark=dark) for dark in (False, True))
    if light is None:
        return ""
    write_bytes_atomic(path, png(light))
    return html.themed_figure(light, dark, plot.label)
