"""Errors that a user can mend, and suggestions for names that were almost right."""

import difflib
from collections.abc import Iterable

_MANY = 20
_FEW = 5


class InputError(ValueError):
    """Input that the user can mend: a file, a flag, a name, a shape.

    The message is one or two lines that name the thing, what was expected and what was found.
    Commands print it without a traceback and end with exit status 2.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Message for a name that is not among `known`, with the nearest one suggested.

    Args:
        kind: What is named, such as "model".
        name: What was given.
        known: The names that exist.

    Returns:
        One line: the unknown name, the nearest known one if any is near, and all of them, or of
        many the nearest few.
    """
    known = list(known)
    near = difflib.get_close_matches(name.lower(), known, n=_FEW, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    if len(known) <= _MANY:
        return f"unknown {kind} {name!r}: {hint}known are {', '.join(known)}"
    some = near if len(near) > 1 else known[:_FEW]
    return f"unknown {kind} {name!r}: {hint}{len(known)} are known, such as {', '.join(some)}"
