"""Tests of interrupted runs, which end with the results of an uninterrupted run."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    *("--model", "dscnn", "--model-option", "hidden=16", "--epochs", "6", "--batch-size", "4"),
    *("--dataset-option", "speakers=6", "--dataset-option", "words=3", "--augment", "conservative"),
]


def start(folder, cache, *more):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "experiments/train.py", *ARGUMENTS, "--out", str(folder), *more],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder, cache, *more):
    process = start(folder, cache, *more)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


def results(folder):
    return [(folder / name).read_bytes() for name in ("metrics.json", "predictions.csv")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """Results of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(folder, cache)
    return results(folder)


def wait_for(process, condition, seconds=120):
    """Waits until a condition is true, or the process has ended."""
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def saved(folder):
    """Steps of the complete checkpoints; an incomplete one has a longer name."""
    names = (path.name for path in (folder / "checkpoints" / "last").glob("*"))
    return [int(name) for name in names if name.isdigit()]


MOMENTS = {
    "before anything is written": lambda folder: True,
    "while compiling": lambda folder: (folder / "config.json").exists(),
    "after the first checkpoint": lambda folder: bool(saved(folder)),
    "later": lambda folder: any(step > 20 for step in saved(folder)),
    "in the report": lambda folder: (folder / "history.csv").exists(),
}
CI_MOMENTS = ("after the first checkpoint", "in the report")


@pytest.mark.parametrize(
    "moment",
    [m if m in CI_MOMENTS else pytest.param(m, marks=pytest.mark.slow) for m in MOMENTS],
)
def test_kill_and_resume(whole, cache, tmp_path, moment):
    folder = tmp_path / "run"
    process = start(folder, cache)
    wait_for(process, lambda: MOMENTS[moment](folder))
    process.kill()
    process.communicate()
    finish(folder, cache, "--resume")
    assert results(folder) == whole


@pytest.mark.slow
def test_fifty_kills_at_random_moments(cache, whole, tmp_path):
    """Killed and resumed until it ends, a run has the results of an uninterrupted one."""
    rng = np.random.default_rng(0)
    started = time.monotonic()
    finish(tmp_path / "uninterrupted", cache)
    seconds = time.monotonic() - started
    kills = 0
    for number in itertools.count():
        folder = tmp_path / f"run{number}"
        while True:
            process = start(folder, cache, "--resume")
            try:
                _, errors = process.communicate(timeout=rng.uniform(0.0, 1.2 * seconds))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                continue
            assert process.returncode == 0, errors
            break
        assert results(folder) == whole
        if kills >= 50:
            break


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_explains_how_to_resume(whole, cache, tmp_path, number):
    folder = tmp_path / "run"
    process = start(folder, cache)
    wait_for(process, lambda: bool(saved(folder)))
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert "--resume" in errors
    assert "resumed at epoch" in finish(folder, cache, "--resume")
    assert results(folder) == whole
