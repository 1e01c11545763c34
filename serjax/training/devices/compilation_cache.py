"""Persistent compilation cache, so that a second run starts without compiling."""

import os
from pathlib import Path

import jax


def enable_compilation_cache() -> None:
    """Stores compiled programs in `~/.cache/serjax`, or in JAX_COMPILATION_CACHE_DIR if it is set.

    Commands call it at their start. Importing the library does not change JAX's settings.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "serjax" / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
