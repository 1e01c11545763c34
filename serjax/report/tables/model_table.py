"""Table of several cross-validations: a row for each model and protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serjax.console import Console
from serjax.files import PathLike, write_text_atomic
from serjax.report.files.records import read_config, read_summary
from serjax.report.tables.layout import console_table, markdown_table

_COLUMNS = ("model", "protocol", "WA %", "UA %", "macro F1 %", "UA of the runs %")
_TEXT_COLUMNS = 2


def write_model_table(folder: PathLike, names: Sequence[str]) -> list[list[str]]:
    """Writes `table.md`, a row for each cross-validation in a subfolder.

    The columns are WA, UA and macro F1 over the test utterances of all folds, with their 95 %
    intervals, and the mean and standard deviation of UA over the folds.

    Args:
        folder: Folder of the table and of the cross-validations.
        names: Names of the cross-validations' folders, each with `summary.json` (see
            `write_run_set`) and `config.json`.

    Returns:
        Cells of each row, as text.

    Raises:
        InputError: A file is missing or malformed.
    """
    rows = [_row(Path(folder) / name) for name in names]
    table = markdown_table(_COLUMNS, rows, text_columns=_TEXT_COLUMNS)
    write_text_atomic(Path(folder) / "table.md", f"{table}\n")
    return rows


def print_model_table(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """Prints a table of cross-validations.

    Args:
        console: Console to print on.
        rows: Rows, as returned by `write_model_table`.
    """
    console = Console.of(console)
    console.print(console_table(console, _COLUMNS, rows, text_columns=_TEXT_COLUMNS))


def _row(folder: Path) -> list[str]:
    config, summary = read_config(folder / "config.json"), read_summary(folder / "summary.json")
    pooled = [_interval(summary["pooled"][key]) for key in ("wa", "ua", "f1_macro")]
    mean, deviation = (summary[key]["ua"] for key in ("mean", "standard_deviation"))
    spread = f"{100 * mean:.1f} ± {100 * deviation:.1f}"
    return [config["model"]["name"], config["data"]["split"], *pooled, spread]


def _interval(metric: dict[str, Any]) -> str:
    low, high = 100 * metric["low"], 100 * metric["high"]
    return f"{100 * metric['value']:.1f} ({low:.1f} – {high:.1f})"
