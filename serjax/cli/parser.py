"""Parser of the commands, and how a command starts and ends."""

import argparse
import ast
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from serjax import interruption
from serjax.cli import environment
from serjax.console import print_error
from serjax.errors import InputError, unknown_name


class _Help(argparse.Action):
    """Action that prints the help and ends the process."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **settings)

    def __call__(self, parser: Any, namespace: Any, values: Any, flag: str | None = None) -> None:
        parser.print_help_of(everything=flag == "--help-all")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """Parser of a command: flags in full only, errors of one line, a short and a long help.

    Args:
        description: Description of the command, printed as it is.
        **settings: Settings of `argparse.ArgumentParser`.

    Attributes:
        advanced: Actions that `--help` leaves out and `--help-all` shows.
        paths: Flag of each configuration path, such as "--batch-size" of "optimizer.batch_size".
        completions: Functions that complete the help text of an action in `--help-all`.
    """

    def __init__(self, description: str | None, **settings: Any) -> None:
        super().__init__(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
            usage=settings.pop("usage", "%(prog)s [options]"),
            **settings,
        )
        self.advanced: list[argparse.Action] = []
        self.paths: dict[str, str] = {}
        self.completions: list[Callable[[], None]] = []
        self._help = self.add_argument("-h", "--help", action=_Help, help="Show this help.")

    def print_help_of(self, *, everything: bool) -> None:
        """Prints the help of the common flags, or of all.

        Args:
            everything: Show all flags.
        """
        if everything:
            for complete in self.completions:
                complete()
        hidden = [] if everything else self.advanced
        texts = [action.help for action in hidden]
        for action in hidden:
            action.help = argparse.SUPPRESS
        print(self.format_help(), end="")
        if hidden:
            print(f"\n{self.prog} --help-all shows {len(hidden)} more options.")
        for action, text in zip(hidden, texts, strict=True):
            action.help = text

    def offer_help_of_all(self) -> None:
        """Adds the flag `--help-all`."""
        self.add_argument("--help-all", action=_Help, help="Show all options.")

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """Parses the command line.

        Raises:
            InputError: An unknown flag, a value of another type, or a missing argument.
        """
        arguments, others = self.parse_known_args(args, namespace)
        for text in others:
            if text.startswith("-"):
                raise InputError(unknown_name("flag", text.partition("=")[0], self._known()))
        if others:
            raise InputError(f"expected flags, found {' '.join(others)!r}; see {self.prog} --help")
        return arguments

    @contextlib.contextmanager
    def naming_flags(self) -> Iterator[None]:
        """Within the context, errors that begin with the path of an option name its flag instead.

        `optimizer.batch_size: ...` becomes `--batch-size: ...`.
        """
        try:
            yield
        except InputError as error:
            path = re.match(r"[\w.]+(?=[:,])", str(error))
            flags = {action.dest: action.option_strings[:1] for action in self._actions}
            known: Mapping[str, Sequence[str]] = {
                **flags,
                **{path: [flag] for path, flag in self.paths.items()},
            }
            if path is None or not known.get(path[0]):
                raise
            raise InputError(f"{known[path[0]][0]}{str(error)[path.end() :]}") from error

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


def command_line() -> list[str]:
    """Returns the command as it was typed, for reports and hints."""
    name, *arguments = sys.argv
    return [*(["python", name] if name.endswith(".py") else name.split()), *arguments]


def keep_memory() -> None:
    """Starts the process again with a C library that keeps freed memory, in huge pages.

    A training step on a CPU allocates and frees hundreds of megabytes, and each time the kernel
    clears the pages: with the library's defaults that was 56,000 page faults and a seventh of the
    time of a step of quat_vgg16 on two cores. So blocks of up to 32 MiB, the most that the library
    allows, stay in the process, and where Linux leaves the choice to the process, memory is in huge
    pages. The settings are read once, at the start of a process, so this belongs to the first lines
    of a command. A `GLIBC_TUNABLES` of the user is left as it is.
    """
    if "GLIBC_TUNABLES" in os.environ or not sys.platform.startswith("linux"):
        return
    settings = {"mmap_threshold": 2**25, "trim_threshold": 2**34}
    choice = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    try:
        if "[madvise]" in choice.read_text():
            settings["hugetlb"] = 1
    except OSError:
        pass  # a kernel without huge pages
    tunables = ":".join(f"glibc.malloc.{name}={value}" for name, value in settings.items())
    environment = {**os.environ, "GLIBC_TUNABLES": tunables}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def run_command(main: Callable[[], int]) -> None:
    """Runs a command and ends the process, with a line for each error that the user can fix.

    The exit status is 2 after an `InputError`, 1 if the operating system refuses to read or write,
    or memory is short, and 130 after Ctrl-C.
    """
    environment.prepare()
    try:
        status = main()
    except InputError as error:
        status = _report(error, f"error: {error}", 2)
    except KeyboardInterrupt as error:
        status = _report(error, "interrupted", 130)
    except BrokenPipeError:
        # The reader of the output has closed it; programs then end quietly.
        sys.stderr.close()
        status = 141
    except OSError as error:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        reason = error.strerror or str(error) or type(error).__name__
        status = _report(error, f"error: {': '.join([*names, reason])}", 1)
    except MemoryError as error:
        reason = str(error).partition("\n")[0]
        status = _report(error, f"error: out of memory{f': {reason}' if reason else ''}", 1)
    interruption.end(status)


def _report(error: BaseException, line: str, status: int) -> int:
    """Prints a line and the notes of an error; returns the exit status."""
    for text in (line, *getattr(error, "__notes__", ())):
        print_error(text)
    return status
