"""What all commands share: errors without tracebacks, and values given as KEY=VALUE."""

import argparse
import ast
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from serjax.errors import InputError, unknown_name


class Parser(argparse.ArgumentParser):
    """The parser of a command: flags in full only, and errors of one line, as all others are.

    Args:
        description: What the command does, printed as it is typed.
        **settings: Of argparse.ArgumentParser.
    """

    def __init__(self, description: str | None, **settings: Any) -> None:
        super().__init__(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **settings,
        )

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """The arguments of the command line.

        Raises:
            InputError: An unknown flag, a value that is not of its kind, or a missing argument.
        """
        given, others = self.parse_known_args(args, namespace)
        for text in others:
            if text.startswith("-"):
                raise InputError(unknown_name("flag", text.partition("=")[0], self._known()))
        if others:
            raise InputError(f"expected flags, found {' '.join(others)!r}; see {self.prog} --help")
        return given

    @contextlib.contextmanager
    def naming_flags(self) -> Iterator[None]:
        """Errors raised within that begin with a field's name begin with its flag instead.

        A flag's field is argparse's `dest`: `batch_size: ...` becomes `--batch-size: ...`.
        """
        try:
            yield
        except InputError as error:
            field = re.match(r"\w+(?=[:,])", str(error))
            flags = {action.dest: action.option_strings for action in self._actions}
            if field is None or not flags.get(field[0]):
                raise
            raise InputError(f"{flags[field[0]][0]}{str(error)[field.end() :]}") from error

    def _known(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]

    def error(self, message: str) -> NoReturn:
        """Raises InputError; called by argparse."""
        raise InputError(f"{message.removeprefix('argument ')}; see {self.prog} --help")


def key_value(text: str) -> tuple[str, Any]:
    """Reads `KEY=VALUE` for argparse; the value is a Python literal, or else a string."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, found {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def keep_memory() -> None:
    """Starts the process over with a C library that keeps freed memory, in huge pages.

    A training step on a CPU takes and returns hundreds of megabytes, and each time the kernel
    clears pages and hands them out anew: with the library's own settings 56,000 page faults and a
    seventh of the time of a step of quat_vgg16 on two cores. So blocks of up to 32 MiB, the most
    that it allows, are kept in the process, and where Linux leaves the choice to the process,
    memory is in huge pages. The settings are read once, at the start of a process, so this is for
    the first lines of a command. A `GLIBC_TUNABLES` of the user's own is left alone.
    """
    if "GLIBC_TUNABLES" in os.environ or not sys.platform.startswith("linux"):
        return
    settings = {"mmap_threshold": 2**25, "trim_threshold": 2**34}
    choice = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    try:
        if "[madvise]" in choice.read_text():
            settings["hugetlb"] = 1
    except OSError:
        pass  # a kernel without
    tunables = ":".join(f"glibc.malloc.{name}={value}" for name, value in settings.items())
    environment = {**os.environ, "GLIBC_TUNABLES": tunables}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def run_command(main: Callable[[], int]) -> None:
    """Runs a command and ends the process: an `InputError` is one line and exit status 2."""
    try:
        status = main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # Whoever read the output has had enough; closing quietly is what programs do.
        sys.stderr.close()
        status = 141
    sys.exit(status)
