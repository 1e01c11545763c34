r"""Train a model on one corpus and test it on another, on the classes that both have.

    serjax cross-corpus --model svm --train ravdess --train-dir RAVDESS \
        --test emodb --test-dir EMODB
    serjax cross-corpus ... --seeds 3 --out DIR --resume

A part of the training corpus is the validation set; the whole other corpus is the test set. Each
seed is an ordinary run in its own folder. table.md, folds.csv, summary.json and report.html in the
folder above summarize them.
"""

import argparse

from serjax.cli import flags
from serjax.cli.execution import execute
from serjax.cli.parser import Parser, key_value

_DECIDED = ("dataset", "data_dir", "dataset_options", "split", "fold", "fractions", "split_file")


def _parser() -> Parser:
    parser = Parser(__doc__)
    add = parser.add_argument_group("corpora").add_argument
    for role, path in (("train", "data.data_dir"), ("test", "data.test_dir")):
        add(
            f"--{role}",
            required=True,
            metavar="DATASET",
            help=f"Corpus of the {role}ing set, see `serjax corpus`."
            if role == "train"
            else "Corpus of the test set.",
        )
        add(f"--{role}-dir", metavar="DIR", help="Its folder; the bundled corpus needs none.")
        add(
            f"--{role}-option",
            type=key_value,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="An option of the corpus; repeatable.",
        )
        parser.paths[path] = f"--{role}-dir"
    add(
        "--split",
        default="speaker",
        help="Split of the training corpus into training and validation set: random, session or "
        "speaker (default: %(default)s).",
    )
    flags.add_repetitions(parser)
    flags.add_config(parser, without=_DECIDED)
    flags.add_folder(parser)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    config = flags.read_config(
        arguments,
        dataset=arguments.train,
        data_dir=arguments.train_dir,
        dataset_options=dict(arguments.train_option),
        test_dataset=arguments.test,
        test_dir=arguments.test_dir,
        test_dataset_options=dict(arguments.test_option),
        split=arguments.split,
    )

    def job(command: list[str]) -> None:
        from serjax import protocols
        from serjax.console import Console

        protocols.cross_corpus(
            config,
            seeds=arguments.seeds,
            members=arguments.members,
            out=arguments.out,
            resume=arguments.resume,
            console=Console(),
            command=command,
        )

    return execute(job)


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args()
    with parser.naming_flags():
        return _run(arguments)
