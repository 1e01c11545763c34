"""HTML of self-contained pages: one file each, which loads nothing from the network."""

import base64
import html
import importlib.resources
import struct
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from serjax.console import printable
from serjax.report.plots.drawing import DPI, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def escape(text: str) -> str:
    """Escapes a text for HTML: its markup, and control characters by `serjax.console.printable`."""
    return html.escape(printable(text))


def document(title: str, body: Iterable[str]) -> str:
    """Builds a whole page, which holds its style and runs no script.

    The page follows the reader's light or dark scheme and can be printed.

    Args:
        title: Title of the page, as text.
        body: HTML of the sections.

    Returns:
        HTML of the page.
    """
    style = importlib.resources.files("serjax.report.page").joinpath("page.css").read_text("utf-8")
    # By this policy the browser itself refuses to load anything and to run any script.
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
img-src data:; media-src data:; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{"".join(body)}</main>
</body>
</html>
"""


def section(title: str, *content: str) -> str:
    """Builds a section of a page.

    Args:
        title: Heading of the section, as text.
        *content: HTML of the section.

    Returns:
        HTML of the section.
    """
    inner = "\n".join(content)
    return f"<section>\n<h2>{escape(title)}</h2>\n{inner}\n</section>\n"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], texts: Collection[str] = ()
) -> str:
    """Builds a table whose first column names the row.

    Args:
        columns: Titles of the columns, as text.
        rows: Cells of each row, as text.
        texts: Titles of the columns of words, which are aligned left; numbers are aligned right.

    Returns:
        HTML of the table.
    """
    kinds = [" class='text'" if name in texts else "" for name in columns]
    head = "".join(
        f"<th scope='col'{kind}>{escape(name)}</th>"
        for name, kind in zip(columns, kinds, strict=True)
    )
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>"
        + "".join(
            f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(cells, kinds[1:], strict=True)
        )
        + "</tr>"
        for name, *cells in rows
    )
    return (
        f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def themed_figure(light: "Figure", dark: "Figure", description: str) -> str:
    """Embeds a figure that follows the reader's colour scheme; a printed page shows the light one.

    Args:
        light: Figure on a light background.
        dark: Figure on a dark background.
        description: Text for readers who do not see the figure.

    Returns:
        HTML of the figure.
    """
    source = data_uri("image/png", png(dark))
    return (
        "<div class='scroll'><picture><source media='screen and (prefers-color-scheme: dark)' "
        f"srcset='{source}'>{image(png(light), description)}</picture></div>"
    )


def image(content: bytes, description: str) -> str:
    """Embeds a PNG file in its own size.

    Args:
        content: Content of the file.
        description: Text for readers who do not see the image.

    Returns:
        HTML of the image.
    """
    # The size in the PNG's header, in CSS pixels (1/96 inch), keeps the page from moving while it
    # loads.
    width, height = (round(dots / DPI * 96) for dots in struct.unpack(">II", content[16:24]))
    return (
        f"<img alt='{escape(description)}' width='{width}' height='{height}' "
        f"src='{data_uri('image/png', content)}'>"
    )


def data_uri(kind: str, content: bytes) -> str:
    """Encodes the content of a file as a URI.

    Args:
        kind: MIME type of the content, such as "image/png".
        content: Content of the file.

    Returns:
        A `data:` URI.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
