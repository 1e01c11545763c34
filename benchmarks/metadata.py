"""Metadata of a run: command, device, versions, commit, date, settings and device peaks."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax
import jax

from benchmarks import baselines, device_peaks
from benchmarks.settings import Settings

# Entries that may differ between two runs whose rows can share a table.
_VARYING = ("command", "date", "models", "device_peaks")


def commit() -> str:
    """Reads the current commit, with "-dirty" if files differ from it; "unknown" outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        completed = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return completed.stdout.strip()


def device() -> str:
    """Describes the default device; a CPU by its model, if the system reports it, and its cores."""
    default = jax.devices()[0]
    if default.platform != "cpu":
        return f"{default.device_kind} ({default.platform})"
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    match = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    model = match[1] if match else platform.machine()
    return f"{model}, {os.cpu_count()} cores (cpu)"


def collect(settings: Settings) -> dict[str, Any]:
    """Collects the metadata of a run with these settings, as JSON can represent them."""
    return {
        "command": shlex.join(["python", *sys.argv]),
        "device": device(),
        "jax": jax.__version__,
        "jaxlib": importlib.metadata.version("jaxlib"),
        "flax": flax.__version__,
        "python": platform.python_version(),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        **dataclasses.asdict(settings),
        "models": list(settings.models),
        "device_peaks": dataclasses.asdict(device_peaks.measured()),
        "baseline_versions": baselines.versions() if settings.baselines else {},
    }


def is_same_kind(earlier: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Checks that the rows of an earlier run can be used in this run.

    Rows of uncommitted or unknown code cannot: nothing shows that it is the same code.

    Args:
        earlier: Metadata of the earlier run.
        metadata: Metadata of this run.
    """
    if metadata["commit"] == "unknown" or metadata["commit"].endswith("-dirty"):
        return False
    names = [name for name in metadata if name not in _VARYING]
    return all(earlier.get(name) == metadata[name] for name in names)
