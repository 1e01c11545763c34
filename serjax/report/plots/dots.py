"""A dot plot: one quantity of many rows, several series side by side, each with its interval."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from serjax.files import PathLike
from serjax.report.plots.drawing import DARK, LIGHT, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito's palette (2008); shapes tell the series apart without it.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = "osD^vP"


class Dot(NamedTuple):
    """One value.

    Attributes:
        row: What it is of; rows stand in the order in which they come.
        series: Which of the values of the row.
        value: Above 0.
        low: Lower end of its interval.
        high: Upper end.
    """

    row: str
    series: str
    value: float
    low: float
    high: float


def plot_dots(
    dots: Sequence[Dot],
    label: str,
    path: PathLike | None = None,
    *,
    reference: float | None = None,
    dark: bool = False,
) -> "Figure":
    """Draws values as dots on a logarithmic scale, rows from top to bottom.

    Args:
        dots: What to draw.
        label: Of the scale, with the unit.
        path: Where to save it, `.png` or `.pdf`; None saves nothing.
        reference: A value to mark by a line across all rows.
        dark: Draws on a dark background.

    Returns:
        The figure, for a notebook to show.

    Raises:
        ValueError: There is nothing to draw.
    """
    if not dots:
        raise ValueError("expected at least one dot, got none")
    from matplotlib.ticker import LogLocator, NullFormatter

    theme = DARK if dark else LIGHT
    rows = list(dict.fromkeys(dot.row for dot in dots))
    series = list(dict.fromkeys(dot.series for dot in dots))
    with styled(theme):
        figure = new_figure(8.2, 1.1 + len(rows) * (0.16 + 0.08 * len(series)))
        axes = figure.subplots()
        for index, name in enumerate(series):
            drawn = [dot for dot in dots if dot.series == name]
            # Dots of one row stand below each other, so that none hides another.
            offset = 0.7 * ((index + 0.5) / len(series) - 0.5)
            values, lows, highs = np.array([dot[2:] for dot in drawn]).T
            axes.errorbar(
                values,
                [rows.index(dot.row) + offset for dot in drawn],
                xerr=(values - lows, highs - values),
                fmt=_MARKERS[index % len(_MARKERS)],
                color=_COLORS[index % len(_COLORS)],
                ms=4,
                elinewidth=1,
                label=name,
            )
        if reference is not None:
            axes.axvline(reference, color=theme.muted, lw=0.8, zorder=0)
        axes.set_xscale("log")
        # Within a decade, powers of ten alone would leave a scale without numbers.
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(label)
        figure.legend(loc="outside lower center", ncols=min(len(series), 4))
    save(figure, path)
    return figure
