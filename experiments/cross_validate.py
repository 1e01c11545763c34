"""Trains and tests a model on every fold of a protocol, so that each utterance is tested once.

    python experiments/cross_validate.py --model svm --dataset emodb --data-dir EMODB
    python experiments/cross_validate.py --model dscnn --dataset ravdess --data-dir RAVDESS \
        --protocol speaker --folds 5 --seeds 3
    python experiments/cross_validate.py ... --out DIR --resume

Each fold is an ordinary run in its own folder; table.md, folds.csv, summary.json and report.html
beside them sum up. Finished folds are not run again by --resume.
"""

from serjax.command import prefer_huge_pages, run_command

if __name__ == "__main__":
    prefer_huge_pages()  # before the imports that take long, for it starts over

import argparse

from rich.console import Console

from serjax import training
from serjax.data import splits
from serjax.training import arguments


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    arguments.add_corpus(parser)
    add("--protocol", default="speaker", help=f"{', '.join(splits.protocols())} (%(default)s)")
    add("--folds", type=int, help="how many, where the protocol leaves a choice (5)")
    add("--seeds", type=int, default=1, help="repetitions, from --seed on (%(default)s)")
    arguments.add_training(parser)
    given = parser.parse_args()
    config = arguments.config_of(
        given,
        dataset=given.dataset,
        data_dir=given.data_dir,
        dataset_options=dict(given.dataset_option),
        split=given.protocol,
    )
    return arguments.run(
        lambda command: training.cross_validate(
            config,
            folds=given.folds,
            seeds=given.seeds,
            out=given.out,
            resume=given.resume,
            console=Console(),
            command=command,
        )
    )


if __name__ == "__main__":
    run_command(main)
