"""Sections of the report page on the origin of the results: configuration, times, command."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from serjax.files import portable
from serjax.report.page import html
from serjax.report.page.formatting import duration, percent


def configuration(config: Mapping[str, Any]) -> str:
    """Shows all settings of a run by their dotted names.

    Args:
        config: Content of `config.json`.

    Returns:
        HTML of the list, without the command and the notes.
    """
    shown = {name: value for name, value in config.items() if name not in ("command", "notes")}
    items = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in _flattened(shown)
    )
    return f"<dl class='config'>{items}</dl>"


def _flattened(content: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Yields the dotted name and the value of each setting, as text."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
            # Groups in a list, such as the auxiliary losses, are numbered from 1.
            numbered = {str(number): each for number, each in enumerate(value, start=1)}
            yield from _flattened(numbered, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield (
                f"{prefix}{name}",
                ", ".join(portable.shown(str(each)) for each in value) or "none",
            )
        else:
            yield f"{prefix}{name}", "none" if value is None else portable.shown(str(value))


def notes(texts: Sequence[str]) -> str:
    """Shows the notes of a run, such as skipped files.

    Args:
        texts: Notes of the run.

    Returns:
        HTML of the section; empty without notes.
    """
    if not texts:
        return ""
    return html.section(
        "Notes", f"<ul>{''.join(f'<li>{html.escape(str(text))}</li>' for text in texts)}</ul>"
    )


def times(seconds: Mapping[str, float]) -> str:
    """Shows the time of each stage of a run; the rest of the total is shown as "other".

    Args:
        seconds: Content of `timing.json`.

    Returns:
        HTML of the section; empty without times.
    """
    stages = {name: value for name, value in seconds.items() if name != "total"}
    total = max(seconds.get("total", 0.0), sum(stages.values()))
    if total <= 0:
        return ""
    other = total - sum(stages.values())
    if other > 0.005 * total:
        stages["other"] = other
    bars = "".join(
        f"<i class='s{i % 6}' style='width:{100 * value / total:.2f}%'></i>"
        for i, value in enumerate(stages.values())
    )
    rows = "".join(
        f"<tr><th scope='row'><i class='key s{i % 6}'></i>{html.escape(name)}</th>"
        f"<td>{duration(value)}</td><td>{percent(value / total)}</td></tr>"
        for i, (name, value) in enumerate(stages.items())
    )
    return html.section(
        "Time",
        f"<div class='stack' aria-hidden='true'>{bars}</div>",
        "<table><thead><tr><th scope='col'>stage</th><th scope='col'>time</th>"
        f"<th scope='col'>%</th></tr></thead><tbody>{rows}</tbody><tfoot><tr><th scope='row'>total"
        f"</th><td>{duration(total)}</td><td>100.0</td></tr></tfoot></table>",
    )


def command(arguments: str | Sequence[str] | None) -> str:
    """Shows the command that repeats a run.

    Args:
        arguments: Command line, or its arguments; None if it is unknown.

    Returns:
        HTML of the section; empty without a command.
    """
    if not arguments:
        return ""
    if isinstance(arguments, str):
        line = arguments
    else:
        line = shlex.join(portable.shown(str(argument)) for argument in arguments)
    return html.section("To reproduce", f"<pre><code>{html.escape(line)}</code></pre>")
