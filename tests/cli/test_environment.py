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
def variables(monkeypatch):
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
    assert not any(folder.iterdir())


def test_a_home_that_can_be_written_to_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    environment.prepare()
    assert not {*CACHES} & {*os.environ}
    assert (tmp_path / ".cache").is_dir()


def test_nothing_at_all_can_be_written(monkeypatch):
    def full(prefix):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "home", _no_home)
    monkeypatch.setattr("tempfile.mkdtemp", full)
    environment.prepare()
    assert not {*CACHES} & {*os.environ}


def test_compiled_programs_are_not_stored_without_a_home(monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setattr(Path, "home", _no_home)
    enable_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == before
