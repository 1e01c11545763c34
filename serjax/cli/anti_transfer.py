"""Sweeps anti-transfer over tasks, layers, splits and algebras: Table 1 and Figure 2 of the paper.

    python experiments/anti_transfer.py --layers 2 --methods none,single-s
    python experiments/anti_transfer.py --model vgg16,quat_vgg16 --layers all --dataset ravdess
        --data-dir RAVDESS --teacher-dataset fsdd --teacher-dir FSDD --out runs/table-1 --resume

Guizzo et al. (WASPAA 2023) train VGG16 against what speakers (S) and words (W) look like to it, one
or both after another, at each of 13 layers, and report the layer that validation chooses. Finished
runs are not run again. The folder gets `table.md` beside the published figures, `table.csv`,
`runs.csv`, `layers.png`, and every run and teacher.
"""

import argparse
import dataclasses
import shlex
from pathlib import Path

from rich.console import Console

from serjax import data, report
from serjax.anti_transfer import sweep
from serjax.cli import arguments
from serjax.cli.parser import Parser
from serjax.errors import InputError
from serjax.recipes import guizzo2023


def _parser() -> Parser:
    parser = Parser(__doc__, usage="%(prog)s [options]")
    add = parser.add_argument
    add(
        "--methods",
        default=",".join(sweep.Sweep.methods),
        help=f"comma-separated, of {', '.join(sweep.METHODS)} (%(default)s)",
    )
    add("--layers", default="2,9", help="convolutions, comma-separated, or all (%(default)s)")
    add("--splits", default="random,speaker", help="comma-separated (%(default)s)")
    add("--seeds", type=int, default=1, help="repetitions, from --seed on (%(default)s)")
    add("--teacher-dataset", help=f"{', '.join(data.names())} (each run's own training part)")
    add("--teacher-dir", help="folder of that corpus")
    add("--teacher-epochs", type=int, help="at most (as suits model and corpus)")
    arguments.add_corpus(parser)
    arguments.add_training(parser, networks_alone=True)
    return parser


def _layers(text: str) -> tuple[int, ...] | None:
    """Numbers of convolutions; None for all that a model has."""
    if text == "all":
        return None
    numbers = text.split(",")
    if not all(number.isdigit() for number in numbers):
        raise InputError(f"--layers: expected numbers such as 2,9, or all; found {text!r}")
    return tuple(map(int, numbers))


def _sweep(given: argparse.Namespace) -> sweep.Sweep:
    base = arguments.config_of(
        given,
        dataset=given.dataset,
        data_dir=given.data_dir,
        dataset_options=dict(given.dataset_options),
    )
    teachers = None
    if given.teacher_dataset is not None:
        teachers = base.replace(
            dataset=given.teacher_dataset,
            data_dir=given.teacher_dir,
            dataset_options={},
            labels=None,
            epochs=given.teacher_epochs,
        )
    elif given.teacher_dir is not None:
        raise InputError("--teacher-dir: expected with --teacher-dataset, found without")
    return sweep.Sweep(
        base,
        models=given.model.split(","),
        methods=given.methods.split(","),
        layers=_layers(given.layers),
        splits=given.splits.split(","),
        seeds=range(given.seed, given.seed + given.seeds),
        teachers=teachers,
    )


def _run(given: argparse.Namespace) -> int:
    planned = _sweep(given)
    planned.check()
    folder = given.out or Path("runs") / f"{given.dataset}-anti-transfer"
    if folder.exists() and any(folder.iterdir()) and not given.resume:
        raise InputError(f"{folder}: expected a new or empty folder; go on with it by --resume")
    console = Console()

    def run(command: list[str]) -> None:
        rows = sweep.accuracies(planned.run(folder, console, command))
        table = report.write_sweep(
            folder, rows, f"`{shlex.join(command)}`", guizzo2023.table_1(given.dataset) or None
        )
        report.print_sweep(console, table)
        console.print(f"written {folder}: table.md, table.csv, runs.csv, layers.png")

    return arguments.run(run)


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = _parser()
    given = parser.parse_args()
    with parser.naming_flags():
        return _run(given)
