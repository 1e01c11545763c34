"""Kills at random moments: after resuming, commands have the results of uninterrupted ones.

Every job is run without interruption, then killed by SIGKILL (sometimes by Ctrl-C) and resumed
until it ends, again and again, until it was killed `SERJAX_KILLS` times (8). The seed is 0, but the
moments depend on the machine. `SERJAX_KILLS_LOG` names a file that the counts are appended to.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("SERJAX_KILLS", "8"))
TINY = [
    *("--import", "tests.reliability.tiny_network", "--model", "tiny", "--image-size", "8", "8"),
    *("--epochs", "6", "--batch-size", "4", "--dataset", "csv", "--data-dir", "../corpus.csv"),
]
RHEMO = [
    f"--{stage}={field}" for stage in ("reconstruction", "emotions") for field in ("epochs=2",)
]
# Arguments, and whether they need --resume to continue.
JOBS = {
    "train": (["train", *TINY, "--split", "random", "--out", "run"], True),
    "cross-validation": (
        ["cross-validate", *TINY, "--protocol", "random", "--folds", "3", "--out", "run"],
        True,
    ),
    "cross-validation in one program": (
        [
            *("cross-validate", *TINY, "--protocol", "random", "--folds", "3", "--out", "run"),
            *("--batching", "vmap"),
        ],
        True,
    ),
    "anti-transfer sweep": (
        [
            *("anti-transfer", *TINY, "--layers", "1", "--methods", "none,single-s"),
            *("--splits", "random", "--out", "run"),
        ],
        True,
    ),
    "RH-emo pretraining": (
        [
            *("pretrain", "--task", "rhemo", "--model-option", "hidden=2", "--out", "run", *RHEMO),
            *("--dataset", "csv", "--data-dir", "../corpus.csv", "--split", "random"),
        ],
        True,
    ),
    "reproduction": (
        [
            *("reproduce", "tiwari", "--bundled", "--scale", "small", "--only", "lda"),
            *("--out", "run"),
        ],
        True,
    ),
    "store": (["corpus", "csv", "--data-dir", "../corpus.csv", "--write", "run"], False),
    "benchmarks": (
        ["benchmarks", "--suite", "features", "--quick", "--rounds", "1", "--out", "run"],
        False,
    ),
}
EXACT = (
    *("metrics.json", "predictions.csv", "summary.json", "folds.csv", "table.md", "table.csv"),
    *("metadata.json", "features.json"),
)


class Server:
    """Fork server, see `tests.helpers.fork_server`."""

    def __init__(self, cache):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.fork_server"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": str(cache)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "1\n"  # more threads than one are not forked

    def run(self, folder, arguments, seconds=None, number=signal.SIGKILL):
        request = {
            "arguments": arguments,
            "folder": str(folder),
            "seconds": seconds,
            "signal": int(number),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder with a corpus of 24 recordings of a quarter of a second."""
    folder = tmp_path_factory.mktemp("kills")
    rng = np.random.default_rng(0)
    lines = ["path,emotion,speaker,text"]
    for number in range(24):
        emotion, speaker = ("anger", "happiness")[number % 2], f"s{number // 2 % 3}"
        samples = rng.uniform(-0.1, 0.1, 4000) * (1 + number % 2)
        soundfile.write(folder / f"{number}.wav", samples, 16000)
        lines.append(f"{number}.wav,{emotion},{speaker},{'ab'[number // 6 % 2]}")
    (folder / "corpus.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def server(place):
    started = Server(place / "cache")
    yield started
    started.close()


def results(folder, job):
    """Returns the results of a job by file: the content of those that are equal in equal runs."""
    if job == "benchmarks":
        rows = json.loads(next(folder.glob("features-*.json")).read_text())["rows"]
        return sorted(row["case"] for row in rows)
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name in EXACT or "array_record" in path.name:
            found[str(path.relative_to(folder))] = path.read_bytes()
        if path.name == "history.csv":
            rows = [line.split(",") for line in path.read_text().splitlines()]
            timed = [rows[0].index(f'"{name}"') for name in ("seconds", "examples_per_second")]
            found[str(path.relative_to(folder))] = [
                [cell for at, cell in enumerate(row) if at not in timed] for row in rows
            ]
    assert found
    return found


def log(line):
    print(line)
    if "SERJAX_KILLS_LOG" in os.environ:
        with open(os.environ["SERJAX_KILLS_LOG"], "a") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {line}\n")


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_killed_commands_have_the_results_of_uninterrupted_ones(server, place, job):
    arguments, resumes = JOBS[job]
    first, folder = place / "first", place / "killed"
    for each in (first, folder):
        shutil.rmtree(each, ignore_errors=True)
    first.mkdir()
    whole = server.run(first, arguments)
    assert whole["status"] == 0, whole["output"]
    seconds = whole["seconds"]
    expected = results(first / "run", job)
    rng, kills, interrupts, ended = np.random.default_rng(0), 0, 0, 0
    while kills < KILLS:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for attempt in range(1000):
            more = ["--resume"] if resumes and attempt else []
            by_user = attempt % 5 == 4
            number = signal.SIGINT if by_user else signal.SIGKILL
            limit = rng.uniform(0.0, 1.1 * seconds) if kills < KILLS else None
            result = server.run(folder, [*arguments, *more], limit, number)
            if result["status"] in (-signal.SIGKILL, 130):
                kills += 1
                interrupts += result["status"] == 130
                log(f"{job}: kill {kills} by {number.name} after {result['seconds']:.2f} s")
                continue
            assert result["status"] == 0, result["output"]
            if not attempt:
                seconds = result["seconds"]  # shorter than the first, whose programs were compiled
            break
        assert results(folder / "run", job) == expected
        ended += 1
        log(f"{job}: {kills} kills so far, {interrupts} by Ctrl-C; {ended} equal results")
    log(f"{job}: {kills} kills, {interrupts} by Ctrl-C; {ended} equal results of {ended}")
