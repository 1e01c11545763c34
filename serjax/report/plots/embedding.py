"""Figures of an autoencoder: spectrograms with their reconstructions, and an embedding."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from serjax.files import PathLike
from serjax.report.plots.drawing import LIGHT, new_figure, save, styled
from serjax.report.plots.fonts import drawable
from serjax.report.plots.spectrogram import show_spectrogram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COMPONENTS = ("discrete emotion", "valence", "arousal", "dominance")


def plot_reconstructions(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    titles: Sequence[str],
    seconds: float,
    max_hz: float,
    path: PathLike | Sequence[PathLike] | None = None,
) -> "Figure":
    """Plots spectrograms and, below each, its reconstruction, as square roots of the magnitudes.

    Args:
        originals: `[spectrograms, frames, bins]` in [0, 1].
        reconstructions: `[spectrograms, frames, bins]` in [0, 1].
        titles: Title of each spectrogram.
        seconds: Duration, the right end of the time axes.
        max_hz: Upper end of the frequency axes.
        path: File to save, `.png` or `.pdf`; a sequence of files saves each; None saves nothing.

    Returns:
        The figure, which a notebook shows.

    Raises:
        ValueError: Shapes or numbers of spectrograms differ.
    """
    # Speech spans some 60 dB; the square root of a magnitude shows most of it.
    rows = np.sqrt(np.stack([np.asarray(originals, float), np.asarray(reconstructions, float)]))
    if rows.ndim != 4 or rows.shape[1] != len(titles):
        raise ValueError(
            f"expected {len(titles)} spectrograms [frames, bins], found shape {rows.shape[1:]}"
        )
    with styled(LIGHT):
        labels = drawable(titles)
        figure = new_figure(2.1 * len(titles), 3.2)
        grid = figure.subplots(2, len(titles), sharex=True, sharey=True, squeeze=False)
        # A spectrogram and its reconstruction share one scale, so that losses are visible.
        for column, title in enumerate(labels):
            highest = rows[:, column].max() or 1
            for row, name in enumerate(("original", "reconstruction")):
                axes = grid[row, column]
                show_spectrogram(axes, rows[row, column], seconds, max_hz, 0, highest)
                if column == 0:
                    axes.set_ylabel(f"{name}\nfrequency (kHz)")
            grid[0, column].set_title(title, loc="left")
            grid[1, column].set_xlabel("time (s)")
    save(figure, path)
    return figure


def plot_embedding(
    spectrogram: ArrayLike,
    embedding: ArrayLike,
    seconds: float,
    max_hz: float,
    path: PathLike | Sequence[PathLike] | None = None,
    *,
    title: str = "spectrogram",
) -> "Figure":
    """Plots a spectrogram and the four channels of its embedding, each on its own scale.

    Args:
        spectrogram: `[frames, bins]` in [0, 1], plotted as its square root.
        embedding: `[rows, columns, 4]`, components r, i, j, k.
        seconds: Duration, the right end of the time axes.
        max_hz: Upper end of the frequency axes.
        path: File to save, `.png` or `.pdf`; a sequence of files saves each; None saves nothing.
        title: Title of the spectrogram.

    Returns:
        The figure, which a notebook shows.

    Raises:
        ValueError: The embedding does not have four channels.
    """
    channels = np.moveaxis(np.asarray(embedding, float), -1, 0)
    if channels.ndim != 3 or len(channels) != len(_COMPONENTS):
        raise ValueError(f"expected an embedding [rows, columns, 4], found {np.shape(embedding)}")
    with styled(LIGHT):
        names = drawable([title, *_COMPONENTS])
        figure = new_figure(10.0, 2.0)
        row = figure.subplots(1, 1 + len(channels), sharex=True, sharey=True)
        images = [np.sqrt(np.asarray(spectrogram, float)), *channels]
        for axes, image, name in zip(row, images, names, strict=True):
            show_spectrogram(axes, image, seconds, max_hz, 0, image.max() or 1)
            axes.set_title(name, loc="left")
            axes.set_xlabel("time (s)")
        row[0].set_ylabel("frequency (kHz)")
    save(figure, path)
    return figure
