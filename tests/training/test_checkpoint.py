"""Checkpoints of a run: what they restore, and damaged, foreign and full disks."""

import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax.cli import execution
from serjax.errors import InputError
from serjax.files import write_bytes_atomic
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.state import state_of

# Orbax does not finish reading the other files of a damaged checkpoint.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def make_state(step, size=1000):
    """Makes a state of random parameters, which follow from the step and do not compress."""
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


def test_the_last_two_states_and_best_variables_are_retained(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (3, 6, 9):
        checkpoints.save_best(make_state(step))
        checkpoints.save_last(make_state(step), {"epoch": step})
    assert steps(tmp_path, "last") == steps(tmp_path, "best") == [6, 9]
    state, loop = Checkpoints(tmp_path).restore_last(make_state(0))
    assert loop == {"epoch": 9}
    jax.tree.map(np.testing.assert_array_equal, state, make_state(9))
    best = checkpoints.restore_best(make_state(0).variables, 6)
    np.testing.assert_array_equal(best["params"]["kernel"], make_state(6).params["kernel"])


def test_without_checkpoints_nothing_is_restored(tmp_path):
    assert Checkpoints(tmp_path).restore_last(make_state(0)) is None
    with pytest.raises(InputError, match="best: expected a checkpoint of step 5, found none"):
        Checkpoints(tmp_path).restore_best(make_state(0).variables, 5)


def damage(folder):
    """Cuts the largest file below a folder to half its length."""
    largest = max(folder.rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    content = largest.read_bytes()
    largest.write_bytes(content[: len(content) // 2])


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_is_offered(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (3, 6):
        checkpoints.save_last(make_state(step, 100_000), {"epoch": step})
    damage(tmp_path / "last" / "6")
    with pytest.raises(InputError) as refused:
        Checkpoints(tmp_path).restore_last(make_state(0, 100_000))
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'last' / '6'}: not a checkpoint of this model, or a")
    assert message.endswith("without that folder, step 3 is used")
    assert "\n" not in message
    (tmp_path / "last" / "6").rename(tmp_path / "damaged")
    state, loop = Checkpoints(tmp_path).restore_last(make_state(0, 100_000))
    assert (int(state.step), loop) == (3, {"epoch": 3})


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    Checkpoints(tmp_path).save_last(make_state(3), {})
    with pytest.raises(InputError, match="last/3: not a checkpoint of this model"):
        Checkpoints(tmp_path).restore_last(make_state(0, 999))


def test_a_disk_without_room_is_reported_before_training(small_disk):
    checkpoints = Checkpoints(small_disk / "run")
    checkpoints.check_space(make_state(0, 10_000))
    with pytest.raises(InputError, match=r"run: expected 5 MiB of free disk .* found 4"):
        checkpoints.check_space(make_state(0, 100_000))


def test_checkpoints_that_will_be_replaced_count_as_free(small_disk):
    checkpoints = Checkpoints(small_disk / "run")
    for step in (1, 2):
        checkpoints.save_last(make_state(step, 60_000), {})
        checkpoints.save_best(make_state(step, 60_000))
    checkpoints.check_space(make_state(0, 60_000))


def test_a_disk_that_fills_up_keeps_the_last_good_checkpoint(small_disk):
    checkpoints = Checkpoints(small_disk / "run")
    checkpoints.save_last(make_state(3, 60_000), {"epoch": 3})
    free = shutil.disk_usage(small_disk).free
    (small_disk / "others").write_bytes(bytes(free - 100_000))
    with pytest.raises(InputError) as refused:
        checkpoints.save_last(make_state(6, 60_000), {"epoch": 6})
    message = str(refused.value)
    assert message.startswith(f"{small_disk / 'run' / 'last' / '6'}: cannot be written: ")
    assert message.endswith("the checkpoints before it are complete")
    (small_disk / "others").unlink()
    reopened = Checkpoints(small_disk / "run")
    state, loop = reopened.restore_last(make_state(0, 60_000))
    assert loop == {"epoch": 3}
    jax.tree.map(np.testing.assert_array_equal, state, make_state(3, 60_000))
    reopened.save_last(make_state(6, 60_000), {"epoch": 6})
    assert reopened.restore_last(make_state(0, 60_000))[1] == {"epoch": 6}


def test_a_full_disk_ends_a_command(small_disk, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["experiments/train.py", "--seed", "1"])
    status = execution.execute(lambda _: write_bytes_atomic(small_disk / "page", bytes(5_000_000)))
    assert status == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: No space left on device",
        "nothing saved was lost; resume with: python experiments/train.py --seed 1 --resume",
    ]
    assert list(small_disk.iterdir()) == []
