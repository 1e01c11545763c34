"""A measurement in a process of its own: its memory is its alone, and its devices are as asked."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serjax.cli.parser import keep_memory, run_command
from serjax.errors import InputError


def call(module: str, function: str, arguments: Mapping[str, Any], devices: int = 1) -> Any:
    """Calls a function of a module of the benchmarks in a new process.

    Args:
        module: Name of the module.
        function: Name of the function.
        arguments: Of the function, by name; what JSON can hold.
        devices: Virtual devices into which a CPU is divided; they share its cores. Other devices
            are as many as there are.

    Returns:
        What the function returns, through JSON.

    Raises:
        InputError: The process failed; its last line is told.
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    paths = [Path(__file__).resolve().parents[1], os.environ.get("PYTHONPATH", "")]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.subprocesses", module, function],
        input=json.dumps(arguments),
        env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["nothing was told"])[-1]
        raise InputError(f"{module}, {dict(arguments)}: status {ended.returncode}, {last}")
    sys.stderr.write(ended.stderr)  # among it, which peers were skipped
    return json.loads(ended.stdout.splitlines()[-1])


def _main() -> int:
    arguments = json.load(sys.stdin)
    module, function = sys.argv[1:]
    print(
        json.dumps(getattr(importlib.import_module(f"benchmarks.{module}"), function)(**arguments))
    )
    return 0


if __name__ == "__main__":
    keep_memory()  # as experiments/train.py
    run_command(_main)
