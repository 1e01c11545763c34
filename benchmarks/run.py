"""Measures speed and memory and prints tables.

    python benchmarks/run.py --suite kernels --out results

Each suite compares programs side by side in interleaved rounds. It reports medians with quartiles,
and ratios with 95 % intervals, which depend less on the machine than times do. An interval that
spans 1 is a tie. The measured peaks of the device are printed with each table.

`--out` stores tables, figures, all samples, report.html and results.md. The last two show all
suites of the folder and compare them with the numbers to beat; benchmarks/RESULTS.md is a copy of
results.md. An interrupted run resumes: rows of the same commit, device and settings that the folder
has already are not measured again. `--compare OLD NEW` compares two folders.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the package `benchmarks`

from serjax.cli.parser import Parser, keep_memory, run_command

if __name__ == "__main__":
    keep_memory()  # as the training commands do; before the imports that take long

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from benchmarks import (
    anti_transfer_cost,
    comparison,
    features,
    folds,
    kernels,
    metadata,
    models,
    page,
    scaling,
    tables,
    training,
)
from benchmarks.measure import MIN_ROUNDS
from benchmarks.settings import Rows, Settings, Suite
from serjax import report
from serjax.console import Console
from serjax.errors import InputError, unknown_name
from serjax.files import write_text_atomic
from serjax.interruption import exit_on_interrupt
from serjax.ops.cpu import use_threaded_convolutions

SUITES: dict[str, Suite] = {
    "kernels": kernels,
    "models": models,
    "anti_transfer": anti_transfer_cost,
    "features": features,
    "training": training,
    "scaling": scaling,
    "folds": folds,
}

# Suites that measure whole networks, which `--models` selects.
_NETWORK_SUITES = ("models", "training", "anti_transfer")
_ROUNDS = 10


def _earlier_rows(path: Path, current: Mapping[str, Any]) -> Rows:
    """Reads the rows of an earlier run that this run need not measure again."""
    if not path.exists():
        return []
    earlier = _read(path)
    rows: Rows = earlier["rows"]
    return rows if metadata.is_same_kind(earlier, current) else []


def _read(path: Path) -> dict[str, Any]:
    """Reads the results of a suite."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        content["suite"], content["rows"][0]["case"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: expected the results of a run, found something else") from error
    return content


def _read_all(out: Path) -> page.Results:
    """Reads all results of a folder, in the order of the suites."""
    return {
        path.stem: (suite, _read(path))
        for name, suite in SUITES.items()
        for path in sorted(out.glob(f"{name}-*.json"))
    }


def _measure(name: str, settings: Settings, out: Path | None, console: Console) -> Rows:
    """Measures the remaining cases of a suite, and stores the results after each case."""
    suite, started = SUITES[name], time.perf_counter()
    cases = suite.cases(settings)
    current = metadata.collect(settings)
    stem = None
    rows: Rows = []
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        stem = f"{name}-{jax.devices()[0].platform}-{settings.dtype}"
        earlier = _earlier_rows(out / f"{stem}.json", current)
        rows = [row for row in earlier if row["case"] in cases]
    measured_before = {row["case"] for row in rows}
    for index, (case, measure) in enumerate(cases.items(), 1):
        if case in measured_before:
            continue
        case_started = time.perf_counter()
        with console.status(f"measuring {name}, {index} of {len(cases)}: {case}"):
            rows += [{"case": case, **row} for row in measure()]
        seconds = time.perf_counter() - case_started
        console.print(f"{name}, {index} of {len(cases)}: {case}, {seconds:.1f} s")
        if out is not None:
            write_text_atomic(out / f"{stem}.csv", tables.csv_text(rows))
            write_text_atomic(out / f"{stem}.md", tables.markdown(suite, rows, current))
            report.write_json(out / f"{stem}.json", {**current, "suite": name, "rows": rows})
    console.print(tables.console_table(suite, rows))
    if out is not None:
        count = len(measured_before)
        note = f", {count} of {len(cases)} cases measured before" if count else ""
        results = _read_all(out)
        page.write_page(out, results)
        page.write_results(out, results)
        console.print(f"written {out / str(stem)}.csv, .md, .json and .png{note}")
    console.print(f"{name}: {time.perf_counter() - started:.0f} s in total")
    return rows


def _parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--suite", help=f"{', '.join(SUITES)} (all)")
    parser.add_argument("--out", type=Path, help="folder for tables, figures and page (none)")
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"calls of each program ({_ROUNDS}; {MIN_ROUNDS} with --quick)",
    )
    parser.add_argument(
        "--dtype", default="float32", help="arithmetic, float32 or bfloat16 (%(default)s)"
    )
    parser.add_argument(
        "--models",
        default="",
        help=f"networks of the suites {', '.join(_NETWORK_SUITES)}, separated by commas",
    )
    parser.add_argument(
        "--parallel",
        default="shard_map",
        help="kind of batch sharding in training, shard_map or pmap (%(default)s)",
    )
    parser.add_argument(
        "--scan-steps", type=int, help="training steps per call (depends on the device)"
    )
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds")
    parser.add_argument("--baselines", action="store_true", help="measure other libraries too")
    parser.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("OLD", "NEW"),
        help="compare two folders of results instead of measuring",
    )
    return parser.parse_args(arguments)


def _settings(arguments: argparse.Namespace) -> Settings:
    """Checks the flags and makes the settings.

    Raises:
        InputError: A flag has an invalid value.
    """
    if arguments.suite is not None and arguments.suite not in SUITES:
        raise InputError(unknown_name("suite", arguments.suite, SUITES))
    rounds = arguments.rounds
    if rounds is None:
        rounds = MIN_ROUNDS if arguments.quick else _ROUNDS
    if rounds < 1:
        raise InputError(f"--rounds: expected at least 1, found {rounds}")
    if arguments.dtype not in ("float32", "bfloat16"):
        raise InputError(unknown_name("dtype", arguments.dtype, ("float32", "bfloat16")))
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"--out: expected a folder, found a file: {arguments.out}")
    selected = tuple(name for name in arguments.models.split(",") if name)
    if selected and arguments.suite not in _NETWORK_SUITES:
        suites = " or ".join(_NETWORK_SUITES)
        raise InputError(f"--models: expected --suite {suites}, found {arguments.suite or 'none'}")
    if arguments.parallel not in ("shard_map", "pmap"):
        raise InputError(unknown_name("parallel", arguments.parallel, ("shard_map", "pmap")))
    if arguments.scan_steps is not None and arguments.scan_steps < 1:
        raise InputError(f"--scan-steps: expected at least 1, found {arguments.scan_steps}")
    return Settings(
        rounds,
        arguments.dtype,
        arguments.quick,
        arguments.baselines,
        selected,
        arguments.parallel,
        arguments.scan_steps,
    )


def main() -> int:
    """Parses the command line and measures; returns the exit status."""
    arguments = _parse()
    # Suites that start subprocesses share the device's memory with them.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    use_threaded_convolutions()
    console = Console()
    if not console.is_terminal:
        console.width = 260
    if arguments.compare is not None:
        old, new = arguments.compare
        return comparison.print_comparison(old, new, console)
    settings = _settings(arguments)
    for name in [arguments.suite] if arguments.suite else SUITES:
        _measure(name, settings, arguments.out, console)
        jax.clear_caches()
    return 0


if __name__ == "__main__":
    exit_on_interrupt()
    run_command(main)
