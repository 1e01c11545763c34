"""Execution of the commands that train: processes, compiled programs, and interruption."""

import shlex
from collections.abc import Callable, Sequence

from serjax.cli.parser import command_line
from serjax.console import print_error


def execute(job: Callable[[list[str]], object], processes: Sequence[str] | None = None) -> int:
    """Executes a job, and says how to resume it if it is stopped.

    Args:
        job: Function that is called with the command as it was typed.
        processes: Values of `--distributed`; None: this process trains by itself.

    Returns:
        Exit status: 128 and the signal's number after SIGINT or SIGTERM that stopped a run, 1 if
        training diverged.

    Raises:
        OSError: The operating system refused to read or write, with a note on how to resume.
        KeyboardInterrupt: Ctrl-C, with the same note.
    """
    from serjax.interruption import InterruptedRunError, advise
    from serjax.ops.cpu import use_threaded_convolutions
    from serjax.training.devices.compilation_cache import enable_compilation_cache
    from serjax.training.devices.processes import join
    from serjax.training.optimization.divergence import DivergedError

    use_threaded_convolutions()
    enable_compilation_cache()
    if processes is not None:
        join(processes)
    command = command_line()
    resuming = command if "--resume" in command else [*command, "--resume"]
    advice = f"nothing saved was lost; resume with: {shlex.join(resuming)}"
    advise(advice)
    try:
        job(command)
    except InterruptedRunError as stop:
        print_error(f"{stop}; resume with: {shlex.join(resuming)}")
        return 128 + stop.signal_number
    except DivergedError as error:
        print_error(f"error: {error}")
        return 1
    except (OSError, MemoryError, KeyboardInterrupt) as error:
        # `run_command` prints it after the error itself, as for commands that do not train.
        error.add_note(advice)
        raise
    return 0
