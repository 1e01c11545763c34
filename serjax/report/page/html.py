"""Parts of pages: one file each, which opens anywhere and asks the network for nothing."""

import base64
import importlib.resources
import struct
from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Any

from serjax.report.plots.drawing import DPI, png


def document(title: str, body: Iterable[str]) -> str:
    """A whole page, which holds its style and runs no script.

    It follows the reader's light or dark scheme and prints.

    Args:
        title: Text of its title.
        body: HTML of its parts.
    """
    style = importlib.resources.files("serjax.report.page").joinpath("page.css").read_text("utf-8")
    # The policy makes the browser hold the page to its word: nothing is loaded, nothing runs.
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
    """A part of a page: HTML under a heading, which is text."""
    inner = "\n".join(content)
    return f"<section>\n<h2>{escape(title)}</h2>\n{inner}\n</section>\n"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], texts: Collection[str] = ()
) -> str:
    """A table of text whose first column names the row.

    Args:
        columns: Titles.
        rows: Cells.
        texts: Titles of columns of words, which begin at the left; numbers end at the right.
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


def picture(light: Any, dark: Any, description: str) -> str:
    """A figure for each colour scheme; paper is light whatever the screen."""
    source = data_uri("image/png", png(dark))
    return (
        "<div class='scroll'><picture><source media='screen and (prefers-color-scheme: dark)' "
        f"srcset='{source}'>{image(png(light), description)}</picture></div>"
    )


def image(content: bytes, description: str) -> str:
    """A PNG file's content in its own size."""
    # The size in the PNG's header, in CSS pixels (1/96 inch), keeps the page from jumping.
    width, height = (round(dots / DPI * 96) for dots in struct.unpack(">II", content[16:24]))
    return (
        f"<img alt='{escape(description)}' width='{width}' height='{height}' "
        f"src='{data_uri('image/png', content)}'>"
    )


def data_uri(kind: str, content: bytes) -> str:
    """A file's content, of a MIME type, as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
