"""Figures of a corpus's description."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serjax.data.describe import NONE, Description
from serjax.files import PathLike
from serjax.report.plots.drawing import LIGHT, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_BARS = 40


def plot_description(description: Description, folder: PathLike) -> list[Path]:
    """Draws a corpus's classes, speakers and lengths.

    Args:
        description: From `serjax.data.describe.describe`.
        folder: Where to save them; it is made if it does not exist.

    Returns:
        Paths of `classes.png`, `speakers.png` and `lengths.png`; those without anything to show,
        such as speakers that nobody names, are left out.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "classes.png": _classes(description),
        "speakers.png": _speakers(description),
        "lengths.png": _lengths(description),
    }
    drawn = {folder / name: figure for name, figure in figures.items() if figure is not None}
    for path, figure in drawn.items():
        save(figure, path)
    return list(drawn)


def _classes(description: Description) -> "Figure | None":
    """Bars of the utterances of each class; the published number is a line across."""
    expected = dict(description.published.counts) if description.published is not None else {}
    counts = Counter(name for name in description.classes if name != NONE)
    names = [name for name, _ in counts.most_common(_MOST_BARS)]
    names = sorted({*names, *expected})[::-1] if len(expected) <= _MOST_BARS else names[::-1]
    if not names:
        return None
    with styled(LIGHT):
        figure = new_figure(5.2, 0.8 + 0.28 * len(names))
        axes = figure.subplots()
        rows = np.arange(len(names))
        axes.barh(rows, [counts[name] for name in names], height=0.7, color=LIGHT.train)
        marked = [(row, expected[name]) for row, name in enumerate(names) if name in expected]
        if marked:
            row, number = np.array(marked).T
            axes.vlines(
                number, row - 0.45, row + 0.45, color=LIGHT.validation, lw=2, label="published"
            )
            figure.legend(loc="outside lower center")
        axes.set_yticks(rows, names)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_title(f"Utterances of each {description.target}", loc="left")
    return figure


def _speakers(description: Description) -> "Figure | None":
    """Bars of the utterances of each speaker, from most to fewest."""
    counts = Counter(name for name in description.speakers if name != NONE).most_common()
    if not counts:
        return None
    with styled(LIGHT):
        figure = new_figure(6.2, 2.8)
        axes = figure.subplots()
        columns = np.arange(len(counts))
        axes.bar(columns, [count for _, count in counts], width=0.8, color=LIGHT.train)
        if len(counts) <= _MOST_BARS:
            axes.set_xticks(columns, [name for name, _ in counts], rotation=90)
        else:
            axes.set_xlabel("speakers, from most to fewest")
        axes.set_xlim(-0.6, len(counts) - 0.4)
        axes.grid(axis="x", visible=False)
        axes.set_title("Utterances of each speaker", loc="left")
    return figure


def _lengths(description: Description) -> "Figure | None":
    """Histogram of the utterances' lengths, and their median."""
    seconds = description.seconds[np.isfinite(description.seconds)]
    if not len(seconds):
        return None
    median = float(np.median(seconds))
    with styled(LIGHT):
        figure = new_figure(5.2, 2.8)
        axes = figure.subplots()
        axes.hist(seconds, bins=min(50, 5 + len(seconds) // 5), color=LIGHT.train)
        axes.axvline(median, color=LIGHT.validation, label=f"median {median:.2f} s")
        axes.set_xlim(left=0)
        axes.set_xlabel("seconds")
        axes.legend()
        axes.set_title("Lengths of the utterances", loc="left")
    return figure
