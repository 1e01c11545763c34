"""Predict recordings of any length, rate and format with a trained run.

serjax predict runs/synthetic-quat_vgg16-speaker-0 FILE...
serjax predict RUN FILE... --format csv > probabilities.csv
"""

import csv
import json
import sys
from pathlib import Path

from serjax.cli import flags
from serjax.cli.parser import Parser
from serjax.console import Console, printable
from serjax.errors import InputError
from serjax.files.csv_cells import safe_cell


def _parser() -> Parser:
    parser = Parser(__doc__, usage="%(prog)s RUN FILE [FILE ...] [options]")
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="Folder of a finished run.")
    add("files", nargs="+", metavar="FILE", help="Recordings.")
    add(
        "--format",
        choices=("table", "csv", "json"),
        default="table",
        help="Format of the output (default: %(default)s).",
    )
    add(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="Module that registers the run's model; repeatable.",
    )
    return parser


def _most_probable(classes: list[str], probabilities: list[float]) -> str:
    return classes[max(range(len(classes)), key=probabilities.__getitem__)]


def _print_json(classes: list[str], rows: list[tuple[str, list[float]]]) -> None:
    """Prints a list of objects; names are escaped by JSON, and come back exactly."""
    result = [
        {
            "file": path,
            "predicted": _most_probable(classes, probabilities),
            "probabilities": dict(zip(classes, probabilities, strict=True)),
        }
        for path, probabilities in rows
    ]
    print(json.dumps(result, indent=2))


def _print_csv(classes: list[str], rows: list[tuple[str, list[float]]]) -> None:
    """Prints a table that a terminal and a spreadsheet can show."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "predicted", *(f"p_{printable(name)}" for name in classes)])
    for path, probabilities in rows:
        names = (path, _most_probable(classes, probabilities))
        writer.writerow([*(safe_cell(printable(name)) for name in names), *probabilities])


def _print_table(classes: list[str], rows: list[tuple[str, list[float]]]) -> None:
    from rich import box
    from rich.table import Table

    console = Console()
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("predicted")
    for name in classes:
        table.add_column(f"{name} %", justify="right", no_wrap=True)
    for path, probabilities in rows:
        cells = [f"{100 * p:.1f}" for p in probabilities]
        table.add_row(path, _most_probable(classes, probabilities), *cells)
    console.print(table)


def main() -> int:
    """Parses the command line and predicts; returns the exit status."""
    arguments = _parser().parse_args()
    from serjax import audio, training
    from serjax.ops.cpu import use_threaded_convolutions
    from serjax.training.devices.compilation_cache import enable_compilation_cache

    use_threaded_convolutions()
    enable_compilation_cache()
    flags.import_modules(arguments.imports)
    recognizer = training.Recognizer(arguments.run)
    waveforms = [audio.load(path, recognizer.sample_rate) for path in arguments.files]
    for path, waveform in zip(arguments.files, waveforms, strict=True):
        if len(waveform) < recognizer.min_samples:
            seconds = recognizer.min_samples / recognizer.sample_rate
            raise InputError(
                f"{path}: expected at least {seconds:.3f} s, found "
                f"{len(waveform) / recognizer.sample_rate:.3f} s"
            )
    probabilities = recognizer(waveforms).tolist()
    rows = list(zip(arguments.files, probabilities, strict=True))
    printers = {"csv": _print_csv, "json": _print_json, "table": _print_table}
    printers[arguments.format](recognizer.classes, rows)
    return 0
