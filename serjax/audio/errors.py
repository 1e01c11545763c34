"""The error of files that are not read as sound."""

from serjax.errors import InputError


class AudioError(InputError):
    """Error for a file that cannot be read as audio.

    The message is one line: the file, then the reason.
    """


class DamageError(Exception):
    """Error for sound that cannot be decoded completely; its message is the reason, in one line."""


def one_line(error: object) -> str:
    """Returns the message of an error of a library in one line, without control characters.

    >>> one_line(ValueError("bad chunk  at 0x7"))
    'bad chunk at 0x7'

    Args:
        error: The error, or its message.
    """
    text = " ".join(str(error).split())
    return "".join(c if c.isprintable() else "?" for c in text) or type(error).__name__
