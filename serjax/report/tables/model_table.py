"""Several cross-validations side by side: models and protocols, a row each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from serjax.files import PathLike, write_text_atomic
from serjax.report.files.records import read_config, read_summary

_COLUMNS = ("model", "protocol", "WA %", "UA %", "macro F1 %", "UA of the runs %")


def write_model_table(folder: PathLike, names: Sequence[str]) -> list[list[str]]:
    """Writes `table.md` over series in sub-folders.

    Pooled WA, UA and macro F1 with their 95 % intervals, and mean and standard deviation of the
    folds' UA.

    Args:
        folder: Where the series lie.
        names: Their folders, each with `summary.json` (see `write_run_set`) and `config.json`.

    Returns:
        The rows, as text.

    Raises:
        InputError: A file is missing or malformed.
    """
    rows = [_row(Path(folder) / name) for name in names]
    rule = ["---", "---", *["---:"] * (len(_COLUMNS) - 2)]
    lines = (f"| {' | '.join(row)} |\n" for row in (_COLUMNS, rule, *rows))
    write_text_atomic(Path(folder) / "table.md", "".join(lines))
    return rows


def print_model_table(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """Prints what `write_model_table` wrote."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for number, name in enumerate(_COLUMNS):
        table.add_column(name, justify="right" if number > 1 else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _row(folder: Path) -> list[str]:
    config, summary = read_config(folder / "config.json"), read_summary(folder / "summary.json")
    pooled = [_interval(summary["pooled"][key]) for key in ("wa", "ua", "f1_macro")]
    mean, deviation = (summary[key]["ua"] for key in ("mean", "standard_deviation"))
    protocol = config["data"]["split"]
    return [config["model"]["name"], protocol, *pooled, f"{100 * mean:.1f} ± {100 * deviation:.1f}"]


def _interval(measured: dict[str, Any]) -> str:
    low, high = 100 * measured["low"], 100 * measured["high"]
    return f"{100 * measured['value']:.1f} ({low:.1f} – {high:.1f})"
