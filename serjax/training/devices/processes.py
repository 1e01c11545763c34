"""Several processes, on one host or several, that train one network.

Every process holds the corpus and computes the shards of each batch that lie on its devices. Only
the first process reads and writes the run folder and prints, and it broadcasts its results to the
others, so that no disk needs to be shared. An error of any process ends all of them.
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

from serjax.errors import InputError, first_line

T = TypeVar("T")

_JOIN_SECONDS = 120
# All processes end together; one that fails by itself ends the others after this time.
_LEAVE_SECONDS = 60
_BLOCK_BYTES = 1024
_BLOCKS_AT_ONCE = 2**16


def join(arguments: Sequence[str] = (), seconds: int = _JOIN_SECONDS) -> None:
    """Joins the other processes. It must be called before a device is used.

    Args:
        arguments: HOST:PORT of the first process, the number of processes, and the number of this
            one, from 0. Empty: JAX reads them from SLURM, Open MPI, Kubernetes or a TPU pod.
        seconds: Seconds to wait for the other processes.

    Raises:
        InputError: A number is wrong, the first process does not answer, or the environment does
            not name the processes.
    """
    settings: dict[str, Any] = {}
    if arguments:
        address, count, number = _parse(arguments)
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
    # Its handler of SIGTERM would keep a run alive that is not training yet.
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


def _parse(arguments: Sequence[str]) -> tuple[str, int, int]:
    """Returns the address of the first process, the number of processes, and that of this one."""
    if len(arguments) != 3 or not (arguments[1].isdigit() and arguments[2].isdigit()):
        raise InputError(
            "--distributed: expected nothing, or COORDINATOR PROCESSES PROCESS such as "
            f"localhost:9000 2 0, found {' '.join(arguments)}"
        )
    address, count, number = arguments[0], int(arguments[1]), int(arguments[2])
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
    """Raises InputError if another process listens at this host's port."""
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
    """Waits until the first process listens, because JAX aborts if it cannot connect."""
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
    """Returns True in the process that writes and prints: the first one, or the only one."""
    return jax.process_index() == 0


def gather(*values: int) -> np.ndarray:
    """Gathers numbers of all processes. Every process must call it.

    Args:
        *values: Numbers of this process.

    Returns:
        Numbers of all processes, int32 `[processes, values]`.
    """
    with jax.transfer_guard("allow"):
        gathered = multihost_utils.process_allgather(np.array(values, np.int32))
    return gathered.reshape(jax.process_count(), -1)


def _broadcast(value: Any, source: int) -> Any:
    """Sends a value of one process to all of them."""
    is_source = jax.process_index() == source
    content = pickle.dumps(value) if is_source else b""
    blocks = int(gather(-(-len(content) // _BLOCK_BYTES)).max())
    # A pickle marks its own end, so the padding does not matter.
    content = content.ljust(blocks * _BLOCK_BYTES if is_source else 0, b"\0")
    received = []
    for first in range(0, blocks, _BLOCKS_AT_ONCE):
        size = min(_BLOCKS_AT_ONCE, blocks - first) * _BLOCK_BYTES
        chunk = np.zeros(size, np.uint8)
        if is_source:
            chunk = np.frombuffer(content, np.uint8, size, first * _BLOCK_BYTES)
        with jax.transfer_guard("allow"):
            chunk = multihost_utils.broadcast_one_to_all(chunk, is_source=is_source)
        received.append(chunk.tobytes())
    return pickle.loads(b"".join(received))


def by_all(action: Callable[[], T]) -> T:
    """Runs an action in every process; if it fails in one, it fails in all.

    Args:
        action: Action.

    Returns:
        The result of this process.

    Raises:
        Exception: The action raised it in this process.
        InputError: The action failed in another process; the message is the first line of its
            error.
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
        line = "" if error is None else first_line(error)
        line = _broadcast(line, int(failed[0]))
        raise error or InputError(f"process {failed[0]}: {line}")
    return results[0]


def by_first(action: Callable[[], T]) -> T:
    """Runs an action in the first process only, such as reading and writing the run folder.

    Args:
        action: Action whose result can be pickled; its arrays are NumPy's.

    Returns:
        The result of the first process, in all processes.

    Raises:
        Exception: The action raised it, see `by_all`.
    """
    if jax.process_count() == 1:
        return action()
    return _broadcast(by_all(lambda: action() if is_first() else None), 0)


def check_same(what: str, *contents: Any) -> None:
    """Checks that all processes have the same texts or arrays.

    Args:
        what: Name of the contents in the error message.
        *contents: Texts, or NumPy arrays.

    Raises:
        InputError: A process has others than the first one.
    """
    checksum = 0
    for content in contents:
        is_text = isinstance(content, str)
        checksum = zlib.crc32(
            content.encode() if is_text else np.ascontiguousarray(content).data, checksum
        )
    checksums = gather(checksum - 2**31)
    different = np.flatnonzero((checksums != checksums[0]).any(1))
    if len(different):
        raise InputError(f"{what}: expected that of process 0, found another at {different[0]}")
