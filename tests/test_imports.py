"""What importing the library leaves alone."""

import subprocess
import sys

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
