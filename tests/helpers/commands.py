"""Commands, run within the process of a test."""

import importlib
import sys
from typing import Any

import pytest

from serjax.cli import parser


def call(
    monkeypatch: pytest.MonkeyPatch, capfd: Any, script: str, *arguments: Any
) -> tuple[Any, str, str]:
    """Runs a command as `python experiments/...` would; returns status, output and errors."""
    module = importlib.import_module(f"serjax.cli.{script}")
    monkeypatch.setattr(sys, "argv", [f"experiments/{script}.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        parser.run_command(module.main)
    output, errors = capfd.readouterr()
    return ended.value.code, output, errors
