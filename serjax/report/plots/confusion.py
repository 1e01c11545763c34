"""Confusion matrices as figures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from serjax import metrics
from serjax.files import PathLike
from serjax.report.plots.drawing import DARK, LIGHT, Theme, new_figure, save, styled
from serjax.report.plots.fonts import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AXES_SUMMED = {"true": 1, "predicted": 0, "all": None}
_NORMALIZED_BY = {"true": "true class", "predicted": "predicted class", "all": "all utterances"}


def plot_confusion(
    confusion: ArrayLike,
    classes: Sequence[str],
    path: PathLike | Sequence[PathLike] | None = None,
    normalize: str = "true",
    *,
    title: bool = True,
    dark: bool = False,
) -> "Figure":
    """Plots a confusion matrix: the percentage of each cell, also as its colour, and its count.

    A column at the right gives each true class's number of utterances. A row without any is
    hatched.

    Args:
        confusion: Counts `[classes, classes]`, rows true, columns predicted.
        classes: Names of the classes.
        path: File to save, `.png` or `.pdf`; a sequence of files saves each; None saves nothing.
        normalize: Total of the percentages: "true" (the row; the diagonal is the recall),
            "predicted" (the column; the diagonal is the precision) or "all" utterances.
        title: True to put WA and UA above the matrix.
        dark: True for a dark background.

    Returns:
        The figure, which a notebook shows.

    Raises:
        ValueError: The shape does not fit the classes, or `normalize` is unknown.
    """
    counts = np.asarray(confusion, dtype=float)
    size = len(classes)
    if counts.shape != (size, size):
        raise ValueError(
            f"the confusion matrix of {size} classes must be {(size, size)}, got {counts.shape}"
        )
    if normalize not in _AXES_SUMMED:
        raise ValueError(f"normalize must be one of {list(_AXES_SUMMED)}, got {normalize!r}")
    total = counts.sum(axis=_AXES_SUMMED[normalize], keepdims=True)
    fractions = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    theme = DARK if dark else LIGHT
    # Cells shrink with their number, but never below the size of "100" and a count.
    cell_inches = float(np.clip(4.6 / size, 0.5, 0.95))
    large, small = (10.5, 8.0) if cell_inches > 0.7 else (8.5, 6.5)
    with styled(theme):
        labels = drawable(classes)
        figure = new_figure(cell_inches * size, cell_inches * size, constrained=False)
        # The matrix fills the figure; labels lie outside it, and saving grows around them.
        axes = figure.add_axes((0, 0, 1, 1))
        _plot_cells(axes, counts, fractions, theme, (large, small))
        _label_classes(axes, labels, cell_inches, theme)
        if title:
            wa, ua = metrics.weighted_accuracy(counts), metrics.unweighted_accuracy(counts)
            axes.set_title(f"WA {100 * wa:.1f} %, UA {100 * ua:.1f} %", loc="left", pad=20)
        note: dict[str, Any] = {
            "textcoords": "offset points",
            "size": small + 1,
            "color": theme.muted,
        }
        heading = f"% of {_NORMALIZED_BY[normalize]}, count below"
        axes.annotate(heading, (0, 1), (0, 6), xycoords="axes fraction", **note)
        _annotate_supports(axes, counts.sum(axis=1), note)
    save(figure, path)
    return figure


def _plot_cells(
    axes: "Axes",
    counts: np.ndarray,
    fractions: np.ndarray,
    theme: Theme,
    font_sizes: tuple[float, float],
) -> None:
    """Plots the colours, percentages and counts of the cells, and hatches empty rows."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    size = len(counts)
    ramp = LinearSegmentedColormap.from_list("serjax", theme.ramp)
    axes.imshow(fractions, cmap=ramp, vmin=0, vmax=1)
    grid = np.arange(size + 1) - 0.5
    axes.hlines(grid, -0.5, size - 0.5, color=theme.paper, lw=1.5)
    axes.vlines(grid, -0.5, size - 0.5, color=theme.paper, lw=1.5)
    large, small = font_sizes
    for row, column in np.argwhere(counts):
        fraction = fractions[row, column]
        # At a luminance of 0.2 both inks have the same contrast.
        color = "#ffffff" if _luminance(ramp(fraction)) < 0.2 else "#14181d"
        style: dict[str, Any] = {"ha": "center", "color": color}
        axes.text(column, row - 0.02, _percent(fraction), size=large, va="bottom", **style)
        axes.text(column, row + 0.08, f"{counts[row, column]:g}", size=small, va="top", **style)
    for row in np.flatnonzero(counts.sum(axis=1) == 0):
        axes.add_patch(
            Rectangle((-0.5, row - 0.5), size, 1, fill=False, hatch="////", lw=0, ec=theme.rule)
        )


def _label_classes(axes: "Axes", classes: Sequence[str], cell_inches: float, theme: Theme) -> None:
    """Labels the axes; column labels wider than a cell are rotated."""
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.tick_params(length=0, pad=5, labelcolor=theme.ink)
    widest = max(_width_pixels(label) for label in axes.get_xticklabels())
    if widest > 0.9 * cell_inches * axes.figure.dpi:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", va="top", rotation_mode="anchor")
    axes.set_xlabel("predicted", color=theme.muted)
    axes.set_ylabel("true", color=theme.muted)
    axes.spines[:].set_visible(False)
    axes.grid(False)


def _annotate_supports(axes: "Axes", supports: np.ndarray, style: dict[str, Any]) -> None:
    """Writes each true class's number of utterances at the right of its row."""
    end = len(supports) - 0.5
    numbers = [
        axes.annotate(f"{support:g}", (end, row), (8, 0), va="center", ha="right", **style)
        for row, support in enumerate(supports)
    ]
    points = 8 + max(map(_width_pixels, numbers)) * 72 / axes.figure.dpi
    for number in numbers:
        number.set_position((points, 0))
    axes.annotate("n", (1, 1), (points, 6), xycoords="axes fraction", ha="right", **style)


def _width_pixels(text: Any) -> float:
    """Returns the width of a Matplotlib text."""
    return text.get_window_extent(text.figure.canvas.get_renderer()).width


def _percent(fraction: float) -> str:
    """Returns a rounded percentage that says 0 or 100 only if the fraction is exactly 0 or 1."""
    if 0 < fraction < 0.005:
        return "<1"
    if 0.995 <= fraction < 1:
        return ">99"
    return f"{100 * fraction:.0f}"


def _luminance(color: Sequence[float]) -> float:
    """Returns the relative luminance of an sRGB colour, in [0, 1] (WCAG 2.2)."""
    srgb = np.asarray(color[:3])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
