"""Trains and tests a model on every fold of a protocol, so that each utterance is tested once.

    python experiments/cross_validate.py --model svm --dataset emodb --data-dir EMODB
    python experiments/cross_validate.py --model dscnn --dataset ravdess --data-dir RAVDESS \
        --protocol speaker --folds 5 --seeds 3
    python experiments/cross_validate.py --model knn,lda,svm,dscnn --protocol random,speaker ...
    python experiments/cross_validate.py ... --out DIR --resume

Each fold is an ordinary run in its own folder, or --members of them that answer together;
table.md, folds.csv, summary.json and report.html beside them sum up. Of several models or protocols
each has such a folder, and table.md has a row for each. Finished folds are not run again by
--resume.
"""

import argparse
import dataclasses
from pathlib import Path

from rich.console import Console

from serjax import protocols, report, training
from serjax.cli import arguments
from serjax.cli.parser import Parser
from serjax.data import splits
from serjax.errors import InputError
from serjax.training.devices import processes
from serjax.training.devices.processes import by_first


def _parser() -> Parser:
    parser = Parser(__doc__, usage="%(prog)s [options]")
    add = parser.add_argument
    arguments.add_corpus(parser)
    add("--protocol", default="speaker", help=f"{', '.join(splits.protocols())} (%(default)s)")
    add("--folds", type=int, help="how many, where the protocol leaves a choice (5)")
    arguments.add_repetitions(parser)
    add(
        "--together",
        default="auto",
        help=f"folds and seeds in one program: {', '.join(protocols.CHOICES)} (%(default)s)",
    )
    arguments.add_training(parser)
    arguments.add_distributed(parser)
    return parser


def _run(given: argparse.Namespace) -> int:
    config = arguments.config_of(
        given,
        dataset=given.dataset,
        data_dir=given.data_dir,
        dataset_options=dict(given.dataset_options),
        split=given.protocol,
    )
    configs, notes = training.for_models(config, given.model.split(","))
    series = {
        f"{model}-{protocol}": each.replace(split=protocol)
        for protocol in given.protocol.split(",")
        for model, each in configs.items()
    }
    for each in series.values():
        each.replace(fold="1/5").check()

    def cross_validate(
        each: training.RunConfig, out: Path | None, console: Console, command: list[str]
    ) -> None:
        protocols.cross_validate(
            each,
            folds=given.folds,
            seeds=given.seeds,
            members=given.members,
            out=out,
            resume=given.resume,
            console=console,
            command=command,
            together=given.together,
        )

    def run(command: list[str]) -> None:
        console = Console(quiet=not processes.is_first())
        for note in notes:
            console.print(note, highlight=False, soft_wrap=True)
        if len(series) == 1:
            cross_validate(config, given.out, console, command)
            return
        folder = given.out or Path("runs") / f"{given.dataset}-{given.seed}-models"
        filled = by_first(lambda: folder.exists() and any(folder.iterdir()))
        if filled and not given.resume:
            raise InputError(f"{folder}: expected a new or empty folder; go on with it by --resume")
        for name, each in series.items():
            if not by_first((folder / name / "summary.json").exists):
                console.rule(name)
                cross_validate(each, folder / name, console, command)
        table = by_first(lambda: report.write_model_table(folder, list(series)))
        report.print_model_table(console, table)
        console.print(f"written {folder / 'table.md'}", highlight=False, soft_wrap=True)

    return arguments.run(run, given.distributed)


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = _parser()
    given = parser.parse_args()
    with parser.naming_flags():
        return _run(given)
