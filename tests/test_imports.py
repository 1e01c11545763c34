"""Imports of the library: no heavy packages, and members at first use."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import serjax

HEAVY = (
    *("matplotlib", "sklearn", "scipy.stats", "scipy.optimize", "pandas", "librosa", "torch"),
    *("orbax", "tensorstore", "grain", "tensorflow_datasets", "tensorflow", "tensorboardX"),
)
PROGRAM = f"""
import sys
import serjax, serjax.data, serjax.models, serjax.pretrained, serjax.report, serjax.training
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_heavy_packages_are_imported_where_they_are_used():
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_modules_of_the_documentation_are_there_without_an_import_of_their_own():
    pages = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
    names = re.findall(r"^::: serjax\.(\w+)", pages, re.MULTILINE)
    assert {"audio", "models", "pretrained", "errors"} <= set(names)
    for name in names:
        assert getattr(serjax, name) is sys.modules[f"serjax.{name}"]
        assert name in dir(serjax)
    with pytest.raises(AttributeError, match="no attribute 'modles'"):
        _ = serjax.modles
