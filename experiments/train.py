"""Trains a model on a corpus, tests it, and writes a folder of results: the main job.

    python experiments/train.py --model quat_vgg16
    python experiments/train.py --model dscnn --dataset emodb --data-dir EMODB --split speaker
    python experiments/train.py ... --out DIR --resume

Without --dataset it runs on the embedded corpus of synthetic speech, which needs no download.
"""

from serjax.command import prefer_huge_pages, run_command

if __name__ == "__main__":
    prefer_huge_pages()  # before the imports that take long, for it starts over

import argparse

from rich.console import Console

from serjax import training
from serjax.data import splits
from serjax.training import arguments


def _parser() -> argparse.ArgumentParser:
    defaults = training.RunConfig()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    arguments.add_corpus(parser)
    add(
        "--split",
        default=defaults.split,
        help=f"{', '.join(splits.names())} (%(default)s): what no two parts share; "
        f"with --fold {', '.join(splits.protocols())}",
    )
    add(
        "--fractions",
        type=float,
        nargs=3,
        default=defaults.fractions,
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="shares of the parts (%(default)s)",
    )
    add("--fold", help="one fold of how many, such as 2/5; all of them: cross_validate.py")
    add("--parts-file", help="CSV file of path and part, for --split given")
    arguments.add_training(parser)
    return parser


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    given = _parser().parse_args()
    config = arguments.config_of(
        given,
        dataset=given.dataset,
        data_dir=given.data_dir,
        dataset_options=dict(given.dataset_option),
        split=given.split,
        fractions=tuple(given.fractions),
        fold=given.fold,
        parts_file=given.parts_file,
    )
    return arguments.run(
        lambda command: training.run(
            config, out=given.out, resume=given.resume, console=Console(), command=command
        )
    )


if __name__ == "__main__":
    run_command(main)
