"""Results of an anti-transfer layer sweep: a table of the best layers, and a figure of all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax import metrics
from serjax.console import Console
from serjax.files import write_text_atomic
from serjax.report.files.formats import write_table
from serjax.report.files.predictions import read_predictions
from serjax.report.plots.layer_sweep import plot_layer_sweep
from serjax.report.tables.layout import console_table, markdown_table
from serjax.report.tables.run_set import pool
from serjax.report.tables.summary import bootstrap_groups, bootstrap_unit

Published = Mapping[tuple[str, str, str], tuple[float, int | None]]


def write_sweep(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    about: str,
    published: Published | None = None,
) -> list[dict[str, Any]]:
    """Writes `runs.csv`, `table.csv`, `table.md` and `layers.png`.

    The layer of a method is the one with the best mean validation accuracy over the seeds. The
    table reports its mean test accuracy, with a 95 % interval by bootstrap over speakers of the
    pooled test utterances of all seeds.

    Source: Guizzo et al. (2023), section 3.2.

    Args:
        folder: Folder of the files.
        rows: Runs of the sweep, each with `model`, `split`, `seed`, `method`, `layer`, `folder`,
            `parameters`, `validation` and `test` (accuracies in [0, 1]).
        about: Sentence above the table that describes the sweep.
        published: Published accuracy in per cent and layer by (model, method, split); None leaves
            their columns out.

    Returns:
        Rows of the table.

    Raises:
        InputError: The predictions of a run are missing or malformed.
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
    plot_layer_sweep(_grouped(rows), folder / "layers.png")
    return table


def print_sweep(console: Console, table: Sequence[Mapping[str, Any]]) -> None:
    """Prints the table of a layer sweep.

    Args:
        console: Console to print on.
        table: Rows, as returned by `write_sweep`.
    """
    columns = ("model", "method", "split", "layer", "test accuracy %", "95 % interval")
    rows = [(row["model"], row["method"], row["split"], *_cells(row)) for row in table]
    console = Console.of(console)
    console.print(console_table(console, columns, rows, text_columns=len(columns)))


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
    """Returns the layer with the best validation accuracy, and its test accuracy."""
    by_layer: dict[int | None, list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        by_layer[run["layer"]].append(run)
    layer = max(by_layer, key=lambda one: np.mean([run["validation"] for run in by_layer[one]]))
    at_best = by_layer[layer]
    interval = _interval(at_best)
    return {
        "model": key[0],
        "method": key[1],
        "split": key[2],
        "parameters": at_best[0]["parameters"],
        "layer": layer,
        "validation": float(np.mean([run["validation"] for run in at_best])),
        "test": float(np.mean([run["test"] for run in at_best])),
        "test_low": interval.low,
        "test_high": interval.high,
        "runs": len(at_best),
        "published_test": None if published is None else published[0] / 100,
        "published_layer": None if published is None else published[1],
    }


def _interval(runs: Sequence[Mapping[str, Any]]) -> metrics.Interval:
    folders = [Path(run["folder"]) for run in runs]
    tests = [read_predictions(each / "predictions.csv").of_split("test") for each in folders]
    test = pool(tests, folders[0].parent)
    groups = bootstrap_groups(test, bootstrap_unit(test))
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
    rows = []
    for row in table:
        cells = [row["model"], f"{row['parameters']:,}", row["method"], row["split"], *_cells(row)]
        cells.append(str(row["runs"]))
        if published:
            test, layer = row["published_test"], row["published_layer"]
            cells += ["" if test is None else f"{100 * test:.2f}", str(_or_empty(layer))]
        rows.append(cells)
    return f"{about}\n\n{markdown_table(columns, rows, text_columns=len(columns))}\n"


def _or_empty(value: Any) -> Any:
    return "" if value is None else value
