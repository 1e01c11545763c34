"""Runs whose waveforms are read in every epoch anew have the numbers of those that keep them."""

import dataclasses
import io
import os
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
from serjax.training.input.dataset import prepare
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
    augmentation="conservative",
)


@pytest.fixture(scope="module", autouse=True)
def _standard(standard_promotion):
    """Optax promotes implicitly."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """48 synthetic utterances, of up to 2.2 s; the training part leaves a batch half empty."""
    folder = tmp_path_factory.mktemp("stored")
    data.build("synthetic", None, folder, speakers=6, words=2)
    return folder


def run(stored, out, **changes):
    shown = io.StringIO()
    config = dataclasses.replace(CONFIG, data_dir=str(stored), **changes)
    resume = out.exists()
    training.run(config, out=out, resume=resume, console=Console(file=shown, width=200))
    return shown.getvalue()


def results(folder):
    """Without the columns of time."""
    texts = {name: (folder / name).read_text() for name in FILES}
    rows = [row.split(",") for row in texts["history.csv"].splitlines()]
    timed = [i for i, name in enumerate(rows[0]) if "second" in name]
    texts["history.csv"] = [np.delete(row, timed).tolist() for row in rows]
    return texts


@pytest.fixture(scope="module")
def resident(stored, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "resident"
    assert "streamed" not in run(stored, out)
    return results(out)


def test_the_numbers_are_those_of_a_resident_corpus(stored, resident, tmp_path):
    assert "MiB, waveforms streamed" in run(stored, tmp_path / "run", stream=True)
    assert results(tmp_path / "run") == resident


def test_an_interrupted_run_goes_on_at_the_same_batch(stored, resident, tmp_path, monkeypatch):
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
    assert results(tmp_path / "run") == resident


@pytest.mark.slow
def test_several_steps_in_a_call(stored, tmp_path):
    for name, stream in (("resident", False), ("streamed", True)):
        run(stored, tmp_path / name, stream=stream, scan_steps=3)
    assert results(tmp_path / "resident") == results(tmp_path / "streamed")


@pytest.mark.slow
def test_chunks_of_utterances_of_any_length(stored, tmp_path):
    for name, stream in (("resident", False), ("streamed", True)):
        run(stored, tmp_path / name, stream=stream, model="resnet34_stats", epochs=1)
    assert results(tmp_path / "resident") == results(tmp_path / "streamed")


def test_devices_read_their_own_part(stored, tmp_path):
    start(8, "stream", tmp_path, stored)
    one, *others = (
        np.loadtxt(
            tmp_path / kind / "predictions.csv", delimiter=",", skiprows=1, usecols=range(5, 9)
        )
        for kind in ("resident", "shard_map", "pmap")
    )
    for other in others:
        np.testing.assert_allclose(other, one, atol=1e-4)


def task(stored, **changes):
    config = dataclasses.replace(CONFIG, data_dir=str(stored), **changes).resolved()
    return prepare(config, front_end_of(config), Console(quiet=True))


def test_large_stored_corpora_are_streamed(stored, monkeypatch):
    assert task(stored).lazy_waveforms is None
    total = sum(data.open_stored(stored).samples)
    for limit, streamed in ((total, False), (total - 1, True)):
        monkeypatch.setattr(recordings, "RESIDENT_SAMPLES", limit)
        assert (task(stored).lazy_waveforms is not None) == streamed
    assert task(stored, stream=False).lazy_waveforms is None
    assert (
        task(
            stored, model="lda", epochs=None, batch_size=None, model_options={}, augmentation="none"
        ).lazy_waveforms
        is None
    )
    generated = dataclasses.replace(CONFIG, dataset="synthetic", dataset_options={"words": 1})
    assert prepare(generated, front_end_of(generated), Console(quiet=True)).lazy_waveforms is None


def test_waveforms_are_those_of_the_corpus(stored):
    streamed, resident = task(stored, stream=True), task(stored, stream=False)
    for utterance in (0, 7, 47):
        np.testing.assert_array_equal(
            streamed.waveform(utterance), resident.waveform(utterance), strict=True
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "folder"}, "stream: expected corpora of --dataset tfds, found folder"),
        ({"silence": "voiced"}, "stream: expected silence to be kept or removed, found voiced"),
        ({"model": "svm", "model_options": {}}, "stream: expected none with svm, found True"),
    ],
)
def test_what_cannot_be_streamed_says_so(stored, tmp_path, changes, message):
    if changes.get("dataset") == "folder":
        for emotion in ("anger", "sadness"):
            touch(tmp_path / "in" / emotion, *(f"{i}.wav" for i in range(9)))
        stored, changes = tmp_path / "in", changes | {"split": "random"}
    if changes.get("model") == "svm":
        changes |= {"epochs": None, "batch_size": None, "augmentation": "none"}
    with pytest.raises(InputError, match=message):
        run(stored, tmp_path / "run", stream=True, **changes)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process's peak")
def test_a_corpus_of_100_000_utterances_trains_within_2_gib(tmp_path):
    """3 GiB of noise: stopped in the first epoch, resumed, stopped again."""

    def read(utterance, sample_rate):
        draw = np.random.default_rng(int(utterance.path))
        return draw.integers(-9999, 9999, 16000).astype(np.float32) / 32768

    utterances = tuple(
        Utterance(f"{i:06d}", ("anger", "sadness")[i % 2], f"{i % 99}") for i in range(100_000)
    )
    builder.write(Corpus("noise", utterances, read), tmp_path)
    command = [
        *(sys.executable, "experiments/train.py", "--dataset", "tfds", "--data-dir", tmp_path),
        *("--model", "dscnn", "--model-option", "hidden=8", "--out", tmp_path / "run"),
    ]
    done = []
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
            told = []
            for line in process.stdout:
                told.append(line)
                if line.startswith("step: "):
                    break
            time.sleep(20)
            status = Path(f"/proc/{process.pid}/status").read_text()
            process.send_signal(signal.SIGTERM)
            told += process.communicate(timeout=60)[0].splitlines()
            assert process.returncode == 128 + signal.SIGTERM, told
        assert "streamed" in "".join(told)
        assert int(status.split("VmHWM:")[1].split()[0]) < 2 * 2**20, told  # in kibibytes
        done += [line for line in told if line.startswith("resumed at epoch 1, batch ")]
    assert len(done) == 1
    assert int(done[0].split()[-1]) > 1
