import os
from pathlib import Path

import pytest

from benchmarks import subprocesses
from serjax.errors import InputError


def test_peak_memory_of_a_subprocess_is_measured(monkeypatch, tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux reports a process's peak memory")
    (tmp_path / "allocation.py").write_text(
        "import numpy\n"
        "from benchmarks import measure\n"
        "def allocate(mib):\n"
        "    before = measure.process_peak_bytes()\n"
        "    numpy.ones(mib << 20, numpy.uint8)\n"
        "    return before, measure.process_peak_bytes()\n"
        "def fail():\n"
        "    raise MemoryError('no room')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    before, after = subprocesses.call("allocation", "allocate", {"mib": 512})
    assert after - before == pytest.approx(512 << 20, rel=0.1)  # only the array
    with pytest.raises(InputError, match=r"allocation.*status 1.*out of memory: no room"):
        subprocesses.call("allocation", "fail", {})
