"""Locks: exclusive, and no obstacle on file systems that have none."""

import errno
import subprocess
import sys

import pytest

from serjax.errors import InputError
from serjax.files.locks import locked


def test_a_second_holder_is_refused(tmp_path):
    path = tmp_path / ".lock"
    with locked(path, "busy"), pytest.raises(InputError, match="busy"), locked(path, "busy"):
        pass
    with locked(path, "busy"):
        pass


def test_a_killed_holder_unlocks(tmp_path):
    program = (
        "import os, sys, pathlib\n"
        "from serjax.files.locks import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 'busy'):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / ".lock"
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert path.exists()
    with locked(path, "busy"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="locks of Unix")
@pytest.mark.parametrize(
    "code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL]
)
def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch, code):
    import fcntl

    def refuses(descriptor, operation):
        raise OSError(code, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuses)
    for _ in range(2):
        with locked(tmp_path / ".lock", "busy"):
            pass
