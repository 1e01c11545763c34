"""What a sweep of anti-transfer came to: a table of the best layers, and a figure of all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from serjax import metrics
from serjax.files import write_text_atomic
from serjax.report.files.formats import write_table
from serjax.report.files.records import read_predictions
from serjax.report.plots.drawing import LIGHT, new_figure, save, styled
from serjax.report.tables.run_set import pool
from serjax.report.tables.summary import drawn_whole, resampled

Published = Mapping[tuple[str, str, str], tuple[float, int | None]]


def write_sweep(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    about: str,
    published: Published | None = None,
) -> list[dict[str, Any]]:
    """Writes `runs.csv`, `table.csv`, `table.md` and `layers.png`.

    The layer of a method is the one with the best mean validation accuracy over the seeds, as in
    section 3.2 of Guizzo et al. 2023; what is reported of it is the mean test accuracy, with a
    95 % interval by bootstrap over speakers of the test utterances of all seeds together.

    Args:
        folder: Where.
        rows: Of every run `model`, `split`, `seed`, `method`, `layer`, `folder`, `parameters`,
            `validation` and `test` (accuracies in [0, 1]).
        about: What was run, in a sentence for the table.
        published: (model, method, split) -> accuracy in % and layer, in the paper.

    Returns:
        Rows of the table.
    """
    columns = ("model", "split", "seed", "method", "layer", "validation", "test", "parameters")
    write_table(
        folder / "runs.csv", columns, ([_or_empty(row[c]) for c in columns] for row in rows)
    )
    table = [_best(key, runs, (published or {}).get(key)) for key, runs in _grouped(rows).items()]
    write_table(
        folder / "table.csv", list(table[0]), ([_or_empty(v) for v in r.values()] for r in table)
    )
    write_text_atomic(folder / "table.md", _markdown(table, about, published is not None))
    _plot(rows, folder / "layers.png")
    return table


def print_sweep(console: Console, table: Sequence[Mapping[str, Any]]) -> None:
    """Prints the rows of the table."""
    style = box.SIMPLE_HEAD if console.is_terminal else None
    shown = Table(box=style, pad_edge=False)
    for column in ("model", "method", "split", "layer", "test accuracy %", "95 % interval"):
        shown.add_column(column, no_wrap=True)
    for row in table:
        shown.add_row(row["model"], row["method"], row["split"], *_cells(row))
    console.print(shown)


def _grouped(
    rows: Iterable[Mapping[str, Any]],
) -> dict[tuple[str, str, str], list[Mapping[str, Any]]]:
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["model"], row["method"], row["split"]].append(row)
    return groups


def _best(
    key: tuple[str, str, str],
    runs: Sequence[Mapping[str, Any]],
    published: tuple[float, int | None] | None,
) -> dict[str, Any]:
    """The layer that validation chooses, and its test accuracy."""
    by_layer: dict[int | None, list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        by_layer[run["layer"]].append(run)
    layer = max(by_layer, key=lambda one: np.mean([run["validation"] for run in by_layer[one]]))
    chosen = by_layer[layer]
    interval = _interval(chosen)
    return {
        "model": key[0],
        "method": key[1],
        "split": key[2],
        "parameters": chosen[0]["parameters"],
        "layer": layer,
        "validation": float(np.mean([run["validation"] for run in chosen])),
        "test": float(np.mean([run["test"] for run in chosen])),
        "test_low": interval.low,
        "test_high": interval.high,
        "runs": len(chosen),
        "published_test": None if published is None else published[0] / 100,
        "published_layer": None if published is None else published[1],
    }


def _interval(runs: Sequence[Mapping[str, Any]]) -> metrics.Interval:
    folders = [Path(run["folder"]) for run in runs]
    tests = [read_predictions(each / "predictions.csv").of_split("test") for each in folders]
    test = pool(tests, folders[0].parent)
    groups = drawn_whole(test, resampled(test))
    return metrics.bootstrap(test.true, test.predicted, len(test.classes), groups=groups)["wa"]


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return (
        "" if row["layer"] is None else str(row["layer"]),
        f"{100 * row['test']:.1f}",
        f"{100 * row['test_low']:.1f} – {100 * row['test_high']:.1f}",
    )


def _markdown(table: Sequence[Mapping[str, Any]], about: str, published: bool) -> str:
    columns = ["model", "parameters", "anti-transfer", "split", "layer", "test accuracy %"]
    columns += ["95 % interval", "runs", *(["published %", "its layer"] if published else [])]
    lines = [about, "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in table:
        cells = [row["model"], f"{row['parameters']:,}", row["method"], row["split"], *_cells(row)]
        cells.append(str(row["runs"]))
        if published:
            test, layer = row["published_test"], row["published_layer"]
            cells += ["" if test is None else f"{100 * test:.2f}", str(_or_empty(layer))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Mean test accuracy at each layer less that without anti-transfer, as Figure 2 shows it."""
    groups = _grouped(rows)
    models = sorted({model for model, method, _ in groups if method != "none"})
    if not models:
        return
    dashes = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
    markers = "os^D"  # of a single layer there is no line
    with styled(LIGHT):
        figure = new_figure(4.2 * len(models), 3.4)
        for axes, model in zip(
            figure.subplots(1, len(models), sharey=True, squeeze=False)[0], models, strict=True
        ):
            lines = [key for key in groups if key[0] == model and key[1] != "none"]
            methods = list(dict.fromkeys(method for _, method, _ in lines))
            for key in lines:
                _, method, split = key
                base = groups.get((model, "none", split), [])
                zero = np.mean([run["test"] for run in base]) if base else 0.0
                layers = sorted({run["layer"] for run in groups[key]})
                values = [
                    100 * (np.mean([r["test"] for r in groups[key] if r["layer"] == at]) - zero)
                    for at in layers
                ]
                axes.plot(
                    layers,
                    values,
                    marker=markers[methods.index(method) % len(markers)],
                    ms=3,
                    color=LIGHT.train if split == "random" else LIGHT.validation,
                    ls=dashes[methods.index(method) % len(dashes)],
                    label=f"{method}, {split}",
                )
            axes.set_xticks(sorted({run["layer"] for key in lines for run in groups[key]}))
            axes.axhline(0, color=LIGHT.muted, lw=0.8, zorder=0)
            axes.set_xlabel("layer")
            axes.set_title(f"{model}: accuracy gained (points)", loc="left")
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 4))
    save(figure, path)


def _or_empty(value: Any) -> Any:
    return "" if value is None else value
