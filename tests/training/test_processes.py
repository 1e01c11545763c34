"""Two processes that train one network, compared with one process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from serjax import data
from serjax.errors import InputError
from serjax.training.devices import processes
from serjax.training.devices.batch_sharding import BatchSharding
from tests.helpers import parallel_worker as worker

ROOT = Path(__file__).resolve().parents[2]
MODEL = ("--model", "dscnn", "--model-option", "hidden=8", "--schedule", "constant")
CORPUS = ("--dataset-option", "speakers=6", "--dataset-option", "words=2")
SETTINGS = [*MODEL, "--batch-size", "8", "--epochs", "3"]


def free_address():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return f"localhost:{listener.getsockname()[1]}"


def start(devices, *command, **environment):
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes, status=0):
    """Waits for processes; returns output and errors of each."""
    outputs = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [status] * len(processes), outputs
    return outputs


# --- Steps ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Folder of the results of two processes with two devices each."""
    folder = tmp_path_factory.mktemp("joined")
    address = free_address()
    finish(
        [
            start(2, "-m", "tests.helpers.parallel_worker", "join", folder, address, "2", number)
            for number in range(2)
        ]
    )
    return folder


@pytest.fixture(scope="module")
def reports(joined):
    return [json.loads((joined / f"process-{number}.json").read_text()) for number in range(2)]


def test_two_processes_have_the_results_of_one(joined, standard_promotion):
    """Parameters, statistics, sums and probabilities; the second step is from a checkpoint."""
    one = BatchSharding("none", tuple(jax.devices()[:1]))
    state = one.replicate(worker.first_state("normed"))
    step = worker.make_step("normed", one)
    state, results = worker.take_steps(state, "normed", one, step, worker.BATCHES)
    expected = worker.flatten(state, results)
    expected["probabilities"] = np.asarray(worker.evaluate("normed", one, state))
    for number in range(2):
        arrays = np.load(joined / f"process-{number}.npz")
        assert set(arrays.files) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(arrays[name], value, 1e-4, 2e-5, err_msg=name)


def test_only_the_first_process_writes_and_reads(joined, reports):
    assert (joined / "checkpoints-0" / "last" / "1").is_dir()
    assert not (joined / "checkpoints-1").exists()
    assert [report["loop"] for report in reports] == [{"saved by": 0}] * 2


def test_processes_exchange_values(reports):
    for number, report in enumerate(reports):
        assert report["devices"] == [0, 0, 1, 1]
        assert report["gathered"] == [[0, 7], [1, 7]]
        assert report["first"] == ["x" * 3000, 0]
        assert report["own"] == number


def test_an_error_of_one_process_is_raised_by_all(reports):
    zero, one = (report["errors"] for report in reports)
    assert zero[:2] == ["process 1: no such file", "no such file"]
    assert one[:2] == ["no such file", "process 0: no such file"]
    for errors in (zero, one):
        assert errors[2:] == [
            None,
            "corpus: expected that of process 0, found another at 1",
            "parallel: expected shard_map in 2 processes, found pmap",
            "batch_size: expected a multiple of 2, for 2 devices and 1 micro-batches, found 15; "
            "or use --parallel none and --accumulate 1",
        ]


# --- Whole runs ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True])
def test_two_processes_that_are_stopped_at_one_and_resumed_end_like_one_process(tmp_path, streamed):
    data.build("synthetic", None, tmp_path / "stored", speakers=6, words=2)
    stored = ("--dataset", "tfds", "--data-dir", tmp_path / "stored")
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}

    def pair(*more):
        address = free_address()
        return [
            start(
                *(1, "experiments/train.py", *SETTINGS, "--out", tmp_path / f"run-{number}"),
                *("--distributed", address, "2", number, *more),
                *((*stored, "--stream") if streamed else CORPUS),
                **cache,
            )
            for number in range(2)
        ]

    processes = pair()
    saved = tmp_path / "run-0" / "checkpoints" / "last"
    while not any(saved.glob("[0-9]*")) and processes[0].poll() is None:
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)
    for _, errors in finish(processes, 128 + signal.SIGTERM):
        assert "stopped by SIGTERM; resume with" in errors
    (output, _), (silent, _) = finish(pair("--resume"))
    assert re.search(r"step: .* on each of 2 devices, shard_map", output)
    assert "resumed at epoch" in output
    assert all(line.startswith("[Gloo]") for line in silent.splitlines())
    assert not (tmp_path / "run-1").exists()
    single = (*(stored if streamed else CORPUS), "--out", tmp_path / "one")
    finish([start(1, "experiments/train.py", *SETTINGS, *single, **cache)])
    two, one = (tmp_path / name for name in ("run-0", "one"))
    metrics, expected = (json.loads((folder / "metrics.json").read_text()) for folder in (two, one))
    # Adam's first steps are as large for a gradient of rounding errors as for any other.
    for split in ("test", "validation"):
        assert metrics[split].pop("loss") == pytest.approx(expected[split].pop("loss"), rel=0.005)
    assert metrics == expected
    tables = [np.genfromtxt(f / "predictions.csv", delimiter=",", dtype=str) for f in (two, one)]
    probabilities = [table[1:, -4:].astype(float) for table in tables]
    np.testing.assert_array_equal(tables[0][:, :-4], tables[1][:, :-4])
    np.testing.assert_allclose(probabilities[0], probabilities[1], atol=0.01)


# --- Joining -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["localhost:9000", "2", "2"], "expected a process from 0 to 1, for there are 2, found 2"),
        (["localhost:9000", "2"], "expected nothing, or COORDINATOR PROCESSES PROCESS"),
        (["localhost:9000", "two", "0"], r"found localhost:9000 two 0"),
        (["localhost", "2", "0"], "expected HOST:PORT of process 0, found 'localhost'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        processes.join(arguments)


def test_a_first_process_that_does_not_answer_is_an_error():
    with pytest.raises(InputError, match=r"expected process 0 at localhost:\d+, found: .* for 0 s"):
        processes.join([free_address(), "2", "1"], seconds=0)


def test_a_second_first_process_is_refused():
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(InputError, match=f"expected port {port} free for process 0"):
            processes.join([f"localhost:{port}", "2", "0"])
