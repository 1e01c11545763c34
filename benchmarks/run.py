"""Measures speed and memory and prints tables.

    python benchmarks/run.py --suite kernels --out results

Every suite compares programs side by side in one process, round by round, and reports medians
with quartiles and ratios with theirs: absolute times say as much about the machine.
"""

import argparse
import csv
import datetime
import io
import platform
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import anti_transfer_cost
import jax
import kernels
from rich.console import Console
from rich.table import Table

from serjax import report
from serjax.command import run_command
from serjax.errors import InputError, unknown_name
from serjax.files import write_text_atomic

SUITES: dict[str, ModuleType] = {"kernels": kernels, "anti_transfer": anti_transfer_cost}


def _shown(row: dict[str, Any], column: str) -> str:
    """A value as a cell, with its quartiles where it has some."""
    value = row[column]
    if value is None:
        return ""
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
            justify="left" if title in ("layer", "form", "network, batch, layer") else "right",
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
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def main() -> int:
    """Parses the command line and measures; returns the exit status."""
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
    parser.add_argument("--quick", action="store_true", help="only some of the sizes")
    arguments = parser.parse_args()
    if arguments.suite is not None and arguments.suite not in SUITES:
        raise InputError(unknown_name("suite", arguments.suite, SUITES))
    if arguments.rounds < 1:
        raise InputError(f"--rounds: expected at least 1, found {arguments.rounds}")
    if arguments.dtype not in ("float32", "bfloat16"):
        raise InputError(unknown_name("dtype", arguments.dtype, ("float32", "bfloat16")))
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"--out: expected a folder, found a file: {arguments.out}")
    device = jax.devices()[0]
    about = {
        "command": shlex.join(["python", *sys.argv]),
        "device": f"{device.device_kind} ({device.platform})",
        "jax": jax.__version__,
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "rounds": arguments.rounds,
        "dtype": arguments.dtype,
    }
    console = Console()
    if not console.is_terminal:
        console.width = 160
    for name in [arguments.suite] if arguments.suite else SUITES:
        suite = SUITES[name]
        with console.status(f"measuring {name}"):
            rows = suite.run(arguments.rounds, arguments.dtype, arguments.quick)
        console.print(_table(suite, rows))
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
            stem = arguments.out / f"{name}-{device.platform}-{arguments.dtype}"
            write_text_atomic(Path(f"{stem}.csv"), _csv(rows))
            write_text_atomic(Path(f"{stem}.md"), _markdown(suite, rows, about))
            report.write_json(Path(f"{stem}.json"), {**about, "rows": rows})
            console.print(f"written {stem}.csv, .md and .json", soft_wrap=True)
    return 0


if __name__ == "__main__":
    run_command(main)
