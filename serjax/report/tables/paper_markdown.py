"""Tables of papers as Markdown: the published results next to those measured here."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax.files import PathLike
from serjax.report.plots.curves import plot_epochs
from serjax.report.plots.layer_sweep import gains, mean_gains, plot_layer_sweep
from serjax.report.tables.layout import markdown_table
from serjax.report.tables.outcome import Outcome
from serjax.report.tables.paper import (
    Confusion,
    Curves,
    Epochs,
    Figures,
    LayerGains,
    PaperTable,
    PerClass,
)
from serjax.report.tables.summary import METRIC_NAMES

_ABSENT = "not in the text"
_MEANS_OVER_RUNS = {"mean_wa": "WA, mean over the folds", "mean_ua": "UA, mean over the folds"}
_BEST_EPOCHS = {
    "train_wa": "training WA",
    "validation_wa": "validation WA",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
}
_RATE = {"learning_rate": "learning rate"}
_COSTS = {
    "minutes": "training, minutes",
    "megabytes": "weights, MB",
    "parameters": "parameters, millions",
}
_BYTES_PER_PARAMETER = 4
_PER_CLASS = ("precision", "recall", "f1")


def paper_markdown(
    table: PaperTable, outcomes: Mapping[str, Sequence[Outcome]], folder: PathLike
) -> str:
    """Formats a table of a paper as Markdown, under its title.

    Args:
        table: Table of the paper.
        outcomes: Results by row: of the published configuration, a tuned one, or both.
        folder: Folder that figures are written to.

    Returns:
        Markdown text; empty if no row of the table was run.
    """
    if not any(outcomes.get(name) for name in table.rows):
        return ""
    if isinstance(table, Figures):
        body = _figures(table, outcomes)
    elif isinstance(table, PerClass):
        body = _per_class(table, outcomes)
    elif isinstance(table, Confusion):
        body = "\n\n".join(_confusion(table, each) for each in outcomes[table.row])
    elif isinstance(table, Epochs):
        body = "\n\n".join(_epochs(table, each) for each in outcomes[table.row])
    elif isinstance(table, LayerGains):
        body = _layer_gains(table, outcomes, Path(folder))
    else:
        body = _curves(table, outcomes, Path(folder))
    return f"## {table.title}\n\n{body}\n" if body else ""


def _figures(table: Figures, outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    order = (*METRIC_NAMES, *_MEANS_OVER_RUNS, *_BEST_EPOCHS, *_COSTS)
    known = dict.fromkeys(name for row in table.published.values() for name in row)
    shown = [*(n for n in order if n in known), *(n for n in known if n not in order)]
    header = ["", *(f"{_title(name)} {source}" for name in shown for source in ("paper", "here"))]
    rows = []
    for title, values in table.others.items():
        cells = [cell for name in shown for cell in (_published(name, values), "")]
        rows.append([title, *cells])
    for row, published in table.published.items():
        for outcome in outcomes.get(row, ()):
            paper = published if outcome.published else {}
            cells = [c for name in shown for c in (_published(name, paper), _here(name, outcome))]
            rows.append([outcome.title, *cells])
    return markdown_table(header, rows)


def _title(name: str) -> str:
    if name in _COSTS or name in _RATE or name.endswith("_loss"):
        return {**_COSTS, **_RATE, **_BEST_EPOCHS}[name]
    titles = {**METRIC_NAMES, **_MEANS_OVER_RUNS, **_BEST_EPOCHS}
    return f"{titles.get(name, f'recall of {name}')} %"


def _published(name: str, values: Mapping[str, float | None]) -> str:
    if name not in values:
        return ""
    value = values[name]
    return _ABSENT if value is None else f"{value:g}"


def _here(name: str, outcome: Outcome) -> str:
    """Formats a value measured here, with its interval or standard deviation if it has one."""
    if name in METRIC_NAMES:
        value, low, high = (
            100 * outcome.metrics["test"][name][k] for k in ("value", "low", "high")
        )
        return f"{value:.1f} ({low:.1f} – {high:.1f})"
    if name in _MEANS_OVER_RUNS and outcome.summary:
        key = name.removeprefix("mean_")
        mean, deviation = (outcome.summary[k][key] for k in ("mean", "standard_deviation"))
        return f"{100 * mean:.1f} ± {100 * deviation:.1f}"
    if name in _BEST_EPOCHS and outcome.histories:
        best, scale = (min, 1.0) if name.endswith("_loss") else (max, 100.0)
        values = [best(row[name] for row in history) for history in outcome.histories]
        return f"{scale * np.mean(values):.3g}"
    if name == "minutes":
        return f"{outcome.seconds / 60:.1f}"
    if name == "megabytes" and outcome.parameters is not None:
        return f"{outcome.parameters * _BYTES_PER_PARAMETER / 1e6:.1f}"
    if name == "parameters" and outcome.parameters is not None:
        return f"{outcome.parameters / 1e6:.1f}"
    if name in outcome.metrics["per_class"]:
        return f"{100 * outcome.metrics['per_class'][name]['recall']:.1f}"
    return ""


def _per_class(table: PerClass, outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    header = ["", "class"]
    header += [f"{title} % {source}" for title in _PER_CLASS for source in ("paper", "here")]
    rows = []
    for row, published in table.published.items():
        for outcome in outcomes.get(row, ()):
            measured = {**outcome.metrics["per_class"], **_means(outcome.metrics["per_class"])}
            paper = published if outcome.published else {}
            for name in dict.fromkeys((*paper, *measured)):
                cells = []
                for at, key in enumerate(_PER_CLASS):
                    cells.append(f"{paper[name][at]:g}" if name in paper else "")
                    cells.append(f"{100 * measured[name][key]:.1f}" if name in measured else "")
                rows.append([outcome.title, name, *cells])
    return markdown_table(header, rows)


def _means(per_class: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Returns means over the classes, weighted by their numbers of utterances and unweighted."""
    values = np.array([[each[key] for key in _PER_CLASS] for each in per_class.values()])
    weights = np.array([each["support"] for each in per_class.values()])
    means = {"weighted mean": weights @ values / weights.sum(), "unweighted mean": values.mean(0)}
    return {name: dict(zip(_PER_CLASS, each, strict=True)) for name, each in means.items()}


def _confusion(table: Confusion, outcome: Outcome) -> str:
    classes = outcome.metrics["classes"]
    counts = np.asarray(outcome.metrics["confusion"], float)
    percentages = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    lines = [f"{outcome.title}, here; rows true, % of them:", ""]
    lines.append(markdown_table(["", *classes], _matrix(classes, percentages, ".1f")))
    if outcome.published:
        lines += ["", "In the paper:", ""]
        if table.published is None:
            lines[-2:] = [f"The paper's figures are {_ABSENT}."]
        else:
            published = np.asarray(table.published)
            lines.append(
                markdown_table(["", *table.classes], _matrix(table.classes, published, "g"))
            )
    return "\n".join(lines)


def _matrix(classes: Sequence[str], percentages: np.ndarray, spec: str) -> list[list[str]]:
    return [
        [name, *(f"{value:{spec}}" for value in row)]
        for name, row in zip(classes, percentages, strict=True)
    ]


def _epochs(table: Epochs, outcome: Outcome) -> str:
    if not outcome.histories:
        return ""
    names = list(table.published)
    header = [f"epoch of {outcome.title}"]
    header += [f"{_title(name)} {source}" for name in names for source in ("paper", "here")]
    longest = max(len(history) for history in outcome.histories)
    shown = max(longest, *(len(values) for values in table.published.values()))
    rows = []
    for epoch in range(shown):
        cells = []
        for name in names:
            paper = table.published[name] if outcome.published else ()
            cells.append(f"{paper[epoch]:g}" if epoch < len(paper) else "")
            values = [history[epoch][name] for history in outcome.histories if epoch < len(history)]
            scale = 100.0 if name.endswith(("_wa", "_ua")) else 1.0
            cells.append(f"{scale * np.mean(values):.3g}" if values else "")
        rows.append([str(epoch + 1), *cells])
    return markdown_table(header, rows)


def _curves(table: Curves, outcomes: Mapping[str, Sequence[Outcome]], folder: Path) -> str:
    histories = {
        outcome.title: outcome.histories
        for row in table.rows
        for outcome in outcomes.get(row, ())
        if outcome.histories
    }
    if not histories:
        return ""
    plot_epochs(histories, folder / table.file)
    return f"![{table.title}]({table.file})\n\nMeans over the folds."


def _layer_gains(table: LayerGains, outcomes: Mapping[str, Sequence[Outcome]], folder: Path) -> str:
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in table.rows:
        for outcome in outcomes.get(row, ()):
            for run in outcome.sweep if outcome.published else ():
                groups[run["model"], run["method"], run["split"]].append(run)
    if plot_layer_sweep(groups, folder / table.file) is None:
        return ""
    columns: dict[tuple[str, ...], dict[int, float]] = {}
    for model in dict.fromkeys(key[0] for key in groups):
        lines: dict[tuple[str, ...], dict[int, float]] = {
            key: gains(groups, key) for key in groups if key[0] == model and key[1] != "none"
        }
        columns |= {**lines, (model, "mean"): mean_gains(lines.values())}
    layers = sorted(set().union(*columns.values()))
    rows = [
        [str(layer), *(f"{of[layer]:+.1f}" if layer in of else "" for of in columns.values())]
        for layer in layers
    ]
    header = ["layer", *(", ".join(key) for key in columns)]
    return f"![{table.title}]({table.file})\n\n{markdown_table(header, rows)}"
