"""Environment of a command: an output of any encoding, and a folder for the caches of libraries."""

import atexit
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

# Folders where librosa, Numba and Matplotlib keep compiled code and lists of fonts.
_CACHES = ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")


def prepare() -> None:
    """Prepares a process for a command, before libraries are imported.

    What standard output cannot encode is printed escaped, because a dash in a table must not end a
    run. If there is no home folder, or its caches cannot be written to, as in containers, libraries
    get a temporary folder of this process, because some cannot be imported without one.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if _has_cache_folder():
        return
    try:
        folder = tempfile.mkdtemp(prefix="serjax-")
    except OSError:
        return  # nothing can be written anywhere
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in _CACHES:
        os.environ[name] = folder


def _has_cache_folder() -> bool:
    """Returns True if the user's folder of caches exists or can be made, and can be written to."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return False
    return os.access(folder, os.W_OK | os.X_OK)
