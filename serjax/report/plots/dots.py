"""Dot plots: one quantity in many rows, several series side by side, each with its interval."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from serjax.files import PathLike
from serjax.report.plots.drawing import DARK, LIGHT, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Palette of Okabe & Ito (2008); the markers distinguish the series without colours.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = "osD^vP"


class Dot(NamedTuple):
    """Value of one series in one row of a dot plot.

    Attributes:
        row: Name of the row. Rows are plotted in the order of their first dots.
        series: Name of the series.
        value: Value, above 0.
        low: Lower end of the interval of the value.
        high: Upper end of the interval of the value.
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
    """Plots values as dots on a logarithmic scale, rows from top to bottom.

    Args:
        dots: Values to plot.
        label: Label of the scale, with the unit.
        path: File to save, `.png` or `.pdf`; None saves nothing.
        reference: Value that a line across all rows marks; None marks nothing.
        dark: True for a dark background.

    Returns:
        The figure, which a notebook shows.

    Raises:
        ValueError: There are no dots.
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
            in_series = [dot for dot in dots if dot.series == name]
            # The dots of one row are below each other, so that none hides another.
            offset = 0.7 * ((index + 0.5) / len(series) - 0.5)
            values, lows, highs = np.array([dot[2:] for dot in in_series]).T
            axes.errorbar(
                values,
                [rows.index(dot.row) + offset for dot in in_series],
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
        # Within a decade, a scale with only powers of ten would have no numbers.
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
