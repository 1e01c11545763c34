"""Several processes, on one host or many, that train as one.

Every process holds the corpus and computes the part of each batch that is its devices'. The first
one alone writes the run folder, reads it, and prints; what it alone knows, it tells the others. So
no disk needs to be shared. An error of any process ends all of them.
"""

import pickle
import socket
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from serjax.errors import InputError

T = TypeVar("T")

_JOIN_SECONDS = 120
# All end together; one that fails by itself ends the others after so long.
_LEAVE_SECONDS = 60
_BLOCK_BYTES = 1024
_BLOCKS_AT_ONCE = 2**16


def join(where: Sequence[str] = (), seconds: int = _JOIN_SECONDS) -> None:
    """Joins the other processes; before anything touches a device.

    Args:
        where: HOST:PORT of the first process, the number of processes, and this one's, from 0.
            Empty: as JAX learns it from SLURM, Open MPI, Kubernetes or a TPU pod.
        seconds: How long the others are waited for.

    Raises:
        InputError: A wrong number, a coordinator that does not answer, or an environment that
            says nothing.
    """
    settings: dict[str, Any] = {}
    if where:
        address, count, number = _numbers(where)
        if number == 0:
            _check_free(address)
        else:
            _wait_for(address, seconds)
        settings = {
            "coordinator_address": address,
            "num_processes": count,
            "process_id": number,
            "cluster_detection_method": "deactivate",
        }
    # The service has a handler of SIGTERM, which would keep a run that is not training yet alive.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            **settings, initialization_timeout=seconds, shutdown_timeout_seconds=_LEAVE_SECONDS
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            "--distributed: expected SLURM, Open MPI, Kubernetes, or COORDINATOR PROCESSES "
            f"PROCESS; found: {str(error).splitlines()[0]}"
        ) from error


def _numbers(where: Sequence[str]) -> tuple[str, int, int]:
    """Address, number of processes, and this one's."""
    if len(where) != 3 or not (where[1].isdigit() and where[2].isdigit()):
        raise InputError(
            "--distributed: expected nothing, or COORDINATOR PROCESSES PROCESS such as "
            f"localhost:9000 2 0, found {' '.join(where)}"
        )
    address, count, number = where[0], int(where[1]), int(where[2])
    if not address.rpartition(":")[0] or not address.rpartition(":")[2].isdigit():
        raise InputError(f"--distributed: expected HOST:PORT of process 0, found {address!r}")
    if number >= count:
        raise InputError(
            f"--distributed: expected a process from 0 to {count - 1}, for there are {count}, "
            f"found {number}"
        )
    return address, count, number


def _endpoint(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _check_free(address: str) -> None:
    """Raises InputError where another process listens at this host's port."""
    port = _endpoint(address)[1]
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError as error:
            raise InputError(
                f"--distributed: expected port {port} free for process 0, found: {error.strerror}; "
                "there is one process 0"
            ) from error


def _wait_for(address: str, seconds: float) -> None:
    """Waits until the first process listens; JAX's own failure to connect ends in an abort."""
    end = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(_endpoint(address), timeout=max(seconds, 1.0)):
                return
        except OSError as error:
            if time.monotonic() > end:
                raise InputError(
                    f"--distributed: expected process 0 at {address}, found: "
                    f"{error.strerror or error}, for {seconds} s"
                ) from error
        time.sleep(0.2)


def is_first() -> bool:
    """Whether this is the process that writes and prints; the only one is."""
    return jax.process_index() == 0


def gather(*values: int) -> np.ndarray:
    """What every process has, int32 `[processes, values]`; all must call it."""
    with jax.transfer_guard("allow"):
        every = multihost_utils.process_allgather(np.array(values, np.int32))
    return every.reshape(jax.process_count(), -1)


def _tell(value: Any, source: int) -> Any:
    """The value that one process has, at all of them."""
    mine = jax.process_index() == source
    content = pickle.dumps(value) if mine else b""
    blocks = int(gather(-(-len(content) // _BLOCK_BYTES)).max())
    # What is filled up follows the end that a pickle marks itself.
    content = content.ljust(blocks * _BLOCK_BYTES if mine else 0, b"\0")
    told = []
    for first in range(0, blocks, _BLOCKS_AT_ONCE):
        size = min(_BLOCKS_AT_ONCE, blocks - first) * _BLOCK_BYTES
        part = np.zeros(size, np.uint8)
        if mine:
            part = np.frombuffer(content, np.uint8, size, first * _BLOCK_BYTES)
        with jax.transfer_guard("allow"):
            told.append(multihost_utils.broadcast_one_to_all(part, is_source=mine).tobytes())
    return pickle.loads(b"".join(told))


def by_all(action: Callable[[], T]) -> T:
    """Does what every process does for itself.

    Returns:
        This process's own result.

    Raises:
        Exception: What the action raised here.
        InputError: What it raised at another process, in a line.
    """
    if jax.process_count() == 1:
        return action()
    results: list[T] = []
    error = None
    try:
        results.append(action())
    except Exception as raised:
        error = raised
    failed = np.flatnonzero(gather(error is not None).any(1))
    if len(failed):
        line = (str(error).splitlines() or [type(error).__name__])[0]
        line = _tell(line, int(failed[0]))
        raise error or InputError(f"process {failed[0]}: {line}")
    return results[0]


def by_first(action: Callable[[], T]) -> T:
    """Does what the first process does for all, such as reading and writing the run folder.

    Args:
        action: Its result can be pickled; arrays are NumPy's.

    Returns:
        The first process's result.

    Raises:
        Exception: As `by_all`.
    """
    if jax.process_count() == 1:
        return action()
    return _tell(by_all(lambda: action() if is_first() else None), 0)


def check_same(what: str, *contents: Any) -> None:
    """Raises InputError where processes do not have the same text or arrays.

    Args:
        what: Named in the error.
        *contents: Strings, or arrays of NumPy.
    """
    checksum = 0
    for content in contents:
        is_text = isinstance(content, str)
        checksum = zlib.crc32(
            content.encode() if is_text else np.ascontiguousarray(content).data, checksum
        )
    found = gather(checksum - 2**31)
    other = np.flatnonzero((found != found[0]).any(1))
    if len(other):
        raise InputError(f"{what}: expected that of process 0, found another at {other[0]}")
