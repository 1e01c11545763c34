"""Persistent compilation cache, so that a second run starts without compiling."""

import os
from pathlib import Path

import jax


def enable_compilation_cache() -> None:
    """Stores compiled programs in `~/.cache/serjax`, or in JAX_COMPILATION_CACHE_DIR if it is set.

    Without a home folder programs are not stored, but compiled by every run: a folder that others
    can write to would be no substitute, because a compiled program is run as it is read.

    Commands call it at their start. Importing the library does not change JAX's settings.
    """
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # there is no home folder
        return
    jax.config.update("jax_compilation_cache_dir", str(cache / "serjax" / "jax"))
