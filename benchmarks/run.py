"""Measures speed and memory and prints tables.

    python benchmarks/run.py --suite kernels --out results

Every suite compares programs side by side, round by round, and reports medians with quartiles, and
ratios with 95 % intervals, ties where these span 1: absolute times say as much about the machine.
What the device does at most heads every table. `--out` keeps tables, figures, every sample, and
report.html and results.md, which show all suites of the folder and where the numbers to beat stand;
the latter is what benchmarks/RESULTS.md is copied from.
A run that was stopped goes on where it was: what the folder holds of the same commit, device and
settings is not measured again. `--compare OLD NEW` sets two such folders side by side.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the package `benchmarks`

from serjax.cli.parser import Parser, keep_memory, run_command

if __name__ == "__main__":
    keep_memory()  # as the commands that train; before the imports that take long

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import flax
import jax
from rich.console import Console

from benchmarks import (
    anti_transfer_cost,
    baselines,
    comparison,
    device_peaks,
    features,
    folds,
    kernels,
    models,
    page,
    scaling,
    tables,
    training,
)
from benchmarks.measure import FEWEST
from benchmarks.settings import Settings
from serjax import report
from serjax.errors import InputError, unknown_name
from serjax.files import write_text_atomic
from serjax.ops.cpu import use_threaded_convolutions

SUITES: dict[str, ModuleType] = {
    "kernels": kernels,
    "models": models,
    "anti_transfer": anti_transfer_cost,
    "features": features,
    "training": training,
    "scaling": scaling,
    "folds": folds,
}

# Suites that measure whole networks, of which some can be chosen.
_OF_NETWORKS = ("models", "training", "anti_transfer")
_ROUNDS = 10


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


def _device() -> str:
    """What is measured; a CPU by its model, where the system tells it, and its cores."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{device.device_kind} ({device.platform})"
    listed = Path("/proc/cpuinfo")
    told = listed.read_text() if listed.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", told, re.MULTILINE)
    return f"{found[1] if found else platform.machine()}, {os.cpu_count()} cores (cpu)"


def _about(settings: Settings) -> dict[str, Any]:
    return {
        "command": shlex.join(["python", *sys.argv]),
        "device": _device(),
        "jax": jax.__version__,
        "jaxlib": importlib.metadata.version("jaxlib"),
        "flax": flax.__version__,
        "python": platform.python_version(),
        "commit": _commit(),
        "date": datetime.date.today().isoformat(),
        **dataclasses.asdict(settings),
        "models": list(settings.models),
        "ceilings": dataclasses.asdict(device_peaks.measured()),
        "peer_versions": baselines.versions() if settings.peers else {},
    }


def _finished(path: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier run of the same kind; none of changed files, which say nothing."""
    differing = ("command", "date", "models", "ceilings")
    same = [name for name in about if name not in differing]
    if not path.exists() or about["commit"] == "unknown" or about["commit"].endswith("-dirty"):
        return []
    earlier = _read(path)
    rows: list[dict[str, Any]] = earlier["rows"]
    return rows if all(earlier.get(name) == about[name] for name in same) else []


def _read(path: Path) -> dict[str, Any]:
    """Results of a run of a suite."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        content["suite"], content["rows"][0]["case"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: expected the results of a run, found something else") from error
    return content


def _results(out: Path) -> dict[str, tuple[ModuleType, dict[str, Any]]]:
    """Suite and content of every file of results of a folder, in the order of the suites."""
    return {
        path.stem: (suite, _read(path))
        for name, suite in SUITES.items()
        for path in sorted(out.glob(f"{name}-*.json"))
    }


def _measure(
    name: str, settings: Settings, out: Path | None, console: Console
) -> list[dict[str, Any]]:
    """Measures what is missing of a suite, case by case, each written when it is done."""
    suite, begun = SUITES[name], time.perf_counter()
    cases = suite.cases(settings)
    about = _about(settings)
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
        started = time.perf_counter()
        with console.status(f"measuring {name}, {index} of {len(cases)}: {case}"):
            rows += [{"case": case, **row} for row in measure()]
        seconds = time.perf_counter() - started
        console.print(f"{name}, {index} of {len(cases)}: {case}, {seconds:.1f} s", soft_wrap=True)
        if out is not None:
            write_text_atomic(out / f"{stem}.csv", tables.csv_text(rows))
            write_text_atomic(out / f"{stem}.md", tables.markdown(suite, rows, about))
            report.write_json(out / f"{stem}.json", {**about, "suite": name, "rows": rows})
    console.print(tables.on_screen(suite, rows))
    if out is not None:
        told = f", {len(done)} of {len(cases)} cases from before" if done else ""
        found = _results(out)
        page.write_page(out, found)
        page.write_results(out, found)
        console.print(f"written {out / str(stem)}.csv, .md, .json and .png{told}", soft_wrap=True)
    console.print(f"{name}: {time.perf_counter() - begun:.0f} s in all", highlight=False)
    return rows


def _parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--suite", help=f"{', '.join(SUITES)} (all)")
    parser.add_argument("--out", type=Path, help="folder for tables, figures and page (none)")
    parser.add_argument(
        "--rounds", type=int, help=f"calls of each program ({_ROUNDS}; {FEWEST} of --quick)"
    )
    parser.add_argument(
        "--dtype", default="float32", help="float32 or bfloat16 arithmetic (%(default)s)"
    )
    parser.add_argument(
        "--models",
        default="",
        help=f"networks of {', '.join(_OF_NETWORKS)}, with commas",
    )
    parser.add_argument(
        "--parallel",
        default="shard_map",
        help="how training divides a batch over devices, shard_map or pmap (%(default)s)",
    )
    parser.add_argument(
        "--scan-steps", type=int, help="steps of one call in training (as suits the device)"
    )
    parser.add_argument("--quick", action="store_true", help="only some of the sizes, few rounds")
    parser.add_argument("--peers", action="store_true", help="other libraries beside ours")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("OLD", "NEW"))
    return parser.parse_args(arguments)


def main() -> int:
    """Parses the command line and measures; returns the exit status."""
    arguments = _parse()
    # Suites that start processes of their own share the device's memory with them.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    use_threaded_convolutions()
    console = Console()
    if not console.is_terminal:
        console.width = 260
    if arguments.compare is not None:
        old, new = arguments.compare
        return comparison.print_comparison(old, new, console)
    if arguments.suite is not None and arguments.suite not in SUITES:
        raise InputError(unknown_name("suite", arguments.suite, SUITES))
    rounds = arguments.rounds
    if rounds is None:
        rounds = FEWEST if arguments.quick else _ROUNDS
    if rounds < 1:
        raise InputError(f"--rounds: expected at least 1, found {rounds}")
    if arguments.dtype not in ("float32", "bfloat16"):
        raise InputError(unknown_name("dtype", arguments.dtype, ("float32", "bfloat16")))
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"--out: expected a folder, found a file: {arguments.out}")
    selected = tuple(name for name in arguments.models.split(",") if name)
    if selected and arguments.suite not in _OF_NETWORKS:
        suites = " or ".join(_OF_NETWORKS)
        raise InputError(f"--models: expected --suite {suites}, found {arguments.suite or 'none'}")
    if arguments.parallel not in ("shard_map", "pmap"):
        raise InputError(unknown_name("parallel", arguments.parallel, ("shard_map", "pmap")))
    if arguments.scan_steps is not None and arguments.scan_steps < 1:
        raise InputError(f"--scan-steps: expected at least 1, found {arguments.scan_steps}")
    settings = Settings(
        rounds,
        arguments.dtype,
        arguments.quick,
        arguments.peers,
        selected,
        arguments.parallel,
        arguments.scan_steps,
    )
    for name in [arguments.suite] if arguments.suite else SUITES:
        _measure(name, settings, arguments.out, console)
        jax.clear_caches()
    return 0


if __name__ == "__main__":
    run_command(main)
