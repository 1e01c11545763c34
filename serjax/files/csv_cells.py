"""Cells of CSV files that are safe to open in a spreadsheet."""

import re

# With the apostrophes before it, so that names that begin with an apostrophe come back too.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def safe_cell(text: str) -> str:
    """Makes a name safe for a cell of a table that a spreadsheet opens.

    A spreadsheet runs what begins with =, +, - or @ as a formula, after a tab or a carriage return
    too. An apostrophe before it makes it a text, as it does in the spreadsheet itself.

    Args:
        text: Name, such as that of a file, a speaker or a class.

    Returns:
        The name, after an apostrophe if it could be a formula; `name_of_cell` removes it.

    Example:
        >>> safe_cell("=1+1"), safe_cell("anger")
        ("'=1+1", 'anger')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def name_of_cell(cell: str) -> str:
    """Returns the name that `safe_cell` made a cell of.

    Args:
        cell: Cell of a CSV file.

    Returns:
        The cell without the apostrophe; other cells are returned unchanged.

    Example:
        >>> name_of_cell("'=1+1"), name_of_cell("'tis.wav")
        ('=1+1', "'tis.wav")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
