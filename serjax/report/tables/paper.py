"""A paper's tables, with what was measured here beside what it reports."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax.files import PathLike
from serjax.report.files.records import read_history, read_metrics, read_summary, read_timing
from serjax.report.plots.figures import plot_epochs
from serjax.report.tables.summary import METRIC_NAMES

_ABSENT = "not in the text"
_OVER_RUNS = {"mean_wa": "WA, mean of the folds", "mean_ua": "UA, mean of the folds"}
_OVER_EPOCHS = {
    "train_wa": "training WA",
    "validation_wa": "validation WA",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
}
_RATE = {"learning_rate": "learning rate"}
_COSTS = {"minutes": "training, minutes", "megabytes": "weights, MB"}
_BYTES_PER_PARAMETER = 4
_PER_CLASS = ("precision", "recall", "f1")


@dataclasses.dataclass(frozen=True)
class Figures:
    """A row for each configuration, a column for each figure.

    Attributes:
        title: As in the paper.
        published: Figures by row and then by name, None where the text does not give it.
            Names: "wa", "ua", "f1_macro", "f1_weighted" of the test part, in per cent; "mean_wa",
            "mean_ua", the same as means of the folds; "train_wa", "validation_wa" (per cent),
            "train_loss", "validation_loss" (nats), of the best epoch in each; "minutes" of training
            a fold; "megabytes" of weights in float32; or a class, whose recall it is, in per cent.
        others: The same of systems that the paper compares itself with.
    """

    title: str
    published: Mapping[str, Mapping[str, float | None]]
    others: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return tuple(self.published)


@dataclasses.dataclass(frozen=True)
class PerClass:
    """Precision, recall and F1 of each class.

    Attributes:
        title: As in the paper.
        published: By row and then by class, "weighted mean" or "unweighted mean" of the classes,
            precision, recall and F1 in per cent.
    """

    title: str
    published: Mapping[str, Mapping[str, tuple[float, float, float]]]

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return tuple(self.published)


@dataclasses.dataclass(frozen=True)
class Confusion:
    """A confusion matrix, in per cent of the true class.

    Attributes:
        title: As in the paper.
        row: Name of the row.
        classes: Of the published matrix.
        published: Per cent, rows true; None where the paper shows it without saying it.
    """

    title: str
    row: str
    classes: tuple[str, ...] = ()
    published: tuple[tuple[float, ...], ...] | None = None

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return (self.row,)


@dataclasses.dataclass(frozen=True)
class Epochs:
    """How training went, epoch by epoch, as a mean of the folds.

    Attributes:
        title: As in the paper.
        row: Name of the row.
        published: "train_loss", "validation_loss" in nats, "validation_wa" in per cent and so on,
            or "learning_rate" of the last step, from the first epoch on; empty where the text does
            not give it.
    """

    title: str
    row: str
    published: Mapping[str, tuple[float, ...]]

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return (self.row,)


@dataclasses.dataclass(frozen=True)
class Curves:
    """A figure of accuracy and loss over the epochs, a line for each row.

    Attributes:
        title: As in the paper.
        rows: Names of the rows.
        file: Name of the figure's file.
    """

    title: str
    rows: tuple[str, ...]
    file: str


PaperTable = Figures | PerClass | Confusion | Epochs | Curves


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """What a row of a paper came to here.

    Attributes:
        title: Of the row.
        metrics: Content of `metrics.json`, of all test utterances.
        summary: Content of `summary.json`; empty of a single run.
        histories: Rows of `history.csv` of each run; none of a model that has no epochs.
        parameters: Of the network; None of a model that has none.
        seconds: That training took, compilation included, as a mean of the runs.
        published: Whether it is configured as published, and not tuned.
    """

    title: str
    metrics: Mapping[str, Any]
    summary: Mapping[str, Any]
    histories: Sequence[Sequence[Mapping[str, float]]]
    parameters: int | None
    seconds: float
    published: bool = True


def read_outcome(folder: PathLike, title: str, *, published: bool = True) -> Outcome:
    """Reads what a run, or a series of runs, left in its folder.

    Args:
        folder: As `write_run_set`, or a run, leaves it.
        title: Of the row.
        published: See `Outcome`.

    Raises:
        InputError: A file is missing or malformed.
    """
    folder = Path(folder)
    summary = read_summary(folder / "summary.json")
    runs = [folder / row["run"] for row in summary["runs"]] if summary else [folder]
    # The runs of an ensemble lie deeper, a folder for each member.
    single = [member for run in runs for member in _members(run)]
    paths = [run / "history.csv" for run in single]
    timings = [read_timing(run / "timing.json") for run in single]
    spent = [t.get("compile", 0.0) + t.get("train", 0.0) for t in timings]
    return Outcome(
        title=title,
        metrics=read_metrics(folder / "metrics.json"),
        summary=summary,
        histories=[read_history(path) for path in paths if path.exists()],
        parameters=read_metrics(single[0] / "metrics.json").get("parameters"),
        seconds=float(np.mean(spent)),
        published=published,
    )


def _members(run: Path) -> list[Path]:
    """The run itself, or the runs whose answers it is the mean of."""
    names = read_metrics(run / "metrics.json").get("members")
    return [run / name for name in names] if names else [run]


def paper_markdown(
    table: PaperTable, outcomes: Mapping[str, Sequence[Outcome]], folder: PathLike
) -> str:
    """A table as Markdown, under its title; empty where nothing of it ran.

    Args:
        table: What the paper has.
        outcomes: What ran of each row: as published, tuned, or both.
        folder: Where figures are written.
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
    else:
        body = _curves(table, outcomes, Path(folder))
    return f"## {table.title}\n\n{body}\n" if body else ""


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def _figures(table: Figures, outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    order = (*METRIC_NAMES, *_OVER_RUNS, *_OVER_EPOCHS, *_COSTS)
    known = dict.fromkeys(name for row in table.published.values() for name in row)
    shown = [*(n for n in order if n in known), *(n for n in known if n not in order)]
    header = ["", *(f"{_title(name)} {whose}" for name in shown for whose in ("paper", "here"))]
    rows = []
    for title, figures in table.others.items():
        cells = [cell for name in shown for cell in (_published(name, figures), "")]
        rows.append([title, *cells])
    for row, published in table.published.items():
        for outcome in outcomes.get(row, ()):
            paper = published if outcome.published else {}
            cells = [c for name in shown for c in (_published(name, paper), _here(name, outcome))]
            rows.append([outcome.title, *cells])
    return _grid(header, rows)


def _title(name: str) -> str:
    if name in _COSTS or name in _RATE or name.endswith("_loss"):
        return {**_COSTS, **_RATE, **_OVER_EPOCHS}[name]
    return f"{ {**METRIC_NAMES, **_OVER_RUNS, **_OVER_EPOCHS}.get(name, f'recall of {name}') } %"


def _published(name: str, figures: Mapping[str, float | None]) -> str:
    if name not in figures:
        return ""
    figure = figures[name]
    return _ABSENT if figure is None else f"{figure:g}"


def _here(name: str, outcome: Outcome) -> str:
    """A figure of ours, with its interval or deviation where it has one."""
    if name in METRIC_NAMES:
        value, low, high = (
            100 * outcome.metrics["test"][name][k] for k in ("value", "low", "high")
        )
        return f"{value:.1f} ({low:.1f} – {high:.1f})"
    if name in _OVER_RUNS and outcome.summary:
        key = name.removeprefix("mean_")
        mean, deviation = (outcome.summary[k][key] for k in ("mean", "standard_deviation"))
        return f"{100 * mean:.1f} ± {100 * deviation:.1f}"
    if name in _OVER_EPOCHS and outcome.histories:
        best, scale = (min, 1.0) if name.endswith("_loss") else (max, 100.0)
        found = [best(row[name] for row in history) for history in outcome.histories]
        return f"{scale * np.mean(found):.3g}"
    if name == "minutes":
        return f"{outcome.seconds / 60:.1f}"
    if name == "megabytes" and outcome.parameters is not None:
        return f"{outcome.parameters * _BYTES_PER_PARAMETER / 1e6:.1f}"
    if name in outcome.metrics["per_class"]:
        return f"{100 * outcome.metrics['per_class'][name]['recall']:.1f}"
    return ""


def _per_class(table: PerClass, outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    header = ["", "class"]
    header += [f"{title} % {who}" for title in _PER_CLASS for who in ("paper", "here")]
    rows = []
    for row, published in table.published.items():
        for outcome in outcomes.get(row, ()):
            found = {**outcome.metrics["per_class"], **_means(outcome.metrics["per_class"])}
            paper = published if outcome.published else {}
            for name in dict.fromkeys((*paper, *found)):
                cells = []
                for at, key in enumerate(_PER_CLASS):
                    cells.append(f"{paper[name][at]:g}" if name in paper else "")
                    cells.append(f"{100 * found[name][key]:.1f}" if name in found else "")
                rows.append([outcome.title, name, *cells])
    return _grid(header, rows)


def _means(per_class: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Means of the classes, weighted by their number of utterances and not."""
    values = np.array([[each[key] for key in _PER_CLASS] for each in per_class.values()])
    weights = np.array([each["support"] for each in per_class.values()])
    means = {"weighted mean": weights @ values / weights.sum(), "unweighted mean": values.mean(0)}
    return {name: dict(zip(_PER_CLASS, each, strict=True)) for name, each in means.items()}


def _confusion(table: Confusion, outcome: Outcome) -> str:
    classes = outcome.metrics["classes"]
    counts = np.asarray(outcome.metrics["confusion"], float)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    lines = [f"{outcome.title}, here; rows true, % of them:", ""]
    lines.append(_grid(["", *classes], _matrix(classes, shares, ".1f")))
    if outcome.published:
        lines += ["", "In the paper:", ""]
        if table.published is None:
            lines[-2:] = [f"The paper's figures are {_ABSENT}."]
        else:
            published = np.asarray(table.published)
            lines.append(_grid(["", *table.classes], _matrix(table.classes, published, "g")))
    return "\n".join(lines)


def _matrix(classes: Sequence[str], shares: np.ndarray, form: str) -> list[list[str]]:
    return [
        [name, *(f"{share:{form}}" for share in row)]
        for name, row in zip(classes, shares, strict=True)
    ]


def _epochs(table: Epochs, outcome: Outcome) -> str:
    if not outcome.histories:
        return ""
    names = list(table.published)
    header = [f"epoch of {outcome.title}"]
    header += [f"{_title(name)} {whose}" for name in names for whose in ("paper", "here")]
    longest = max(len(history) for history in outcome.histories)
    shown = max(longest, *(len(values) for values in table.published.values()))
    rows = []
    for epoch in range(shown):
        cells = []
        for name in names:
            paper = table.published[name] if outcome.published else ()
            cells.append(f"{paper[epoch]:g}" if epoch < len(paper) else "")
            found = [history[epoch][name] for history in outcome.histories if epoch < len(history)]
            scale = 100.0 if name.endswith(("_wa", "_ua")) else 1.0
            cells.append(f"{scale * np.mean(found):.3g}" if found else "")
        rows.append([str(epoch + 1), *cells])
    return _grid(header, rows)


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
    return f"![{table.title}]({table.file})\n\nMeans of the folds."
