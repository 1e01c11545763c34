"""Colours, style and files of all figures.

Figures are made without pyplot: they need no display, change no global state, and work in any
thread. The same figure gives the same file. Matplotlib is imported inside the functions, so that
importing the library stays quick.
"""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from serjax.files import PathLike, write_bytes_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours of figures on one background.

    Attributes:
        paper: Background.
        ink: Text.
        muted: Secondary text and lines.
        rule: Grid and edges.
        train: Training set; colour-blind readers can distinguish it from `validation`.
        validation: Validation set.
        ramp: Colours from 0 to 1.
    """

    paper: str
    ink: str
    muted: str
    rule: str
    train: str
    validation: str
    ramp: tuple[str, ...]


# Blue and vermillion of Okabe & Ito's colour-universal palette (2008). The ramps have one hue and
# even steps of lightness, so they survive a grey print.
LIGHT = Theme(
    paper="#ffffff",
    ink="#1b1f24",
    muted="#68707a",
    rule="#dfe3e8",
    train="#0072b2",
    validation="#d55e00",
    ramp=("#f7f9fc", "#c9dcee", "#8db7da", "#4b8bbf", "#1c5f9a", "#0b3d70"),
)
DARK = Theme(
    paper="#171a1f",
    ink="#e4e7eb",
    muted="#98a1ac",
    rule="#343a43",
    train="#56b4e9",
    validation="#f0883e",
    ramp=("#1e2329", "#213b55", "#285b87", "#3f82b8", "#76aed9", "#c4def2"),
)


def png(figure: "Figure") -> bytes:
    """Renders a figure as a PNG of 200 dots per inch."""
    return _render(figure, "png")


def save(figure: "Figure", path: PathLike | Sequence[PathLike] | None) -> None:
    """Saves a figure.

    Args:
        figure: Figure to save.
        path: File to write, in the format of its suffix, `.png` or `.pdf`; a sequence of files
            writes each; None writes nothing.
    """
    if path is None:
        return
    for each in [path] if isinstance(path, str | os.PathLike) else path:
        write_bytes_atomic(each, _render(figure, Path(each).suffix.removeprefix(".")))


def _render(figure: "Figure", kind: str) -> bytes:
    import matplotlib

    # Without a date and a version, the same figure gives the same file.
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}}.get(kind)
    content = io.BytesIO()
    # Type 42 fonts: publishers' checks refuse PDF's Type 3.
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(
            content, format=kind, dpi=DPI, metadata=metadata, bbox_inches="tight", pad_inches=0.08
        )
    return content.getvalue()


def new_figure(width: float, height: float, *, constrained: bool = True) -> "Figure":
    """Makes an empty figure.

    Args:
        width: Width in inches.
        height: Height in inches.
        constrained: True to fit axes and legends into the figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=DPI, layout="constrained" if constrained else None)
    FigureCanvasAgg(figure)
    return figure


@contextlib.contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Applies a theme within a context, and restores the style that the user has set."""
    import matplotlib.style

    settings = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.labelsize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": theme.rule,
        "axes.facecolor": theme.paper,
        "axes.labelcolor": theme.muted,
        "axes.titlecolor": theme.ink,
        "axes.grid": True,
        "axes.axisbelow": True,
        "figure.facecolor": theme.paper,
        "grid.color": theme.rule,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.labelcolor": theme.ink,
        "lines.linewidth": 1.5,
        "lines.markersize": 3,
        "hatch.linewidth": 0.6,
        "text.color": theme.ink,
        # A dollar sign in a class's name is a dollar sign.
        "text.parse_math": False,
        "xtick.color": theme.rule,
        "ytick.color": theme.rule,
        "xtick.labelcolor": theme.muted,
        "ytick.labelcolor": theme.muted,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
    }
    with matplotlib.style.context(["default", settings]):
        yield
