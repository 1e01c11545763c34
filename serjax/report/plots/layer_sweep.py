"""Figure of a layer sweep: the gain in accuracy at each layer of anti-transfer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from serjax.files import PathLike
from serjax.report.plots.drawing import LIGHT, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
Groups = Mapping[tuple[str, str, str], Rows]

_DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_MARKERS = "os^D"  # a single layer has no line


def plot_layer_sweep(groups: Groups, path: PathLike | None = None) -> "Figure | None":
    """Plots the mean test accuracy at each layer minus the accuracy without anti-transfer.

    A dotted line is the mean of the others.

    Source: Guizzo et al. (2023), Figure 2.

    Args:
        groups: Runs by (model, method, split), each with its `layer` and its `test` accuracy in
            [0, 1]. The method "none" is the baseline without anti-transfer. Methods without layers
            have no line.
        path: File to save, `.png` or `.pdf`; None saves nothing.

    Returns:
        The figure with a panel for each model; None if all runs are without anti-transfer.
    """
    models = sorted({key[0] for key, runs in groups.items() if _has_layers(runs)})
    if not models:
        return None
    with styled(LIGHT):
        figure = new_figure(4.2 * len(models), 3.4)
        panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for axes, model in zip(panels, models, strict=True):
            _plot_model(axes, model, groups)
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 4))
    save(figure, path)
    return figure


def gains(groups: Groups, key: tuple[str, str, str]) -> dict[int, float]:
    """Computes the gain at each layer of a method over the baseline, in points.

    Args:
        groups: Runs as `plot_layer_sweep` takes them.
        key: Model, method and split.

    Returns:
        Mean test accuracy of the method minus that without anti-transfer, by layer, ascending.
    """
    baseline = _mean_test(groups.get((key[0], "none", key[2]), []))
    layers = sorted({run["layer"] for run in groups[key]})
    at_layers = [[run for run in groups[key] if run["layer"] == layer] for layer in layers]
    return {
        layer: 100 * (_mean_test(runs) - baseline)
        for layer, runs in zip(layers, at_layers, strict=True)
    }


def mean_gains(of_lines: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """Computes the mean of several methods' and splits' gains at each layer.

    Args:
        of_lines: Gains by layer, from `gains`.
    """
    values: dict[int, list[float]] = {}
    for line in of_lines:
        for layer, gain in line.items():
            values.setdefault(layer, []).append(gain)
    return {layer: float(np.mean(values[layer])) for layer in sorted(values)}


def _plot_model(axes: "Axes", model: str, groups: Groups) -> None:
    """Plots a line for each method and split of one model."""
    lines = [key for key, runs in groups.items() if key[0] == model and _has_layers(runs)]
    methods = list(dict.fromkeys(method for _, method, _ in lines))
    of_lines = {key: gains(groups, key) for key in lines}
    for key, of_layers in of_lines.items():
        _, method, split = key
        number = methods.index(method)
        axes.plot(
            list(of_layers),
            list(of_layers.values()),
            marker=_MARKERS[number % len(_MARKERS)],
            ms=3,
            color=LIGHT.train if split == "random" else LIGHT.validation,
            ls=_DASHES[number % len(_DASHES)],
            label=f"{method}, {split}",
        )
    mean = mean_gains(of_lines.values())
    if len(lines) > 1:
        axes.plot(list(mean), list(mean.values()), color=LIGHT.ink, ls=":", lw=1, label="mean")
    axes.set_xticks(list(mean))
    axes.axhline(0, color=LIGHT.muted, lw=0.8, zorder=0)
    axes.set_xlabel("layer")
    axes.set_title(f"{model}: accuracy gained (points)", loc="left")


def _has_layers(runs: Rows) -> bool:
    return any(run["layer"] is not None for run in runs)


def _mean_test(runs: Rows) -> float:
    return float(np.mean([run["test"] for run in runs])) if runs else 0.0
