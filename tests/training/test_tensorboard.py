"""Event files, read back by the protocol buffers that TensorBoard reads."""

import struct
import sys
from unittest import mock

import pytest

from serjax import training
from serjax.errors import InputError
from serjax.training.loop import LoopState
from serjax.training.trackers.tensorboard import EventWriter

ROW = {
    "train_loss": 1.25,
    "validation_loss": 1.5,
    "train_wa": 0.5,
    "validation_wa": 0.25,
    "train_ua": 0.75,
    "validation_ua": 0.375,
    "train_anti_transfer": 0.125,
    "examples_per_second": 40.0,
}


def events(folder):
    """Every event of the folder's files: length, its checksum, content, checksum."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield proto.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def scalars(folder):
    return {
        (value.tag, event.step): value.simple_value
        for event in events(folder)
        for value in event.summary.value
    }


def test_epochs_are_written_and_shown(tmp_path):
    pytest.importorskip("tensorboardX")
    display = mock.Mock()
    writer = EventWriter(display, tmp_path, lambda epoch: 0.5**epoch, 1)
    loop = LoopState()
    writer.batch(loop, 3, 2)
    writer.epoch({**ROW, "epoch": 1}, True)
    display.batch.assert_called_once_with(loop, 3, 2)
    display.epoch.assert_called_once_with({**ROW, "epoch": 1}, True)
    writer.close()
    assert scalars(tmp_path) == {
        ("loss/training", 1): 1.25,
        ("loss/validation", 1): 1.5,
        ("WA/training", 1): 0.5,
        ("WA/validation", 1): 0.25,
        ("UA/training", 1): 0.75,
        ("UA/validation", 1): 0.375,
        ("anti-transfer/training", 1): 0.125,
        ("examples_per_second", 1): 40.0,
        ("learning_rate", 1): 0.5,
    }


def test_a_resumed_run_drops_what_it_does_again(tmp_path):
    pytest.importorskip("tensorboardX")
    EventWriter(mock.Mock(), tmp_path, lambda epoch: 1.0, 3).close()
    assert [event.step for event in events(tmp_path) if event.HasField("session_log")] == [3]


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"expected the package tensorboardX, found none: pip"):
        training.run(training.RunConfig(), out=tmp_path / "run", events=True)
    assert not (tmp_path / "run").exists()
