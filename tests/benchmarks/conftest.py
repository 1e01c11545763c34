"""Fixtures of the benchmarks' tests."""

import sys
import types

import numpy as np
import pytest

from benchmarks import device_peaks, metadata, run
from benchmarks.measure import quantity_columns
from benchmarks.settings import DotPlot

COMMIT = "0123456789ab"


@pytest.fixture
def peaks(monkeypatch):
    """Device peaks of small arrays, which take no time to measure."""
    small = device_peaks.measure(64, 1)
    monkeypatch.setattr(device_peaks, "measured", lambda: small)
    return small


@pytest.fixture
def command(monkeypatch, peaks):
    """A function that runs the command in this process, at a commit without changes."""
    monkeypatch.setattr(metadata, "commit", lambda: COMMIT)

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
        return run.main()

    return main


class SyntheticSuite(types.SimpleNamespace):
    """A suite without programs; `measured_cases` lists the cases that were measured."""

    def __init__(self, samples):
        super().__init__(
            __doc__="Synthetic.\n\nDescription of <it>.",
            TITLE="Synthetic",
            COLUMNS={"what": "what", "form": "form", "ms": "ms", "throughput": "throughput"},
            FIGURE=DotPlot("ms", "milliseconds", ("what",), reference=1),
            measured_cases=[],
            samples=samples,
        )

    def cases(self, settings):
        return {name: lambda name=name: self._rows(name) for name in ("a", "b")}

    def _rows(self, case):
        self.measured_cases.append(case)
        return [
            {
                "what": case,
                "form": form,
                **quantity_columns("ms", ms),
                **quantity_columns("throughput", 1 / np.asarray(ms)),
            }
            for form, ms in self.samples.items()
        ]


@pytest.fixture
def install_suite(command, monkeypatch):
    """A function that replaces all suites by one named "synthetic" with these samples."""

    def install(samples):
        suite = SyntheticSuite(samples)
        monkeypatch.setattr(run, "SUITES", {"synthetic": suite})
        return suite

    return install
