"""Panels of measured values over sizes, each with the power of the size that was fitted to it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from serjax.files import PathLike
from serjax.report.plots.drawing import DARK, LIGHT, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 3


class Power(NamedTuple):
    """Values over sizes.

    Attributes:
        size: What the sizes are of.
        sizes: Above 0.
        values: One for each size, above 0.
        lows: Lower ends of their intervals.
        highs: Upper ends.
        exponent: Of the power of the size that fits them.
        expected: Of the one that was expected.
    """

    size: str
    sizes: Sequence[float]
    values: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    exponent: float
    expected: float


def plot_powers(
    powers: Sequence[Power], label: str, path: PathLike | None = None, *, dark: bool = False
) -> "Figure":
    """Draws each on logarithmic scales, with the lines of both exponents through its middle.

    Args:
        powers: What to draw, a panel each.
        label: Of the values, with the unit.
        path: Where to save it, `.png` or `.pdf`; None saves nothing.
        dark: Draws on a dark background.

    Returns:
        The figure, for a notebook to show.

    Raises:
        ValueError: There is nothing to draw.
    """
    if not powers:
        raise ValueError("expected at least one panel, got none")
    from matplotlib.ticker import LogLocator

    theme = DARK if dark else LIGHT
    columns = min(len(powers), _COLUMNS)
    rows = -(-len(powers) // columns)
    with styled(theme):
        figure = new_figure(2.9 * columns, 2.6 * rows)
        panels = figure.subplots(rows, columns, squeeze=False).flat
        for axes, power in zip(panels, powers, strict=False):
            sizes, values = np.asarray(power.sizes, float), np.asarray(power.values, float)
            errors = (values - np.asarray(power.lows), np.asarray(power.highs) - values)
            axes.errorbar(sizes, values, yerr=errors, fmt="o", color="#0072b2", ms=4, elinewidth=1)
            # A line in logarithms passes through their means.
            middle, height = (np.exp(np.log(these).mean()) for these in (sizes, values))
            for exponent, style, name in (
                (power.exponent, "-", "fitted"),
                (power.expected, ":", "expected"),
            ):
                line = height * (sizes / middle) ** exponent
                color = "#0072b2" if style == "-" else theme.muted
                axes.plot(sizes, line, style, color=color, label=f"{name} {exponent:.2f}")
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
            axes.minorticks_off()
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_xlabel(power.size)
            axes.legend()
        for axes in list(figure.axes)[len(powers) :]:
            axes.remove()
        figure.supylabel(label, size=9, color=theme.muted)
    save(figure, path)
    return figure
