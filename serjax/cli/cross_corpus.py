"""Trains a model on one corpus and tests it on another, on the classes that both have.

    python experiments/cross_corpus.py --model svm --train ravdess --train-dir RAVDESS \
        --test emodb --test-dir EMODB
    python experiments/cross_corpus.py ... --seeds 3 --out DIR --resume

A part of the training corpus validates, all of the other tests. Each seed is an ordinary run in
its own folder; table.md, folds.csv, summary.json and report.html beside them sum up.
"""

import argparse

from rich.console import Console

from serjax import data, protocols
from serjax.cli import arguments
from serjax.cli.parser import Parser, key_value


def _parser() -> Parser:
    parser = Parser(__doc__, usage="%(prog)s [options]")
    add = parser.add_argument
    for part in ("train", "test"):
        add(f"--{part}", required=True, metavar="D", help=f"corpus: {', '.join(data.names())}")
        add(f"--{part}-dir", metavar="P", help="folder of the corpus; the embedded one needs none")
        add(
            f"--{part}-option",
            type=key_value,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="an option of the corpus; may be repeated",
        )
    add(
        "--split",
        default="speaker",
        help="random, session or speaker (%(default)s): what training and validation don't share",
    )
    arguments.add_repetitions(parser)
    arguments.add_training(parser)
    return parser


def _run(given: argparse.Namespace) -> int:
    config = arguments.config_of(
        given,
        dataset=given.train,
        data_dir=given.train_dir,
        dataset_options=dict(given.train_option),
        test_dataset=given.test,
        test_dir=given.test_dir,
        test_dataset_options=dict(given.test_option),
        split=given.split,
    )
    return arguments.run(
        lambda command: protocols.cross_corpus(
            config,
            seeds=given.seeds,
            members=given.members,
            out=given.out,
            resume=given.resume,
            console=Console(),
            command=command,
        )
    )


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = _parser()
    given = parser.parse_args()
    with parser.naming_flags():
        return _run(given)
