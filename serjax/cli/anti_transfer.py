"""Sweep anti-transfer over tasks, layers, splits and algebras: Table 1 and Figure 2 of the paper.

    serjax anti-transfer --layers 2 --methods none,single-s
    serjax anti-transfer --model vgg16,quat_vgg16 --layers all --dataset ravdess
        --data-dir RAVDESS --source-dataset fsdd --source-dir FSDD --out runs/table-1 --resume

Guizzo et al. (2023) train VGG16 to be dissimilar from networks that recognize speakers (S) or words
(W), one or both after another, at each of 13 layers, and report the layer that the validation set
selects. With the methods encoder-s and encoder-w a network starts from the encoder of a speaker or
word network, without anti-transfer. --resume skips finished runs. The folder gets `table.md` with
the published figures, `table.csv`, `runs.csv`, `layers.png`, and the folder of every run.
"""

import argparse
import shlex
from pathlib import Path

from serjax.cli import flags
from serjax.cli.execution import execute
from serjax.cli.parser import Parser
from serjax.errors import InputError
from serjax.training.config import RunConfig


def _parser() -> Parser:
    parser = Parser(__doc__)
    add = parser.add_argument_group("sweep").add_argument
    add(
        "--methods",
        default="none,single-s,single-w,dual-sw,dual-ws",
        help="Methods, comma-separated: none, untrained, single-s, single-w, dual-sw, dual-ws, "
        "encoder-s, encoder-w (default: %(default)s).",
    )
    add(
        "--layers",
        default="2,9",
        help="Convolutions, comma-separated, or all (default: %(default)s).",
    )
    add("--splits", default="random,speaker", help="Splits (default: %(default)s).")
    add("--seeds", type=int, default=1, metavar="N", help="Seeds, from --seed on (default: 1).")
    add(
        "--source-dataset",
        metavar="DATASET",
        help="Corpus of the source-task networks (each run's own training set).",
    )
    add("--source-dir", metavar="DIR", help="Folder of that corpus.")
    add("--source-epochs", type=int, metavar="N", help="Maximum number of their epochs.")
    flags.add_config(parser, without=("split", "fold", "split_file"))
    flags.add_folder(parser)
    return parser


def _layers(text: str) -> tuple[int, ...] | None:
    """Reads numbers of convolutions; None stands for all layers of a model."""
    if text == "all":
        return None
    numbers = text.split(",")
    if not all(number.isdigit() for number in numbers):
        raise InputError(f"--layers: expected numbers such as 2,9, or all; found {text!r}")
    return tuple(map(int, numbers))


def _run(arguments: argparse.Namespace) -> int:
    names = getattr(arguments, "model", RunConfig().model.name).split(",")
    arguments.model = names[0]
    base = flags.read_config(arguments)

    from serjax.anti_transfer import sweep

    source = None
    if arguments.source_dataset is not None:
        source = base.replace(
            dataset=arguments.source_dataset,
            data_dir=arguments.source_dir,
            dataset_options={},
            labels=None,
            epochs=arguments.source_epochs,
        )
    elif arguments.source_dir is not None:
        raise InputError("--source-dir: expected with --source-dataset, found without")
    planned = sweep.Sweep(
        base,
        models=names,
        methods=arguments.methods.split(","),
        layers=_layers(arguments.layers),
        splits=arguments.splits.split(","),
        seeds=range(base.seed, base.seed + arguments.seeds),
        source=source,
    )
    planned.check()
    folder = arguments.out or Path("runs") / f"{base.data.dataset}-anti-transfer"
    if folder.exists() and any(folder.iterdir()) and not arguments.resume:
        raise InputError(f"{folder}: expected a new or empty folder; continue it by --resume")

    def job(command: list[str]) -> None:
        from serjax import report
        from serjax.console import Console
        from serjax.recipes import guizzo2023

        console = Console()
        rows = sweep.accuracies(planned.run(folder, console, command))
        published = guizzo2023.table_1(base.data.dataset) or None
        table = report.write_sweep(folder, rows, f"`{shlex.join(command)}`", published)
        report.print_sweep(console, table)
        console.print(f"written {folder}: table.md, table.csv, runs.csv, layers.png")

    return execute(job)


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args()
    with parser.naming_flags():
        return _run(arguments)
