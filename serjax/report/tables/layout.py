"""Layout of tables in Markdown and on a console."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from serjax.console import Console, printable


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1
) -> str:
    """Formats a table as Markdown.

    Args:
        columns: Titles of the columns.
        rows: Cells of each row.
        text_columns: Number of columns at the left that are aligned left; the others hold numbers
            and are aligned right.

    Returns:
        Lines of the table, the last one without a line break. Control characters in cells are
        escaped, and vertical bars.

    Example:
        >>> print(markdown_table(["run", "UA %"], [["fold-1", "70.0"]]))
        | run | UA % |
        | --- | ---: |
        | fold-1 | 70.0 |
    """
    rule = ["---"] * text_columns + ["---:"] * (len(columns) - text_columns)
    cells = ([printable(cell).replace("|", r"\|") for cell in row] for row in (columns, *rows))
    header, *body = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([header, f"| {' | '.join(rule)} |", *body])


def console_table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]] = (),
    *,
    text_columns: int = 1,
) -> Table:
    """Makes a table that does not wrap its cells.

    On a terminal it has a rule and a bold header; in a file or a pipe it has bare columns.

    Args:
        console: Console that the table is printed on.
        columns: Titles of the columns.
        rows: Cells of each row.
        text_columns: Number of columns at the left that are aligned left; the others hold numbers
            and are aligned right.

    Returns:
        The table.
    """
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < text_columns else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
