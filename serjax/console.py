"""Console of all messages: it shows names as they are and can be printed to anywhere.

Names of files, classes and speakers are data. So a string is never searched for markup, control
characters are shown escaped, which a terminal would obey, and so are characters that the encoding
of the output lacks, which would end the program.
"""

import sys
from typing import Any

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.status import Status
from rich.table import Table
from rich.text import Text

# C0, DEL and C1 control characters, separators of lines and paragraphs, and the characters that
# change the direction of the text after them.
_NAMED = {ord(character): repr(character)[1:-1] for character in "\t\n\r"}
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_WIDE_CONTROLS = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = (
    {code: f"\\x{code:02x}" for code in _CONTROLS}
    | {code: f"\\u{code:04x}" for code in _WIDE_CONTROLS}
    | _NAMED
)


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""Escapes the characters of a text that a terminal obeys or an encoding lacks.

    Args:
        text: One line of text.
        encoding: Encoding of the output.

    Returns:
        The text with control characters, line breaks, changes of the writing direction, bytes of
        names that are not UTF-8, and characters that `encoding` lacks as `\x1b`, `\n` or `\u202e`.

    Example:
        >>> print(printable("red\x1b[31m"))
        red\x1b[31m
    """
    return text.translate(_ESCAPES).encode(encoding, "backslashreplace").decode(encoding)


def print_error(text: str) -> None:
    """Prints one line to standard error.

    Args:
        text: Message; it is printed by `printable`.
    """
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    print(printable(text, encoding), file=sys.stderr)


class Console(RichConsole):
    """Console that prints strings by `printable`, without markup, and never cuts a line or a cell.

    A string is one line of its own. A table that is wider than the terminal keeps its width; in a
    file or a pipe no table is folded. It takes the arguments of `rich.console.Console`.
    """

    @classmethod
    def of(cls, console: RichConsole | None = None, **settings: Any) -> "Console":
        """Returns a console that prints to the same place as another one, in this class's way.

        Args:
            console: Console of a caller; None makes one, which prints to standard output.
            **settings: Settings of a new console, such as `quiet`.
        """
        if console is None:
            return cls(**settings)
        # They share everything, such as the width, the record and a running display of progress.
        shared = cls.__new__(cls)
        shared.__dict__ = console.__dict__
        return shared

    def print(self, *objects: Any, **settings: Any) -> None:
        """Prints strings, each a line that is not wrapped, or a table in its full width."""
        if all(isinstance(each, str) for each in objects):
            settings.setdefault("soft_wrap", True)
            super().print(*objects, **settings)
            return
        width = self._width
        # Rich would cut what is wider, and an interval whose digits are cut is another interval.
        self.width = max(self.width, *(self._width_of(each) for each in objects))
        try:
            super().print(*objects, crop=False, **settings)
        finally:
            self._width = width

    def status(self, status: RenderableType, **settings: Any) -> Status:
        """Shows what is done, with a spinner, while it is done; only on a terminal."""
        if isinstance(status, str):
            status = self.render_str(status)
        if self.options.ascii_only:
            settings.setdefault("spinner", "line")
        return super().status(status, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Converts a string to text by `printable`; Rich calls it for strings in tables too."""
        settings |= {"markup": False, "emoji": False, "highlight": False}
        return super().render_str(printable(text, self.encoding), **settings)

    def _width_of(self, renderable: RenderableType) -> int:
        """Returns the columns that a table needs, or in a file or a pipe would like to have."""
        unlimited = self.options.update(width=100_000)
        for column in renderable.columns if isinstance(renderable, Table) else ():
            if column.no_wrap:  # Rich would still cut it, to the length of its longest word
                cells = (column.header, *column.cells)
                widths = (Measurement.get(self, unlimited, cell).maximum for cell in cells)
                column.min_width = max(widths)
        measured = Measurement.get(self, unlimited, renderable)
        return measured.minimum if self.is_terminal else measured.maximum

    def progress(self, *columns: ProgressColumn) -> Progress:
        """Makes a display of progress that disappears at its end; a file or a pipe shows nothing.

        Args:
            *columns: Columns after the description and the bar.
        """
        # Rich would print an empty line to a file.
        hidden = not self.is_terminal
        columns = (_Description(), BarColumn(), *columns)
        return Progress(*columns, console=self, transient=True, disable=hidden)


class _Description(ProgressColumn):
    """Column of the descriptions, without markup."""

    def render(self, task: Task) -> Text:
        return Text(printable(task.description))
