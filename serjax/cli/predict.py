"""Recognizes emotions in recordings of any length, rate and format with a trained run.

python experiments/predict.py runs/synthetic-quat_vgg16-speaker-0 FILE...
python experiments/predict.py RUN FILE... --format csv > probabilities.csv
"""

import csv
import json
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serjax import audio, training
from serjax.cli.parser import Parser
from serjax.errors import InputError
from serjax.ops.cpu import use_threaded_convolutions
from serjax.training.devices.compilation_cache import enable_compilation_cache


def _parser() -> Parser:
    parser = Parser(__doc__)
    parser.add_argument("run", type=Path, help="a finished run folder")
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings")
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="(%(default)s)"
    )
    return parser


def _best(classes: list[str], probabilities: list[float]) -> str:
    """The class that is recognized."""
    return classes[max(range(len(classes)), key=probabilities.__getitem__)]


def _print_table(classes: list[str], rows: list[tuple[str, list[float]]]) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 10_000  # what reads a pipe or a file wants a line for each recording
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("recognized")
    for name in classes:
        table.add_column(Text(f"{name} %"), justify="right", no_wrap=True)
    for path, probabilities in rows:
        best = _best(classes, probabilities)
        cells = [f"{100 * p:.1f}" for p in probabilities]
        table.add_row(Text(path), Text(best), *cells)
    console.print(table)


def main() -> int:
    """Parses the command line and predicts; returns the exit status."""
    arguments = _parser().parse_args()
    use_threaded_convolutions()
    enable_compilation_cache()
    recognizer = training.Recognizer(arguments.run)
    waveforms = [audio.load(path, recognizer.sample_rate) for path in arguments.files]
    for path, waveform in zip(arguments.files, waveforms, strict=True):
        if len(waveform) < recognizer.shortest:
            seconds = recognizer.shortest / recognizer.sample_rate
            raise InputError(
                f"{path}: expected at least {seconds:.3f} s, found "
                f"{len(waveform) / recognizer.sample_rate:.3f} s"
            )
    probabilities = recognizer(waveforms).tolist()
    rows = list(zip(arguments.files, probabilities, strict=True))
    if arguments.format == "json":
        result = [
            {
                "file": path,
                "predicted": _best(recognizer.classes, p),
                "probabilities": dict(zip(recognizer.classes, p, strict=True)),
            }
            for path, p in rows
        ]
        print(json.dumps(result, indent=2))
    elif arguments.format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["file", "predicted", *(f"p_{name}" for name in recognizer.classes)])
        writer.writerows([path, _best(recognizer.classes, p), *p] for path, p in rows)
    else:
        _print_table(recognizer.classes, rows)
    return 0
