"""Spectrogram images, in seconds by kHz."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from serjax.report.plots.drawing import LIGHT, new_figure, png, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RANGE_DB = 80


def spectrogram_png(magnitude_db: ArrayLike, seconds: float, max_hz: float) -> bytes:
    """Plots a spectrogram with its time and frequency axes, legible on light and on dark.

    Args:
        magnitude_db: `[frames, bins]` in dB. Values 80 dB or more below the peak, and values that
            are not finite, are black.
        seconds: Duration, the right end of the time axis.
        max_hz: Frequency of the last bin, the upper end of the frequency axis.

    Returns:
        Content of a PNG file with a transparent background.

    Raises:
        ValueError: The spectrogram is not `[frames, bins]` or is empty, or an axis has no length.
    """
    decibels = np.asarray(magnitude_db, dtype=float)
    if decibels.ndim != 2 or decibels.size == 0:
        raise ValueError(f"a spectrogram must be [frames, bins], got shape {decibels.shape}")
    if not (seconds > 0 and max_hz > 0):
        raise ValueError(
            f"a spectrogram needs seconds and max_hz above 0, got {seconds} and {max_hz}"
        )
    finite = np.isfinite(decibels)
    peak = decibels[finite].max() if finite.any() else 0.0
    decibels = np.where(finite, decibels, peak - _RANGE_DB)
    # Grey with a contrast of about 4.5 both on white and on the page's dark background.
    grey = "#7b828b"
    with styled(dataclasses.replace(LIGHT, ink=grey, muted=grey, rule=grey)):
        figure = new_figure(4.0, 1.9)
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        show_spectrogram(axes, decibels, seconds, max_hz, peak - _RANGE_DB, peak)
        axes.set_xlabel("time (s)")
        axes.set_ylabel("frequency (kHz)")
        return png(figure)


def show_spectrogram(
    axes: "Axes", spectrogram: np.ndarray, seconds: float, max_hz: float, low: float, high: float
) -> None:
    """Plots a spectrogram on axes in seconds by kHz.

    Args:
        axes: Axes to plot on.
        spectrogram: `[frames, bins]`.
        seconds: Duration, the right end of the time axis.
        max_hz: Frequency of the last bin, the upper end of the frequency axis.
        low: Value that is black.
        high: Value that is brightest.
    """
    axes.imshow(
        spectrogram.T,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, max_hz / 1000),
        cmap="magma",
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    axes.grid(False)
