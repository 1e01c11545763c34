"""Execution of the commands that train: processes, compiled programs, and interruption."""

import errno
import shlex
from collections.abc import Callable, Sequence

from serjax.cli.parser import command_line
from serjax.console import print_error

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def execute(job: Callable[[list[str]], object], processes: Sequence[str] | None = None) -> int:
    """Executes a job, and says how to resume it if it is stopped.

    Args:
        job: Function that is called with the command as it was typed.
        processes: Values of `--distributed`; None: this process trains by itself.

    Returns:
        Exit status: 128 and the signal's number after SIGINT or SIGTERM, 1 if the loss diverged or
        the disk is full.
    """
    from serjax.ops.cpu import use_threaded_convolutions
    from serjax.training.devices.compilation_cache import enable_compilation_cache
    from serjax.training.devices.processes import join
    from serjax.training.loop import DivergedError, InterruptedRunError

    use_threaded_convolutions()
    enable_compilation_cache()
    if processes is not None:
        join(processes)
    command = command_line()
    resuming = command if "--resume" in command else [*command, "--resume"]
    try:
        job(command)
    except (InterruptedRunError, KeyboardInterrupt) as stop:
        reason = str(stop) or "interrupted"
        print_error(f"{reason}; resume with: {shlex.join(resuming)}")
        return 128 + (stop.signal_number if isinstance(stop, InterruptedRunError) else 2)
    except DivergedError as error:
        print_error(f"error: {error}")
        return 1
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print_error(f"error: {where}{error.strerror}")
        print_error(f"nothing saved was lost; resume with: {shlex.join(resuming)}")
        return 1
    return 0
