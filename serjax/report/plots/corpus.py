"""Figures of a corpus: utterances of each class and speaker, and their durations."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serjax.data.describe import NONE, Description
from serjax.files import PathLike
from serjax.report.plots.drawing import LIGHT, new_figure, save, styled
from serjax.report.plots.fonts import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_BARS = 40


def plot_description(description: Description, folder: PathLike) -> list[Path]:
    """Plots the classes, speakers and durations of a corpus.

    Args:
        description: Description of the corpus, from `serjax.data.describe.describe`.
        folder: Folder of the figures, made if it does not exist.

    Returns:
        Paths of `classes.png`, `speakers.png` and `lengths.png`. A figure without values, such as
        that of the speakers of a corpus that names none, is left out.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "classes.png": _classes(description),
        "speakers.png": _speakers(description),
        "lengths.png": _lengths(description),
    }
    written = {folder / name: figure for name, figure in figures.items() if figure is not None}
    for path, figure in written.items():
        save(figure, path)
    return list(written)


def _classes(description: Description) -> "Figure | None":
    """Plots bars of the utterances of each class; a line across marks the published number."""
    expected = dict(description.published.counts) if description.published is not None else {}
    counts = Counter(name for name in description.classes if name != NONE)
    names = [name for name, _ in counts.most_common(_MOST_BARS)]
    names = sorted({*names, *expected})[::-1] if len(expected) <= _MOST_BARS else names[::-1]
    if not names:
        return None
    with styled(LIGHT):
        labels = drawable(names)
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
        axes.set_yticks(rows, labels)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_title(f"Utterances of each {description.target}", loc="left")
    return figure


def _speakers(description: Description) -> "Figure | None":
    """Plots bars of the utterances of each speaker, from most to fewest."""
    counts = Counter(name for name in description.speakers if name != NONE).most_common()
    if not counts:
        return None
    with styled(LIGHT):
        labels = drawable([name for name, _ in counts])
        figure = new_figure(6.2, 2.8)
        axes = figure.subplots()
        columns = np.arange(len(counts))
        axes.bar(columns, [count for _, count in counts], width=0.8, color=LIGHT.train)
        if len(counts) <= _MOST_BARS:
            axes.set_xticks(columns, labels, rotation=90)
        else:
            axes.set_xlabel("speakers, from most to fewest")
        axes.set_xlim(-0.6, len(counts) - 0.4)
        axes.grid(axis="x", visible=False)
        axes.set_title("Utterances of each speaker", loc="left")
    return figure


def _lengths(description: Description) -> "Figure | None":
    """Plots a histogram of the durations of the utterances, and their median."""
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
