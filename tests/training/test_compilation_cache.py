"""Folder of the persistent compilation cache."""

import jax
import pytest

from serjax.training.devices.compilation_cache import enable_compilation_cache


@pytest.fixture
def settings(monkeypatch):
    """Settings of JAX as they are recorded instead of applied."""
    changed = {}
    monkeypatch.setattr(jax.config, "update", changed.__setitem__)
    return changed


def test_programs_lie_in_the_users_cache(settings, monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    enable_compilation_cache()
    assert settings["jax_compilation_cache_dir"] == str(tmp_path / "serjax" / "jax")


def test_a_folder_of_the_user_stays(settings, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    enable_compilation_cache()
    assert "jax_compilation_cache_dir" not in settings
