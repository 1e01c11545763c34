"""The persistent compilation cache, so that a second run starts at once."""

import os
from pathlib import Path

import jax


def enable_compilation_cache() -> None:
    """Keeps compiled programs in `~/.cache/serjax`, unless JAX_COMPILATION_CACHE_DIR says where.

    For commands, at their start; a library that is imported leaves JAX's settings alone.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "serjax" / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
