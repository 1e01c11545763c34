"""Training curves: loss and accuracy over the epochs, of one run or of several models."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from serjax.files import PathLike
from serjax.report.files.history import auxiliary_losses
from serjax.report.plots.drawing import DARK, LIGHT, Theme, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A line through few points hides their places, and a single point has no line.
_MOST_MARKED_EPOCHS = 10
_DASHED = (0, (3, 1.6))
_LINE_STYLES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


def plot_curves(
    history: Sequence[Mapping[str, float]],
    path: PathLike | Sequence[PathLike] | None = None,
    best_epoch: int | None = None,
    *,
    dark: bool = False,
) -> "Figure":
    """Plots loss, WA and UA of the training and the validation set over the epochs.

    A run with auxiliary losses has a third panel with one line for each, under its name.

    Args:
        history: One mapping per epoch, as returned by `read_history`. NaN is left out.
        path: File to save, `.png` or `.pdf`; a sequence of files saves each; None saves nothing.
        best_epoch: Epoch of the best checkpoint, which is marked; None marks nothing.
        dark: True for a dark background.

    Returns:
        The figure, which a notebook shows.

    Raises:
        ValueError: The history is empty.
    """
    if not history:
        raise ValueError("expected a history of at least one epoch, got none")
    theme = DARK if dark else LIGHT
    auxiliary = auxiliary_losses(history)
    with styled(theme):
        from matplotlib.lines import Line2D

        figure = new_figure(11.8 if auxiliary else 8.2, 3.4)
        loss, accuracy, *others = figure.subplots(1, 3 if auxiliary else 2)
        _plot_metric(loss, history, "loss", best_epoch, theme)
        _plot_metric(accuracy, history, "ua", best_epoch, theme)
        _plot_metric(accuracy, history, "wa", best_epoch, theme)
        # From zero to the maximum, so that differences between runs look as large as they are.
        losses = np.array([[row["train_loss"], row["validation_loss"]] for row in history])
        loss.set_ylim(0, _upper_limit(losses))
        accuracy.set_ylim(0, 100)
        loss.set_title("Loss (nats)", loc="left")
        accuracy.set_title("Accuracy (%)", loc="left")
        for axes in others:
            _plot_auxiliary(axes, history, auxiliary, theme)
        for axes in figure.axes:
            _label_epochs(axes, history, best_epoch, theme)
        handles = [
            Line2D([], [], color=theme.train, label="training"),
            Line2D([], [], color=theme.validation, label="validation"),
            Line2D([], [], color=theme.muted, label="UA, loss"),
            Line2D([], [], color=theme.muted, linestyle=_DASHED, label="WA"),
        ]
        if best_epoch is not None:
            handles.append(
                Line2D([], [], color=theme.muted, lw=0.8, label=f"best epoch, {best_epoch}")
            )
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    save(figure, path)
    return figure


def _plot_metric(
    axes: "Axes",
    history: Sequence[Mapping[str, float]],
    metric: str,
    best_epoch: int | None,
    theme: Theme,
) -> None:
    """Plots "loss", "ua" or "wa" of both splits; marks validation's loss and UA at the best."""
    epochs = _epochs(history)
    scale = 1.0 if metric == "loss" else 100.0
    for split, color in (("train", theme.train), ("validation", theme.validation)):
        values = scale * np.array([row[f"{split}_{metric}"] for row in history])
        axes.plot(
            epochs,
            values,
            color=color,
            ls=_DASHED if metric == "wa" else "-",
            marker=_marker(history),
            mfc=theme.paper if metric == "wa" else color,
        )
        at_best = values[epochs == best_epoch]
        is_marked = split == "validation" and metric != "wa" and np.isfinite(at_best).any()
        if best_epoch is not None and is_marked:
            axes.plot(best_epoch, at_best[0], "o", color=color, ms=6, mec=theme.paper, mew=1.2)


def _plot_auxiliary(
    axes: "Axes",
    history: Sequence[Mapping[str, float]],
    losses: Mapping[str, Sequence[float]],
    theme: Theme,
) -> None:
    """Plots the auxiliary losses of the training set, a line style for each."""
    for number, (name, values) in enumerate(losses.items()):
        axes.plot(
            _epochs(history),
            values,
            color=theme.train,
            ls=_LINE_STYLES[number % len(_LINE_STYLES)],
            marker=_marker(history),
            label=name,
        )
    axes.set_ylim(0, _upper_limit(np.array(list(losses.values()))))
    axes.set_title("Auxiliary losses", loc="left")
    axes.legend()


def _label_epochs(
    axes: "Axes", history: Sequence[Mapping[str, float]], best_epoch: int | None, theme: Theme
) -> None:
    """Labels the axis of the epochs and marks the best epoch."""
    from matplotlib.ticker import MaxNLocator

    epochs = _epochs(history)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=theme.muted, lw=0.8, zorder=0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_xlim(*_padded(epochs.min(), epochs.max()))


def _epochs(history: Sequence[Mapping[str, float]]) -> np.ndarray:
    return np.array([row["epoch"] for row in history])


def _marker(history: Sequence[Mapping[str, float]]) -> str | None:
    return "o" if len(history) <= _MOST_MARKED_EPOCHS else None


def _upper_limit(losses: np.ndarray) -> float:
    """Returns the upper end of an axis of losses; 1 if no loss is finite and above 0."""
    highest = np.max(losses, where=np.isfinite(losses), initial=0.0)
    return 1.05 * highest or 1


def _padded(low: float, high: float) -> tuple[float, float]:
    """Returns the ends of an axis with a margin; one value gets a unit around it."""
    margin = 0.02 * (high - low) or 0.5
    return low - margin, high + margin


def plot_epochs(
    histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]],
    path: PathLike | Sequence[PathLike] | None = None,
) -> "Figure":
    """Plots accuracy and loss of several models over the epochs, for training and validation.

    Args:
        histories: Histories of the runs of each model, by its name. The mean over the runs is
            plotted; at epochs that some runs did not reach, it is the mean of the others.
        path: File to save, `.png` or `.pdf`; a sequence of files saves each; None saves nothing.

    Returns:
        The figure, which a notebook shows.

    Raises:
        ValueError: There is no model, or a model has no runs.
    """
    if not histories or not all(histories.values()):
        raise ValueError("expected models with at least one run each, got none")
    titles = {"wa": "WA (%)", "loss": "loss (nats)"}
    with styled(LIGHT):
        from matplotlib.ticker import MaxNLocator

        figure = new_figure(8.2, 5.6)
        grid = figure.subplots(2, 2, sharex=True)
        for row, metric in zip(grid, ("wa", "loss"), strict=True):
            for axes, split in zip(row, ("train", "validation"), strict=True):
                for number, (name, runs) in enumerate(histories.items()):
                    values = [
                        [run[epoch][f"{split}_{metric}"] for run in runs if epoch < len(run)]
                        for epoch in range(max(map(len, runs)))
                    ]
                    means = [(100 if metric == "wa" else 1) * np.mean(each) for each in values]
                    axes.plot(
                        range(1, len(means) + 1),
                        means,
                        marker="o",
                        ms=3,
                        color=f"C{number}",
                        ls=_LINE_STYLES[number % len(_LINE_STYLES)],
                        label=name,
                    )
                axes.set_title(
                    f"{'training' if split == 'train' else split} {titles[metric]}", loc="left"
                )
                axes.set_ylim(0, 100 if metric == "wa" else None)
                axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        for axes in grid[1]:
            axes.set_xlabel("epoch")
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 4))
    save(figure, path)
    return figure
