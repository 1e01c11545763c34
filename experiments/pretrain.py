"""Trains a model on another task than emotion: a teacher for anti-transfer, or initial weights.

    python experiments/pretrain.py --task speaker --model quat_vgg16
    python experiments/pretrain.py --task word --model vgg16 --dataset fsdd --data-dir FSDD
    python experiments/train.py --model vgg16 --anti-transfer RUN --at-layer 2
    python experiments/train.py --model resnet34_stats --init RUN

Any corpus that says who speaks, or what is said, will do; without --dataset the embedded one.
"""

from serjax.command import prefer_huge_pages, run_command

if __name__ == "__main__":
    prefer_huge_pages()  # before the imports that take long, for it starts over

import argparse
import dataclasses

from rich.console import Console

from serjax import training
from serjax.errors import InputError, unknown_name
from serjax.training import arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", required=True, help=", ".join(training.TASKS))
    arguments.add_corpus(parser)
    # The speakers and words of the test part are those of the training part.
    arguments.add_split(parser, default="random")
    arguments.add_training(parser)
    return parser


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    given = _parser().parse_args()
    if given.task not in training.TASKS:
        raise InputError(unknown_name("task", given.task, training.TASKS))
    if given.target is not None:
        raise InputError(f"--target: expected without --task, found {given.target!r}")
    config = arguments.config_of(given, **arguments.split_of(given))
    config = dataclasses.replace(config, target=training.TASKS[given.task])
    return arguments.run(
        lambda command: training.run(
            config, out=given.out, resume=given.resume, console=Console(), command=command
        )
    )


if __name__ == "__main__":
    run_command(main)
