"""Measurement in a subprocess, which has memory and virtual devices of its own."""

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
    """Calls a function in a new process.

    Args:
        module: Name of the module, such as "benchmarks.training".
        function: Name of the function.
        arguments: Keyword arguments of the function, which JSON can represent.
        devices: Number of virtual devices of a CPU, which share its cores. It does not affect
            other devices.

    Returns:
        The function's result, converted to JSON and back.

    Raises:
        InputError: The process failed; the message has the last line of its errors.
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    script = Path(__file__).resolve()
    paths = [script.parents[1], os.environ.get("PYTHONPATH", "")]
    completed = subprocess.run(
        # By its path: with `-m` a folder `benchmarks` of the working directory would come first.
        [sys.executable, str(script), module, function],
        input=json.dumps(arguments),
        env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        last = (completed.stderr.strip().splitlines() or ["no error message"])[-1]
        raise InputError(f"{module}, {dict(arguments)}: status {completed.returncode}, {last}")
    sys.stderr.write(completed.stderr)  # names the skipped baselines, among other things
    return json.loads(completed.stdout.splitlines()[-1])


def _main() -> int:
    arguments = json.load(sys.stdin)
    module, function = sys.argv[1:]
    print(json.dumps(getattr(importlib.import_module(module), function)(**arguments)))
    return 0


if __name__ == "__main__":
    keep_memory()  # as experiments/train.py does
    run_command(_main)
