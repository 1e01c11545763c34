"""User errors, and suggestions for misspelled names."""

import difflib
from collections.abc import Iterable

_MAX_LISTED = 20
_NUM_SUGGESTED = 5


class InputError(ValueError):
    """Error in input that the user can fix: a file, a flag, a name, a shape.

    The message has one or two lines: the name of the input, "expected ..., found ...". Commands
    print it without a traceback and end with exit status 2.
    """


def first_line(error: BaseException) -> str:
    r"""Returns the first line of an exception's message, or the name of its type if it has none.

    Example:
        >>> first_line(ValueError("no such tensor\nat file.cc:12")), first_line(KeyError())
        ('no such tensor', 'KeyError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Formats the message for a name that is not known, and suggests the nearest known name.

    Args:
        kind: Kind of the named thing, for example "model".
        name: Unknown name.
        known: All known names.

    Returns:
        One line: the unknown name, the nearest known name if one is similar, and all known names,
        or the nearest few if there are many.

    Example:
        >>> unknown_name("model", "vgg61", ["alexnet", "vgg16"])
        "unknown model 'vgg61': did you mean 'vgg16'? known are alexnet, vgg16"
    """
    known = list(known)
    near = difflib.get_close_matches(name.lower(), known, n=_NUM_SUGGESTED, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    if len(known) <= _MAX_LISTED:
        return f"unknown {kind} {name!r}: {hint}known are {', '.join(known)}"
    listed = near if len(near) > 1 else known[:_NUM_SUGGESTED]
    return f"unknown {kind} {name!r}: {hint}{len(known)} are known, such as {', '.join(listed)}"
