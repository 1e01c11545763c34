"""Run folders: default names, locks, and what a resumed run may change."""

import io
import json
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from serjax.errors import InputError
from serjax.training import AuxiliaryLossConfig, RunConfig
from serjax.training.run_folder import run_dir
from serjax.training.run_folder.run_dir import check_free, is_finished, open_folder

CONFIG = RunConfig.make(dataset="emodb", model="dscnn", split="speaker", epochs=3, patience=2)
METADATA = {"classes": ["a", "b"], "utterances": {"train": 3}, "notes": []}
SILENT = Console(quiet=True)


def open_again(folder, resume, config=CONFIG, metadata=METADATA):
    """Opens a folder and closes it again; returns its `config.json`."""
    with open_folder(folder, resume, config, metadata, SILENT) as opened:
        return json.loads((opened / "config.json").read_text())


def save(folder):
    """Writes a file as the first checkpoint does."""
    path = folder / "checkpoints" / "last" / "state"
    path.parent.mkdir(parents=True)
    path.write_text("weights")


def test_the_folder_holds_configuration_and_metadata(tmp_path):
    content = open_again(tmp_path / "run", False)
    assert content["model"]["name"] == "dscnn"
    assert content["optimizer"]["epochs"] == 3
    assert {key: content[key] for key in METADATA} == METADATA


def test_two_runs_in_one_folder_are_refused(tmp_path):
    folder = tmp_path / "run"
    with (
        open_folder(folder, False, CONFIG, METADATA, SILENT),
        pytest.raises(InputError, match="run: another run is at work there"),
        open_folder(folder, True, CONFIG, METADATA, SILENT),
    ):
        pass
    with open_folder(folder, True, CONFIG, METADATA, SILENT) as again:
        assert again == folder


def test_a_folder_that_was_only_opened_is_still_empty(tmp_path):
    folder = tmp_path / "run"
    with open_folder(folder, False, CONFIG, METADATA, SILENT):
        (folder / "config.json").unlink()
    with open_folder(folder, False, CONFIG, METADATA, SILENT) as again:
        assert again == folder


def test_a_run_that_ended_before_it_saved_anything_leaves_its_folder_free(tmp_path):
    folder = tmp_path / "run"
    with open_folder(str(folder), False, CONFIG, METADATA, SILENT):
        (folder / "checkpoints" / "last").mkdir(parents=True)
    for resume in (False, True):
        assert open_again(folder, resume, CONFIG.replace(seed=7))["seed"] == 7
    (folder / "checkpoints" / "last" / "state").write_text("weights")
    with pytest.raises(InputError, match="expected a new or empty folder, found another run"):
        check_free(folder, resume=False)
    check_free(folder, resume=True)


def test_files_of_others_are_not_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match="expected a new or empty folder, found other files"):
        check_free(tmp_path, resume=False)
    with pytest.raises(InputError, match=r"notes\.txt: expected a folder for the run, found a fi"):
        check_free(tmp_path / "notes.txt", resume=True)


def test_a_folder_that_cannot_be_written_to_is_reported_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="file/run: expected a folder that can be written to"),
        open_folder(tmp_path / "file" / "run", False, CONFIG, METADATA, SILENT),
    ):
        pass


def test_default_folders_are_named_after_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    for resume in (False, False, True):
        with open_folder(None, resume, CONFIG, METADATA, SILENT) as folder:
            names.append(str(folder))
            if not resume:
                save(folder)
    first = "runs/emodb-dscnn-speaker-0"
    assert names == [first, f"{first}-2", f"{first}-2"]
    config = CONFIG.replace(target="text")
    with open_folder(None, False, config, {**METADATA, "protocol": "folds"}, SILENT) as folder:
        assert folder == Path("runs/emodb-dscnn-text-folds-0")


def test_a_resumed_run_without_a_folder_starts(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    with open_folder(tmp_path / "run", True, CONFIG, METADATA, console):
        pass
    assert "run: no run to resume there yet; starting it" in console.file.getvalue()


@pytest.fixture
def saved(tmp_path):
    """Folder of a run that has saved a checkpoint."""
    folder = tmp_path / "run"
    open_again(folder, False)
    save(folder)
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patience": 5},
        {"parallel": "pmap", "remat": "dots", "scan_steps": 4, "stream": False},
    ],
)
def test_system_and_patience_may_change(saved, changes):
    config = CONFIG.replace(**changes)
    content = open_again(saved, True, config)
    assert content["optimizer"]["patience"] == config.optimizer.patience
    assert content["system"]["remat"] == config.system.remat


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "another run there: seed 0 not 1"),
        ({"epochs": 4}, "optimizer.epochs 3 not 4"),  # the schedule is a cosine
        ({"model": "vgg16", "batch_size": 2}, "model.name 'dscnn' not 'vgg16', .*size None not 2"),
        ({"model_options": {"hidden": 8}}, r"model.options \{\} not \{'hidden': 8\}"),
        (
            {"auxiliary_losses": (AuxiliaryLossConfig("centre", 0.5),)},
            r"auxiliary_losses \[\] not \[AuxiliaryLossConfig\(name='centre', weight=0.5",
        ),
    ],
)
def test_other_options_may_not_change(saved, changes, message):
    with pytest.raises(InputError, match=message):
        open_again(saved, True, CONFIG.replace(**changes))


def test_epochs_may_change_unless_the_schedule_is_a_cosine(tmp_path):
    folder = tmp_path / "run"
    config = CONFIG.replace(schedule="constant")
    open_again(folder, False, config)
    save(folder)
    assert open_again(folder, True, config.replace(epochs=9))["optimizer"]["epochs"] == 9


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"classes": ["a", "c"]}, r"classes \['a', 'b'\] not \['a', 'c'\]"),
        ({"utterances": {"train": 4}}, "utterances {'train': 3} not {'train': 4}"),
        ({"runs": ["fold-1"]}, r"runs None not \['fold-1'\]"),
    ],
)
def test_data_may_not_change(saved, metadata, message):
    with pytest.raises(InputError, match=message):
        open_again(saved, True, metadata={**METADATA, **metadata})
    assert open_again(saved, True, metadata={**METADATA, "notes": ["new"]})["notes"] == ["new"]


def test_the_training_set_of_another_run_is_compared(tmp_path):
    folder = tmp_path / "run"
    config = CONFIG.replace(training_set_of=RunConfig.make(dataset="emodb", seed=3))
    open_again(folder, False, config)
    save(folder)
    open_again(folder, True, config)
    with pytest.raises(InputError, match=r"data\.training_set_of"):
        open_again(folder, True, config.replace(training_set_of=RunConfig.make(seed=4)))


def test_a_damaged_configuration_is_reported(saved):
    (saved / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"run/config\.json: expected JSON"):
        open_again(saved, True)


def test_the_report_is_written_last(tmp_path):
    assert not is_finished(tmp_path)
    (tmp_path / "report.html").write_text("")
    assert is_finished(tmp_path)


def test_equal_commands_that_start_at_once_take_different_default_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = "runs/emodb-dscnn-speaker-0"
    with open_folder(None, False, CONFIG, METADATA, SILENT) as folder:
        assert str(folder) == first
        # The other command looked for a free name before this one had written anything.
        monkeypatch.setattr(
            run_dir,
            "_default_folders",
            lambda *arguments, original=run_dir._default_folders, calls=[]: (
                calls.append(1) or (([], Path(first)) if len(calls) == 1 else original(*arguments))
            ),
        )
        with open_folder(None, False, CONFIG, METADATA, SILENT) as other:
            assert str(other) == f"{first}-2"


def test_a_run_that_ended_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    locked = run_dir.locked

    def slowly(path, busy):
        save(folder)  # another run has come and gone before the lock
        return locked(path, busy)

    monkeypatch.setattr(run_dir, "locked", slowly)
    with (
        pytest.raises(InputError, match="expected a new or empty folder"),
        open_folder(folder, False, CONFIG, METADATA, SILENT),
    ):
        pass


def test_the_end_of_another_run_is_waited_for(tmp_path):
    folder, events = tmp_path / "run", []
    with open_folder(folder, False, CONFIG, METADATA, SILENT):
        waiting = threading.Thread(
            target=lambda: (run_dir.wait_until_free(folder), events.append("free"))
        )
        waiting.start()
        time.sleep(0.2)
        events.append("ends")
    waiting.join(10)
    assert events == ["ends", "free"]
