"""Server that runs commands in forked processes, which saves their imports.

It reads requests from standard input, one a line: `{"arguments": [...], "folder": DIR, "seconds":
S}`. It runs the command in that folder, kills it by `signal` (SIGKILL) after S seconds unless they
are null, and answers with a line `{"status": N, "seconds": T, "output": TEXT}`; the status of a
killed command is -9.

A fork is sound only while the process has one thread, so the server imports and computes nothing.
To save time, figures are drawn empty and all programs are stored in the compilation cache.
"""

import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

# The beginning of a PNG, with its size.
_EMPTY_FIGURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08"
_MODULES = (
    *("orbax.checkpoint", "matplotlib.figure", "sklearn.svm", "scipy.signal", "librosa"),
    *("array_record.python.array_record_module", "tensorflow_datasets", "grain"),
    *("serjax.cli.train", "serjax.training.single_run", "serjax.protocols", "serjax.rhemo"),
    *("serjax.anti_transfer.sweep", "serjax.recipes.guizzo2023", "serjax.recipes.tiwari"),
    *("serjax.training.run_folder.recognizer", "serjax.data.storage.builder"),
    *("serjax.models.builtin", "serjax.cli.reproduce", "tests.reliability.tiny_network"),
)


def _prepare() -> None:
    """Imports what commands import, but touches no device."""
    for name in _MODULES:
        importlib.import_module(name)
    import jax

    from serjax.report.plots import drawing
    from serjax.training.devices import compilation_cache

    def enable() -> None:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

    compilation_cache.enable_compilation_cache = enable
    drawing._render = lambda figure, kind: _EMPTY_FIGURE


def _run(arguments: list[str]) -> None:
    """Runs a command, and ends the process."""
    from serjax import cli
    from serjax.interruption import exit_on_interrupt

    if arguments[0] == "benchmarks":
        import benchmarks.run

        sys.argv = ["benchmarks/run.py", *arguments[1:]]
        exit_on_interrupt()
        cli.parser.run_command(benchmarks.run.main)
    sys.argv = ["serjax", *arguments]
    cli.main()


def _child(request: dict[str, Any], output: int) -> None:
    os.chdir(request["folder"])
    for stream in (1, 2):
        os.dup2(output, stream)
    status = 99
    try:
        _run(request["arguments"])
    except KeyboardInterrupt:  # before the command began
        status = 130
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _child(request, output.fileno())
        seconds = request["seconds"]
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            if seconds is not None and time.monotonic() - started > seconds:
                os.kill(child, request.get("signal", signal.SIGKILL))
                _, status = os.waitpid(child, 0)
                break
            time.sleep(0.002)
        output.seek(0)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "seconds": time.monotonic() - started,
            "output": output.read(),
        }


def main() -> None:
    os.environ["GLIBC_TUNABLES"] = ""  # a command would start the process again
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads start when NumPy is imported
    _prepare()
    print(len(list(Path("/proc/self/task").iterdir())), flush=True)
    for line in sys.stdin:
        print(json.dumps(_serve(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
