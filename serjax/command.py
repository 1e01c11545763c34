"""What all commands share: errors without tracebacks, and values given as KEY=VALUE."""

import argparse
import ast
import sys
from collections.abc import Callable
from typing import Any

from serjax.errors import InputError


def key_value(text: str) -> tuple[str, Any]:
    """Reads `KEY=VALUE` for argparse; the value is a Python literal, or else a string."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, found {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


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
