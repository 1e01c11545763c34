"""Power laws: panels of measured values over sizes, each with a fitted power of the size."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from serjax.files import PathLike
from serjax.report.plots.drawing import DARK, LIGHT, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 3


class Power(NamedTuple):
    """Values over sizes, with the power law that was fitted to them.

    Attributes:
        size: Name of the size, such as "batch size".
        sizes: `[n]` sizes above 0.
        values: `[n]` values above 0.
        lows: `[n]` lower ends of the intervals of the values.
        highs: `[n]` upper ends of the intervals of the values.
        exponent: Exponent of the fitted power of the size.
        expected: Exponent of the expected power of the size.
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
    """Plots values on logarithmic scales, with lines of both exponents through their middle.

    Args:
        powers: Values to plot, one panel each.
        label: Label of the values, with the unit.
        path: File to save, `.png` or `.pdf`; None saves nothing.
        dark: True for a dark background.

    Returns:
        The figure, which a notebook shows.

    Raises:
        ValueError: There are no panels.
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
            # On logarithmic scales, a fitted line passes through the means of the logarithms.
            middle, height = (np.exp(np.log(each).mean()) for each in (sizes, values))
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
