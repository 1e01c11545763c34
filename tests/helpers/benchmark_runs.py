"""Runs of the benchmarks' command, and their results."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run_script(*arguments: Any, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Runs `python benchmarks/run.py` in a new process."""
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Reads the rows of a JSON file of results."""
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return rows
