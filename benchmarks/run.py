"""Measures speed and memory and prints tables.

    python benchmarks/run.py --suite kernels --out results

Every suite compares programs side by side in one process, round by round, and reports medians
with quartiles and ratios with theirs: absolute times say as much about the machine. A run that
was stopped goes on where it was: what `--out` holds of the same commit, device and settings is
not measured again. `--compare OLD NEW` sets two such folders side by side.
"""

import argparse
import csv
import dataclasses
import datetime
import io
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import anti_transfer_cost
import compare
import features
import flax
import jax
import jaxlib
import kernels
import models
from rich.console import Console
from rich.table import Table
from settings import Settings

from serjax import report
from serjax.command import run_command
from serjax.errors import InputError, unknown_name
from serjax.files import write_text_atomic

SUITES: dict[str, ModuleType] = {
    "kernels": kernels,
    "models": models,
    "anti_transfer": anti_transfer_cost,
    "features": features,
}
_TEXTS = ("layer", "form", "network, batch, layer", "model", "feature")


def _shown(row: dict[str, Any], column: str) -> str:
    """A value as a cell, with its quartiles where it has some."""
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
    return f"{_number(value)} [{_number(row[f'{column}_low'])}, {_number(row[f'{column}_high'])}]"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _table(suite: ModuleType, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=suite.TITLE, title_justify="left", box=None, pad_edge=False)
    for title in suite.COLUMNS.values():
        table.add_column(
            title,
            justify="left" if title in _TEXTS else "right",
            no_wrap=True,
        )
    for row in rows:
        table.add_row(*(_shown(row, column) for column in suite.COLUMNS))
    return table


def _markdown(suite: ModuleType, rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    lines = [
        f"{suite.TITLE}: `{about['command']}` on {about['device']}, jax {about['jax']}, "
        f"{about['date']}.",
        "",
        "| " + " | ".join(suite.COLUMNS.values()) + " |",
        "| " + " | ".join("---" for _ in suite.COLUMNS) + " |",
        *("| " + " | ".join(_shown(row, c) for c in suite.COLUMNS) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _csv(rows: list[dict[str, Any]]) -> str:
    """All but the samples, which the JSON file holds."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if not name.endswith("_samples")]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _commit() -> str:
    """The commit that is measured, marked where files differ from it; "unknown" outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _about(settings: Settings) -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "command": shlex.join(["python", *sys.argv]),
        "device": f"{device.device_kind} ({device.platform})",
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "flax": flax.__version__,
        "python": platform.python_version(),
        "commit": _commit(),
        "date": datetime.date.today().isoformat(),
        **dataclasses.asdict(settings),
        "models": list(settings.models),
    }


def _finished(path: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier run of the same kind; none of changed files, which say nothing."""
    same = [name for name in about if name not in ("command", "date", "models")]
    if not path.exists() or about["commit"] == "unknown" or about["commit"].endswith("-dirty"):
        return []
    try:
        earlier = json.loads(path.read_text())
        rows: list[dict[str, Any]] = earlier["rows"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the results of a run, found something else") from error
    return rows if all(earlier.get(name) == about[name] for name in same) else []


def _measure(
    name: str, settings: Settings, out: Path | None, console: Console
) -> list[dict[str, Any]]:
    """Measures what is missing of a suite, case by case, each written when it is done."""
    suite, about = SUITES[name], _about(settings)
    cases = suite.cases(settings)
    stem = None
    rows: list[dict[str, Any]] = []
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        stem = f"{name}-{jax.devices()[0].platform}-{settings.dtype}"
        rows = [row for row in _finished(out / f"{stem}.json", about) if row["case"] in cases]
    done = {row["case"] for row in rows}
    for index, (case, measure) in enumerate(cases.items(), 1):
        if case in done:
            continue
        with console.status(f"measuring {name}, {index} of {len(cases)}: {case}"):
            rows += [{"case": case, **row} for row in measure()]
        if out is not None:
            write_text_atomic(out / f"{stem}.csv", _csv(rows))
            write_text_atomic(out / f"{stem}.md", _markdown(suite, rows, about))
            report.write_json(out / f"{stem}.json", {**about, "suite": name, "rows": rows})
    console.print(_table(suite, rows))
    if out is not None:
        told = f", {len(done)} of {len(cases)} cases from before" if done else ""
        console.print(f"written {out / str(stem)}.csv, .md and .json{told}", soft_wrap=True)
    return rows


def _parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", help=f"{', '.join(SUITES)} (all)")
    parser.add_argument("--out", type=Path, help="folder for CSV, JSON and Markdown (none)")
    parser.add_argument(
        "--rounds", type=int, default=10, help="calls of each program (%(default)s)"
    )
    parser.add_argument(
        "--dtype", default="float32", help="float32 or bfloat16 arithmetic (%(default)s)"
    )
    parser.add_argument("--models", default="", help="networks of the suite models, with commas")
    parser.add_argument("--quick", action="store_true", help="only some of the sizes")
    parser.add_argument("--peers", action="store_true", help="other libraries beside ours")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("OLD", "NEW"))
    return parser.parse_args(arguments)


def main() -> int:
    """Parses the command line and measures; returns the exit status."""
    arguments = _parse()
    console = Console()
    if not console.is_terminal:
        console.width = 160
    if arguments.compare is not None:
        return compare.print_comparison(*arguments.compare, console)
    if arguments.suite is not None and arguments.suite not in SUITES:
        raise InputError(unknown_name("suite", arguments.suite, SUITES))
    if arguments.rounds < 1:
        raise InputError(f"--rounds: expected at least 1, found {arguments.rounds}")
    if arguments.dtype not in ("float32", "bfloat16"):
        raise InputError(unknown_name("dtype", arguments.dtype, ("float32", "bfloat16")))
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"--out: expected a folder, found a file: {arguments.out}")
    selected = tuple(name for name in arguments.models.split(",") if name)
    if selected and arguments.suite not in (None, "models"):
        raise InputError(f"--models: expected --suite models, found {arguments.suite}")
    settings = Settings(
        arguments.rounds, arguments.dtype, arguments.quick, arguments.peers, selected
    )
    for name in [arguments.suite] if arguments.suite else SUITES:
        _measure(name, settings, arguments.out, console)
    return 0


if __name__ == "__main__":
    run_command(main)
