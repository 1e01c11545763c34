"""Environment of a command: an output of any encoding, and a folder for the caches of libraries."""

import contextlib
import io
import os
import stat
import sys
import tempfile
from pathlib import Path

# Folders where librosa, Numba and Matplotlib keep compiled code and lists of fonts.
_CACHES = ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")


def prepare() -> None:
    """Prepares a process for a command, before libraries are imported.

    What standard output cannot encode is printed escaped, because a dash in a table must not end a
    run. If there is no home folder, or its caches cannot be written to, as in containers, libraries
    get a temporary folder, because some cannot be imported without one.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if _has_cache_folder():
        return
    try:
        folder = _private_folder()
    except OSError:
        return  # nothing can be written anywhere
    for name in _CACHES:
        os.environ[name] = str(folder)


def _has_cache_folder() -> bool:
    """Returns True if the user's folder of caches exists or can be made, and can be written to."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _private_folder() -> Path:
    """Returns a temporary folder of this user, the same one for every process.

    What is read from it may be run, such as compiled programs. So it is used only if it belongs to
    this user and nobody else can write to it.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    folder = Path(tempfile.gettempdir()) / f"serjax-{user}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    is_private = stat.S_IMODE(status.st_mode) == 0o700 and status.st_uid == user
    if stat.S_ISDIR(status.st_mode) and is_private:
        return folder
    return Path(tempfile.mkdtemp(prefix=f"serjax-{user}-"))
