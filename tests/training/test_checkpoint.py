"""Checkpoints of a run: what they restore, and damaged, foreign and full disks."""

import errno
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax.cli import execution, parser
from serjax.errors import InputError
from serjax.files import write_bytes_atomic
from serjax.training.optimization.divergence import DivergedError
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


def flipped(folder, generator):
    """Flips a bit of the largest file below a folder; returns the former content and its path."""
    largest = max(folder.rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    content = largest.read_bytes()
    at = int(generator.integers(len(content)))
    changed = bytearray(content)
    changed[at] ^= 1 << int(generator.integers(8))
    largest.write_bytes(bytes(changed))
    return largest, content


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_flipped_bit_is_noticed(tmp_path, name):
    checkpoints = Checkpoints(tmp_path)
    for step in (3, 6):
        checkpoints.save_best(make_state(step))
        checkpoints.save_last(make_state(step), {"best_step": step})

    def read():
        if name == "last":
            return checkpoints.restore_last(make_state(0))[0].params
        return checkpoints.restore_best(make_state(0).variables, 6)["params"]

    expected = jax.tree.map(np.asarray, read())
    generator, noticed = np.random.default_rng(0), 0
    for _ in range(20):
        path, content = flipped(tmp_path / name / "6", generator)
        try:
            jax.tree.map(np.testing.assert_array_equal, read(), expected)
        except InputError as error:
            message = str(error)
            assert message.startswith(
                f"{tmp_path / name / '6'}: not a checkpoint of this model, or"
            )
            assert "\n" not in message
            assert "step 3" in message
            noticed += 1
        path.write_bytes(content)
    assert noticed >= 18  # the others lie between the arrays


def test_other_content_in_place_of_an_array_is_named(tmp_path):
    Checkpoints(tmp_path).save_last(make_state(3), {})
    Checkpoints(tmp_path / "other").save_last(make_state(4).replace(step=jnp.int32(3)), {})
    shutil.rmtree(tmp_path / "last/3/state")
    shutil.copytree(tmp_path / "other/last/3/state", tmp_path / "last/3/state")
    with pytest.raises(InputError, match="state: params/kernel: expected the content, dtype and"):
        Checkpoints(tmp_path).restore_last(make_state(0))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "loop/metadata").write_text('{"epoch": 4}'),
        lambda folder: (folder / "hashes/metadata").write_text("{}"),
        lambda folder: (folder / "hashes/metadata").write_text("["),
        lambda folder: shutil.rmtree(folder / "hashes"),
        lambda folder: (folder / "state/_METADATA").write_text("{}"),
    ],
)
def test_changed_parts_of_a_checkpoint_are_noticed(tmp_path, change):
    Checkpoints(tmp_path).save_last(make_state(3), {"epoch": 3})
    change(tmp_path / "last" / "3")
    with pytest.raises(InputError, match="last/3: not a checkpoint of this model, or a damaged"):
        Checkpoints(tmp_path).restore_last(make_state(0))


def test_a_huge_shape_asks_for_no_memory(tmp_path):
    Checkpoints(tmp_path).save_best(make_state(3))
    like = {"params": {"kernel": jax.ShapeDtypeStruct((10**15,), jnp.float32)}, "batch_stats": {}}
    with pytest.raises(InputError, match=r"shape \(1000000000000000,\), found \(1000,\)"):
        Checkpoints(tmp_path).restore_best(like, 3)


def test_a_loop_of_another_version_is_refused(tmp_path):
    Checkpoints(tmp_path).save_last(make_state(3), {"epoch": 3})
    with pytest.raises(InputError, match=r"last/3: loop\.epoch: expected a text, fo"):
        Checkpoints(tmp_path).restore_last(make_state(0), dict[str, str])


@pytest.mark.parametrize("saved_last", [True, False])
def test_best_variables_that_no_state_names_are_dropped(tmp_path, saved_last):
    """A kill between the two saves leaves them; a resumed run may be best at an earlier step."""
    checkpoints = Checkpoints(tmp_path)
    if saved_last:
        checkpoints.save_best(make_state(3))
        checkpoints.save_last(make_state(3), {})
    checkpoints.save_best(make_state(9))
    resumed = Checkpoints(tmp_path)
    assert (resumed.restore_last(make_state(0)) is None) is not saved_last
    assert steps(tmp_path, "best") == [3] * saved_last
    resumed.save_best(make_state(6))
    best = resumed.restore_best(make_state(0).variables, 6)
    np.testing.assert_array_equal(best["params"]["kernel"], make_state(6).params["kernel"])


def test_later_checkpoints_do_not_keep_an_earlier_step_from_being_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (9, 6, 6):
        checkpoints.save_last(make_state(step), {"epoch": step})
        checkpoints.save_best(make_state(step))
    assert steps(tmp_path, "last") == steps(tmp_path, "best") == [6]


def test_incomplete_checkpoints_of_a_killed_process_are_deleted(tmp_path):
    left = tmp_path / "last" / "3.orbax-checkpoint-tmp"
    (left / "state").mkdir(parents=True)
    assert Checkpoints(tmp_path).restore_last(make_state(0)) is None
    Checkpoints(tmp_path).save_last(make_state(6), {})
    assert [path.name for path in (tmp_path / "last").iterdir()] == ["6"]


def test_what_orbax_does_not_save_is_an_error(tmp_path, monkeypatch):
    import orbax.checkpoint

    monkeypatch.setattr(orbax.checkpoint.CheckpointManager, "save", lambda *_, **__: False)
    with pytest.raises(InputError, match="best/3: cannot be written"):
        Checkpoints(tmp_path).save_best(make_state(3))


def test_reading_writes_nothing(tmp_path):
    Checkpoints(tmp_path).save_best(make_state(3))
    shutil.rmtree(tmp_path / "last")
    before = {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]}
    Checkpoints(tmp_path).restore_best(make_state(0).variables, 3)
    after = {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]}
    assert after == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_not_saved(tmp_path, value):
    state = make_state(3)
    bad = state.replace(params={"kernel": state.params["kernel"].at[7].set(value)})
    for save in (Checkpoints(tmp_path).save_best, lambda s: Checkpoints(tmp_path).save_last(s, {})):
        with pytest.raises(DivergedError, match=f"found {value} in params/kernel of the state at"):
            save(bad)
    assert not list(tmp_path.rglob("3"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "run/page"),
        OSError(errno.EROFS, "Read-only file system", "run/page"),
        PermissionError(errno.EACCES, "Permission denied", "run/page"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "run/page"),
        OSError(errno.EIO, "Input/output error", "run/page"),
    ],
)
def test_an_error_of_the_system_ends_a_command_in_lines(monkeypatch, capsys, error):
    monkeypatch.setattr(sys, "argv", ["experiments/train.py", "--seed", "1"])

    def job(command):
        raise error

    with pytest.raises(SystemExit) as ended:
        parser.run_command(lambda: execution.execute(job))
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        f"error: run/page: {error.strerror}",
        "nothing saved was lost; resume with: python experiments/train.py --seed 1 --resume",
    ]


def test_a_full_disk_leaves_no_partial_file(small_disk):
    with pytest.raises(OSError, match="No space left"):
        write_bytes_atomic(small_disk / "page", bytes(5_000_000))
    assert list(small_disk.iterdir()) == []
