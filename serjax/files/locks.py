"""Locks of folders, so that two processes do not write to the same one."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import filelock

from serjax.errors import InputError

# What file systems without locks answer, such as some of networks and of FUSE.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


class LockedError(InputError):
    """Error for a lock that another process holds."""


@contextlib.contextmanager
def locked(path: Path, busy: str, timeout: float = 0.0) -> Iterator[None]:
    """Holds a lock within a context; the operating system unlocks it if this process is killed.

    On a file system without locks nothing is locked, because a run must work there too.

    Args:
        path: Lock file, in an existing folder; it stays there.
        busy: Message of the error if another process holds the lock.
        timeout: Seconds to wait until it is free; -1: any time.

    Raises:
        LockedError: Another process holds the lock.
        OSError: The lock file cannot be made.
    """
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except filelock.Timeout:
        raise LockedError(busy) from None
    except NotImplementedError:  # of earlier versions of filelock
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()
