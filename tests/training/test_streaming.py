"""Streamed runs: the same results as those of corpora in memory."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from serjax import data, training
from serjax.data.corpus import Corpus, Utterance
from serjax.data.storage import builder
from serjax.errors import InputError
from serjax.training import loop
from serjax.training.config.resolve import front_end_of
from serjax.training.input import recordings
from serjax.training.input.dataset import prepare_dataset
from tests.helpers.processes import start
from tests.helpers.trees import touch

ROOT = Path(__file__).resolve().parents[2]
FILES = ("history.csv", "metrics.json", "predictions.csv")
CONFIG = training.RunConfig.make(
    model="dscnn",
    dataset="tfds",
    model_options={"hidden": 8},
    epochs=2,
    batch_size=8,
    augment="conservative",
    augment_copies=1,
)


@pytest.fixture(scope="module", autouse=True)
def _standard(standard_promotion):
    """Optax promotes implicitly."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """48 synthetic utterances of up to 2.2 s; the last batch of the training set is padded."""
    folder = tmp_path_factory.mktemp("stored")
    data.build("synthetic", None, folder, speakers=6, words=2)
    return folder


def run(stored, out, **changes):
    """Trains a run, or resumes it; returns the printed lines."""
    printed = io.StringIO()
    config = CONFIG.replace(data_dir=str(stored), **changes)
    resume = out.exists()
    training.run(config, out=out, resume=resume, console=Console(file=printed, width=200))
    return printed.getvalue()


def results(folder):
    """Returns the files of results, without the columns of time.

    Losses and norms of the history are rounded: two programs may add examples in another order.
    """
    texts = {name: (folder / name).read_text() for name in FILES}
    rows = [row.split(",") for row in texts["history.csv"].splitlines()]
    timed = [i for i, name in enumerate(rows[0]) if "second" in name]
    header, *values = [np.delete(row, timed).tolist() for row in rows]
    texts["history.csv"] = [header, *[[f"{float(x):.4g}" for x in row] for row in values]]
    return texts


@pytest.fixture(scope="module")
def in_memory(stored, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "in_memory"
    assert "streamed" not in run(stored, out)
    return results(out)


def test_results_are_those_of_a_corpus_in_memory(stored, in_memory, tmp_path):
    assert "MiB, waveforms streamed" in run(stored, tmp_path / "run", stream=True)
    assert results(tmp_path / "run") == in_memory


def test_an_interrupted_run_resumes_at_the_same_batch(stored, in_memory, tmp_path, monkeypatch):
    add = loop.LoopState.add

    def add_and_stop(state, result):
        add(state, result)
        if (state.epoch, state.batch) == (2, 2):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(loop.LoopState, "add", add_and_stop)
    with pytest.raises(loop.InterruptedRunError):
        run(stored, tmp_path / "run", stream=True)
    monkeypatch.undo()
    assert "resumed at epoch 2, batch 2" in run(stored, tmp_path / "run", stream=True)
    assert results(tmp_path / "run") == in_memory


@pytest.mark.slow
def test_several_steps_per_call(stored, tmp_path):
    for name, stream in (("in_memory", False), ("streamed", True)):
        run(stored, tmp_path / name, stream=stream, scan_steps=3)
    assert results(tmp_path / "in_memory") == results(tmp_path / "streamed")


@pytest.mark.slow
def test_chunks_of_utterances_of_any_length(stored, tmp_path):
    for name, stream in (("in_memory", False), ("streamed", True)):
        run(stored, tmp_path / name, stream=stream, model="resnet34_stats", epochs=1)
    assert results(tmp_path / "in_memory") == results(tmp_path / "streamed")


def test_devices_read_their_own_shards(stored, tmp_path):
    start(8, "stream", tmp_path, stored)
    one, *others = (
        np.loadtxt(
            tmp_path / kind / "predictions.csv", delimiter=",", skiprows=1, usecols=range(5, 9)
        )
        for kind in ("in_memory", "shard_map", "pmap")
    )
    for other in others:
        np.testing.assert_allclose(other, one, atol=1e-4)


def dataset_of(stored, **changes):
    config = CONFIG.replace(data_dir=str(stored), **changes)
    return prepare_dataset(config, front_end_of(config), Console(quiet=True))


def test_damaged_records_are_skipped_if_asked(stored, tmp_path):
    damaged = shutil.copytree(stored, tmp_path / "damaged")
    file = next(damaged.rglob("*.array_record-00000"))
    content = bytearray(file.read_bytes())
    content[10_000:10_100] = bytes(100)
    file.write_bytes(content)
    streamed, in_memory = (
        dataset_of(damaged, stream=stream, skip_bad_files=True, split="random")
        for stream in (True, False)
    )
    assert 0 < len(streamed.corpus) < len(data.load("tfds", stored))
    assert streamed.corpus.utterances == in_memory.corpus.utterances
    assert streamed.corpus.notes == in_memory.corpus.notes
    for i in range(len(streamed.corpus)):
        np.testing.assert_array_equal(streamed.waveform(i), in_memory.waveform(i))


def test_large_stored_corpora_are_streamed(stored, monkeypatch):
    assert dataset_of(stored).lazy_waveforms is None
    total = sum(data.open_stored(stored).samples)
    for limit, is_streamed in ((total, False), (total - 1, True)):
        monkeypatch.setattr(recordings, "RESIDENT_SAMPLES", limit)
        assert (dataset_of(stored).lazy_waveforms is not None) == is_streamed
    assert dataset_of(stored, stream=False).lazy_waveforms is None
    classical = {"epochs": None, "batch_size": None, "model_options": {}, "augment": "none"}
    classical["augment_copies"] = 0
    assert dataset_of(stored, model="lda", **classical).lazy_waveforms is None
    generated = {"dataset": "synthetic", "dataset_options": {"words": 1}}
    config = CONFIG.replace(**generated)
    assert prepare_dataset(config, front_end_of(config), Console(quiet=True)).lazy_waveforms is None


def test_waveforms_are_those_of_the_corpus(stored):
    streamed, in_memory = (dataset_of(stored, stream=stream) for stream in (True, False))
    for utterance in (0, 7, 47):
        np.testing.assert_array_equal(
            streamed.waveform(utterance), in_memory.waveform(utterance), strict=True
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "folder"}, "stream: expected corpora of --dataset tfds, found folder"),
        ({"silence": "voiced"}, "stream: expected --silence keep, found voiced"),
        ({"silence": "remove"}, "stream: expected --silence keep, found remove"),
        ({"model": "svm", "model_options": {}}, "stream: expected none with svm, found True"),
    ],
)
def test_runs_that_cannot_be_streamed_are_refused(stored, tmp_path, changes, message):
    if changes.get("dataset") == "folder":
        for emotion in ("anger", "sadness"):
            touch(tmp_path / "in" / emotion, *(f"{i}.wav" for i in range(9)))
        stored, changes = tmp_path / "in", changes | {"split": "random"}
    if changes.get("model") == "svm":
        changes |= {"epochs": None, "batch_size": None, "augment": "none", "augment_copies": 0}
    with pytest.raises(InputError, match=message):
        run(stored, tmp_path / "run", stream=True, **changes)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux: peak memory")
def test_a_corpus_of_100_000_utterances_trains_within_2_gib(tmp_path):
    """3 GiB of noise: stopped in the first epoch, resumed, stopped again."""

    def read(utterance, sample_rate):
        rng = np.random.default_rng(int(utterance.path))
        return rng.integers(-9999, 9999, 16000).astype(np.float32) / 32768

    utterances = tuple(
        Utterance(f"{i:06d}", ("anger", "sadness")[i % 2], f"{i % 99}") for i in range(100_000)
    )
    builder.write(Corpus("noise", utterances, read), tmp_path)
    command = [
        *(sys.executable, "experiments/train.py", "--dataset", "tfds", "--data-dir", tmp_path),
        *("--model", "dscnn", "--model-option", "hidden=8", "--out", tmp_path / "run"),
    ]
    resumed = []
    for more in ([], ["--resume"]):
        with subprocess.Popen(
            [*map(str, command), *more],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("step: "):
                    break
            time.sleep(20)
            status = Path(f"/proc/{process.pid}/status").read_text()
            process.send_signal(signal.SIGTERM)
            lines += process.communicate(timeout=60)[0].splitlines()
            assert process.returncode == 128 + signal.SIGTERM, lines
        assert "streamed" in "".join(lines)
        assert int(status.split("VmHWM:")[1].split()[0]) < 2 * 2**20, lines  # in kibibytes
        resumed += [line for line in lines if line.startswith("resumed at epoch 1, batch ")]
    assert len(resumed) == 1
    assert int(resumed[0].split()[-1]) > 1
