"""Figures of a run: curves, confusion matrix, spectrograms."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from serjax import metrics
from serjax.files import PathLike
from serjax.report.plots.drawing import DARK, LIGHT, new_figure, png, save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_curves(
    history: Sequence[Mapping[str, float]],
    path: PathLike | Sequence[PathLike] | None = None,
    best_epoch: int | None = None,
    *,
    dark: bool = False,
) -> "Figure":
    """Draws loss, WA and UA over the epochs, of training and validation.

    Args:
        history: One mapping per epoch, as `read_history` gives them. NaN is left out.
        path: Where to save it, `.png` or `.pdf`; a sequence saves each; None saves nothing.
        best_epoch: The epoch to mark, the one whose weights were kept.
        dark: Draws on a dark background.

    Returns:
        The figure, for a notebook to show.

    Raises:
        ValueError: The history is empty.
    """
    if not history:
        raise ValueError("expected a history of at least one epoch, got none")
    theme = DARK if dark else LIGHT
    epochs = np.array([row["epoch"] for row in history])
    # A line through few points hides where they are, and through one it is not there at all.
    marker = "o" if len(epochs) <= 10 else None
    with styled(theme):
        from matplotlib.lines import Line2D
        from matplotlib.ticker import MaxNLocator

        figure = new_figure(8.2, 3.4)
        loss, accuracy = figure.subplots(1, 2)
        columns = {
            loss: (("loss", "-", 1.0),),
            accuracy: (("ua", "-", 100.0), ("wa", (0, (3, 1.6)), 100.0)),
        }
        for axes, drawn in columns.items():
            for name, dashes, scale in drawn:
                for part, color in (("train", theme.train), ("validation", theme.validation)):
                    values = scale * np.array([row[f"{part}_{name}"] for row in history])
                    face = theme.paper if name == "wa" else color
                    axes.plot(epochs, values, color=color, ls=dashes, marker=marker, mfc=face)
                    kept = values[epochs == best_epoch]
                    if part == "validation" and name != "wa" and np.isfinite(kept).any():
                        axes.plot(
                            best_epoch, kept[0], "o", color=color, ms=6, mec=theme.paper, mew=1.2
                        )
            if best_epoch is not None:
                axes.axvline(best_epoch, color=theme.muted, lw=0.8, zorder=0)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(
                MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
            )
            axes.set_xlim(*_padded(epochs.min(), epochs.max()))
        # From nothing to all, so that the curves of different runs look as different as they are.
        losses = np.array([[row["train_loss"], row["validation_loss"]] for row in history])
        highest = np.max(losses, where=np.isfinite(losses), initial=0.0)
        loss.set_ylim(0, 1.05 * highest or 1)
        accuracy.set_ylim(0, 100)
        loss.set_title("Loss (nats)", loc="left")
        accuracy.set_title("Accuracy (%)", loc="left")
        handles = [
            Line2D([], [], color=theme.train, label="training"),
            Line2D([], [], color=theme.validation, label="validation"),
            Line2D([], [], color=theme.muted, label="UA, loss"),
            Line2D([], [], color=theme.muted, linestyle=(0, (3, 1.6)), label="WA"),
        ]
        if best_epoch is not None:
            handles.append(
                Line2D([], [], color=theme.muted, lw=0.8, label=f"best epoch, {best_epoch}")
            )
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    save(figure, path)
    return figure


def plot_epochs(
    histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]],
    path: PathLike | Sequence[PathLike] | None = None,
) -> "Figure":
    """Draws accuracy and loss of several models over the epochs, of training and validation.

    Args:
        histories: By model the history of each of its runs, of which the mean is drawn; an epoch
            that some runs did not reach is the mean of the others.
        path: Where to save it, `.png` or `.pdf`; a sequence saves each; None saves nothing.

    Returns:
        The figure.

    Raises:
        ValueError: There is no model, or one has no runs.
    """
    if not histories or not all(histories.values()):
        raise ValueError("expected models with at least one run each, got none")
    dashes = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
    titles = {"wa": "WA (%)", "loss": "loss (nats)"}
    with styled(LIGHT):
        from matplotlib.ticker import MaxNLocator

        figure = new_figure(8.2, 5.6)
        grid = figure.subplots(2, 2, sharex=True)
        for row, measure in zip(grid, ("wa", "loss"), strict=True):
            for axes, part in zip(row, ("train", "validation"), strict=True):
                for number, (name, runs) in enumerate(histories.items()):
                    values = [
                        [run[epoch][f"{part}_{measure}"] for run in runs if epoch < len(run)]
                        for epoch in range(max(map(len, runs)))
                    ]
                    means = [(100 if measure == "wa" else 1) * np.mean(each) for each in values]
                    axes.plot(
                        range(1, len(means) + 1),
                        means,
                        marker="o",
                        ms=3,
                        color=f"C{number}",
                        ls=dashes[number % len(dashes)],
                        label=name,
                    )
                axes.set_title(
                    f"{'training' if part == 'train' else part} {titles[measure]}", loc="left"
                )
                axes.set_ylim(0, 100 if measure == "wa" else None)
                axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        for axes in grid[1]:
            axes.set_xlabel("epoch")
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 4))
    save(figure, path)
    return figure


def plot_confusion(
    confusion: Any,
    classes: Sequence[str],
    path: PathLike | Sequence[PathLike] | None = None,
    normalize: str = "true",
    *,
    title: bool = True,
    dark: bool = False,
) -> "Figure":
    """Draws a confusion matrix: colour and percentage by row, and the count of each cell.

    A column at the right gives each true class's number of utterances. A row without any is
    hatched.

    Args:
        confusion: Counts `[classes, classes]`, rows true, columns predicted.
        classes: The classes' names.
        path: Where to save it, `.png` or `.pdf`; a sequence saves each; None saves nothing.
        normalize: What the percentages are of: "true" (the row; the diagonal is the recall),
            "predicted" (the column; the diagonal is the precision) or "all" utterances.
        title: Puts WA and UA above the matrix.
        dark: Draws on a dark background.

    Returns:
        The figure, for a notebook to show.

    Raises:
        ValueError: The shape does not fit the classes, or `normalize` is unknown.
    """
    counts = np.asarray(confusion, dtype=float)
    size = len(classes)
    if counts.shape != (size, size):
        raise ValueError(
            f"the confusion matrix of {size} classes must be {(size, size)}, got {counts.shape}"
        )
    axes_summed = {"true": 1, "predicted": 0, "all": None}
    if normalize not in axes_summed:
        raise ValueError(f"normalize must be one of {list(axes_summed)}, got {normalize!r}")
    total = counts.sum(axis=axes_summed[normalize], keepdims=True)
    shares = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    supports = counts.sum(axis=1)
    theme = DARK if dark else LIGHT
    # Cells shrink with their number, but never below what "100" and a count need.
    cell_inches = float(np.clip(4.6 / size, 0.5, 0.95))
    side = cell_inches * size
    with styled(theme):
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.patches import Rectangle

        figure = new_figure(side, side, constrained=False)
        # The matrix fills the figure; labels lie outside it, and saving grows around them.
        axes = figure.add_axes((0, 0, 1, 1))
        ramp = LinearSegmentedColormap.from_list("serjax", theme.ramp)
        axes.imshow(shares, cmap=ramp, vmin=0, vmax=1)
        grid = np.arange(size + 1) - 0.5
        axes.hlines(grid, -0.5, size - 0.5, color=theme.paper, lw=1.5)
        axes.vlines(grid, -0.5, size - 0.5, color=theme.paper, lw=1.5)
        big, small = (10.5, 8.0) if cell_inches > 0.7 else (8.5, 6.5)
        for row, column in np.ndindex(size, size):
            if counts[row, column] == 0:
                continue
            share = shares[row, column]
            # Where the luminance is 0.2, both inks have the same contrast.
            color = "#ffffff" if _luminance(ramp(share)) < 0.2 else "#14181d"
            place: dict[str, Any] = {"ha": "center", "color": color}
            axes.text(column, row - 0.02, _percent(share), size=big, va="bottom", **place)
            count = f"{counts[row, column]:g}"
            axes.text(column, row + 0.08, count, size=small, va="top", **place)
        for row in np.flatnonzero(supports == 0):
            axes.add_patch(
                Rectangle((-0.5, row - 0.5), size, 1, fill=False, hatch="////", lw=0, ec=theme.rule)
            )
        axes.set_xticks(range(size), classes)
        axes.set_yticks(range(size), classes)
        axes.tick_params(length=0, pad=5, labelcolor=theme.ink)
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        widest = max(each.get_window_extent(renderer).width for each in axes.get_xticklabels())
        if widest > 0.9 * cell_inches * figure.dpi:
            for label in axes.get_xticklabels():
                label.set(rotation=45, ha="right", va="top", rotation_mode="anchor")
        axes.set_xlabel("predicted", color=theme.muted)
        axes.set_ylabel("true", color=theme.muted)
        axes.spines[:].set_visible(False)
        axes.grid(False)
        of = {"true": "true class", "predicted": "predicted class", "all": "all utterances"}
        heading = f"% of {of[normalize]}, count below"
        if title:
            wa, ua = metrics.weighted_accuracy(counts), metrics.unweighted_accuracy(counts)
            axes.set_title(f"WA {100 * wa:.1f} %, UA {100 * ua:.1f} %", loc="left", pad=20)
        beside: dict[str, Any] = {
            "textcoords": "offset points",
            "size": small + 1,
            "color": theme.muted,
        }
        axes.annotate(heading, (0, 1), (0, 6), xycoords="axes fraction", **beside)
        numbers = [
            axes.annotate(
                f"{support:g}", (size - 0.5, row), (8, 0), va="center", ha="right", **beside
            )
            for row, support in enumerate(supports)
        ]
        width = max(each.get_window_extent(renderer).width for each in numbers)
        right = 8 + width * 72 / figure.dpi
        for number in numbers:
            number.set_position((right, 0))
        axes.annotate("n", (1, 1), (right, 6), xycoords="axes fraction", ha="right", **beside)
    save(figure, path)
    return figure


def spectrogram_png(magnitude_db: Any, seconds: float, max_hz: float) -> bytes:
    """Draws a spectrogram with its time and frequency axes, legible on light and on dark.

    Args:
        magnitude_db: `[frames, bins]` in dB; what is 80 dB below the peak, or not finite, is black.
        seconds: Duration, the right end of the time axis.
        max_hz: Frequency of the last bin, the upper end of the frequency axis.

    Returns:
        A PNG with a transparent background.

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
    decibels = np.where(finite, decibels, peak - 80)
    # Grey with a contrast of about 4.5 on white and on the page's dark background alike.
    grey = "#7b828b"
    with styled(dataclasses.replace(LIGHT, ink=grey, muted=grey, rule=grey)):
        figure = new_figure(4.0, 1.9)
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        show_spectrogram(axes, decibels, seconds, max_hz, peak - 80, peak)
        axes.set_xlabel("time (s)")
        axes.set_ylabel("frequency (kHz)")
        return png(figure)


def show_spectrogram(
    axes: "Axes", picture: np.ndarray, seconds: float, max_hz: float, low: float, high: float
) -> None:
    """Draws `[frames, bins]`, dark at `low` and bright at `high`, in seconds by kHz."""
    axes.imshow(
        picture.T,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, max_hz / 1000),
        cmap="magma",
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    axes.grid(False)


def _padded(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis with some room; of one value, a unit around it."""
    room = 0.02 * (high - low) or 0.5
    return low - room, high + room


def _percent(share: float) -> str:
    """A rounded percentage that says 0 or 100 only where it is."""
    if 0 < share < 0.005:
        return "<1"
    if 0.995 <= share < 1:
        return ">99"
    return f"{100 * share:.0f}"


def _luminance(color: Sequence[float]) -> float:
    """Relative luminance of an sRGB colour, in [0, 1] (WCAG 2.2)."""
    srgb = np.asarray(color[:3])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
