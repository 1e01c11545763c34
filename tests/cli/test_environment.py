"""Environment of a command: without a home folder, and with one that cannot be written to."""

import os
import stat
from pathlib import Path

import jax
import pytest

from serjax.cli import environment
from serjax.training.devices.compilation_cache import enable_compilation_cache

CACHES = ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")


@pytest.fixture(autouse=True)
def variables(monkeypatch, tmp_path):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for name in (*CACHES, "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.setenv(name, "")  # what the test sets is undone
        monkeypatch.delenv(name)


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("kind", ["none", "a file", "below a file"])
def test_libraries_get_a_private_folder_where_there_is_no_home(monkeypatch, tmp_path, kind):
    (tmp_path / "file").touch()
    homes = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "home"}
    monkeypatch.setattr(Path, "home", lambda: homes[kind] if kind in homes else _no_home())
    environment.prepare()
    folders = {os.environ[name] for name in CACHES}
    assert len(folders) == 1
    folder = Path(folders.pop())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.parent == tmp_path / "temporary"
    for name in CACHES:
        monkeypatch.delenv(name)
    environment.prepare()
    assert os.environ["XDG_CACHE_HOME"] == str(folder)  # the next command finds its caches


@pytest.mark.parametrize("kind", ["link", "file", "open to others", "of another user"])
def test_a_temporary_folder_of_somebody_else_is_not_used(monkeypatch, tmp_path, kind):
    taken = tmp_path / "temporary" / f"serjax-{os.geteuid()}"
    if kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        taken.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        taken.touch(mode=0o700)
    else:
        taken.mkdir(mode=0o777 if kind == "open to others" else 0o700)
    if kind == "open to others":
        taken.chmod(0o777)
    if kind == "of another user":
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        (tmp_path / "temporary" / "serjax-12345").mkdir(mode=0o700)
    monkeypatch.setattr(Path, "home", _no_home)
    environment.prepare()
    folders = {os.environ.get(name) for name in CACHES}
    assert not folders & {None, str(taken), str(tmp_path / "temporary" / "serjax-12345")}


def test_a_home_that_can_be_written_to_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    environment.prepare()
    assert not {*CACHES} & {*os.environ}
    assert (tmp_path / ".cache").is_dir()


def test_nothing_at_all_can_be_written(monkeypatch):
    def full():
        raise FileNotFoundError("no usable temporary folder")

    monkeypatch.setattr(Path, "home", _no_home)
    monkeypatch.setattr("tempfile.gettempdir", full)
    environment.prepare()
    assert not {*CACHES} & {*os.environ}


def test_compiled_programs_are_not_stored_without_a_home(monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setattr(Path, "home", _no_home)
    enable_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == before
