"""What a run leaves on disk to go on from, and what happens to it when the disk fails."""

import json
import shutil
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax.cli.execution import execute
from serjax.errors import InputError
from serjax.files import write_bytes_atomic
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.run_dir import check_free, open_folder
from serjax.training.state import state_of

# Orbax leaves the reads of a damaged checkpoint's other files unfinished.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SETTINGS = {
    "dataset": "emodb",
    "model": "dscnn",
    "split": "speaker",
    "classes": ["a"],
    "utterances": 3,
}
SILENT = types.SimpleNamespace(print=lambda *_, **__: None)


def a_state(step, size=1000):
    """A state whose numbers tell its step; they do not compress."""
    rng = np.random.default_rng(step)
    params = {"kernel": jnp.asarray(rng.random(size, np.float32))}
    state = state_of({"params": params}, optax.adam(0.1))
    return state.replace(step=jnp.int32(step))


def steps(folder, which):
    return sorted(int(path.name) for path in (folder / which).iterdir() if path.name.isdigit())


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small filesystem cannot be mounted here: {error}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_the_last_two_states_and_the_last_two_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (3, 6, 9):
        checkpoints.save_best(a_state(step))
        checkpoints.save_last(a_state(step), {"epoch": step})
    assert steps(tmp_path, "last") == steps(tmp_path, "best") == [6, 9]
    state, loop = Checkpoints(tmp_path).restore_last(a_state(0))
    assert loop == {"epoch": 9}
    jax.tree.map(np.testing.assert_array_equal, state, a_state(9))
    best = checkpoints.restore_best(a_state(0).variables, 6)
    np.testing.assert_array_equal(best["params"]["kernel"], a_state(6).params["kernel"])


def test_nothing_saved_is_nothing_to_go_on_from(tmp_path):
    assert Checkpoints(tmp_path).restore_last(a_state(0)) is None
    with pytest.raises(InputError, match="best: expected a checkpoint of step 5, found none"):
        Checkpoints(tmp_path).restore_best(a_state(0).variables, 5)


def damaged(folder):
    """Cuts the largest file below a folder to half its length."""
    largest = max(folder.rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    content = largest.read_bytes()
    largest.write_bytes(content[: len(content) // 2])


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_offered(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (3, 6):
        checkpoints.save_last(a_state(step, 100_000), {"epoch": step})
    damaged(tmp_path / "last" / "6")
    with pytest.raises(InputError) as refused:
        Checkpoints(tmp_path).restore_last(a_state(0, 100_000))
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'last' / '6'}: not a checkpoint of this model, or a")
    assert message.endswith("without that folder, step 3 is taken")
    assert "\n" not in message
    (tmp_path / "last" / "6").rename(tmp_path / "damaged")
    state, loop = Checkpoints(tmp_path).restore_last(a_state(0, 100_000))
    assert (int(state.step), loop) == (3, {"epoch": 3})


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    Checkpoints(tmp_path).save_last(a_state(3), {})
    with pytest.raises(InputError, match="last/3: not a checkpoint of this model"):
        Checkpoints(tmp_path).restore_last(a_state(0, 999))


def test_a_disk_without_room_is_told_before_training(small_disk):
    checkpoints = Checkpoints(small_disk / "run")
    checkpoints.check_space(a_state(0, 10_000))
    with pytest.raises(InputError, match=r"run: expected 5 MiB of free disk .* found 4"):
        checkpoints.check_space(a_state(0, 100_000))


def test_what_a_run_has_written_makes_room_for_what_it_will(small_disk):
    checkpoints = Checkpoints(small_disk / "run")
    for step in (1, 2):
        checkpoints.save_last(a_state(step, 60_000), {})
        checkpoints.save_best(a_state(step, 60_000))
    checkpoints.check_space(a_state(0, 60_000))


def test_a_disk_that_fills_up_keeps_the_last_good_checkpoint(small_disk):
    checkpoints = Checkpoints(small_disk / "run")
    checkpoints.save_last(a_state(3, 60_000), {"epoch": 3})
    free = shutil.disk_usage(small_disk).free
    (small_disk / "others").write_bytes(bytes(free - 100_000))
    with pytest.raises(InputError) as told:
        checkpoints.save_last(a_state(6, 60_000), {"epoch": 6})
    message = str(told.value)
    assert message.startswith(f"{small_disk / 'run' / 'last' / '6'}: cannot be written: ")
    assert message.endswith("the checkpoints before it are whole")
    (small_disk / "others").unlink()
    again = Checkpoints(small_disk / "run")
    state, loop = again.restore_last(a_state(0, 60_000))
    assert loop == {"epoch": 3}
    jax.tree.map(np.testing.assert_array_equal, state, a_state(3, 60_000))
    again.save_last(a_state(6, 60_000), {"epoch": 6})
    assert again.restore_last(a_state(0, 60_000))[1] == {"epoch": 6}


def test_a_disk_that_fills_up_elsewhere_ends_the_command(small_disk, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["experiments/train.py", "--seed", "1"])
    status = execute(lambda _: write_bytes_atomic(small_disk / "page", bytes(5_000_000)))
    assert status == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: No space left on device",
        "nothing saved was lost; go on with: python experiments/train.py --seed 1 --resume",
    ]
    assert list(small_disk.iterdir()) == []


def test_two_runs_in_one_folder_are_refused(tmp_path):
    folder = tmp_path / "run"
    with (
        open_folder(folder, False, SETTINGS, [], SILENT),
        pytest.raises(InputError, match="run: another run is at work there"),
        open_folder(folder, True, SETTINGS, [], SILENT),
    ):
        pass
    with open_folder(folder, True, SETTINGS, [], SILENT) as again:
        assert again == folder


def test_a_folder_that_was_only_opened_is_still_empty(tmp_path):
    folder = tmp_path / "run"
    with open_folder(folder, False, SETTINGS, [], SILENT):
        (folder / "config.json").unlink()
    with open_folder(folder, False, SETTINGS, [], SILENT) as again:
        assert again == folder


def test_a_run_that_ended_before_it_saved_anything_leaves_its_folder_free(tmp_path):
    folder = tmp_path / "run"
    with open_folder(str(folder), False, SETTINGS, ["seed"], SILENT):
        (folder / "checkpoints" / "last").mkdir(parents=True)
    for resume in (False, True):
        with open_folder(folder, resume, {**SETTINGS, "seed": 7}, ["seed"], SILENT) as again:
            assert json.loads((again / "config.json").read_text())["seed"] == 7
    (folder / "checkpoints" / "last" / "state").write_text("weights")
    with pytest.raises(InputError, match="expected a new or empty folder, found another run"):
        check_free(folder, resume=False)
    check_free(folder, resume=True)


def test_a_folder_that_cannot_be_written_to_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="file/run: expected a folder that can be written to"),
        open_folder(tmp_path / "file" / "run", False, SETTINGS, [], SILENT),
    ):
        pass
