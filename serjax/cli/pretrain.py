"""Trains what other runs start from: an embedding, or a teacher for another task than emotion.

    python experiments/pretrain.py --task rhemo
    python experiments/pretrain.py --task rhemo --dataset ravdess --data-dir RAVDESS
    python experiments/train.py --model quat_vgg16 --init RUN

RH-emo learns to reconstruct spectrograms, then emotions too; its encoder is the embedding of
quaternion networks. It takes hours; on the embedded corpus, with fewer epochs, higher learning
rates and classifiers 64 instead of 4096 wide, minutes. --task rhemo --help shows its settings.

    python experiments/pretrain.py --task speaker --model quat_vgg16
    python experiments/pretrain.py --task word --model vgg16 --dataset fsdd --data-dir FSDD
    python experiments/train.py --model vgg16 --anti-transfer RUN --at-layer 2
    python experiments/train.py --model resnet34_stats --init RUN

Any corpus that says who speaks, or what is said, will do; without --dataset the embedded one.
"""

import argparse
import dataclasses
from typing import Any

from rich.console import Console

from serjax import classical, rhemo, training
from serjax.anti_transfer import source_tasks
from serjax.cli import arguments
from serjax.cli.parser import Parser, key_value
from serjax.errors import InputError, unknown_name

TASKS = ("rhemo", *source_tasks.TASKS)


def _parser(task: str | None) -> Parser:
    """The flags of a task."""
    parser = Parser(__doc__, usage="%(prog)s [options]")
    parser.add_argument("--task", required=True, help=", ".join(TASKS))
    arguments.add_corpus(parser)
    # The speakers and words of the test part are those of the training part.
    arguments.add_split(parser, default="speaker" if task == "rhemo" else "random")
    arguments.add_training(parser, networks_alone=True)
    if task != "rhemo":
        return parser
    parser.set_defaults(model="rhemo")
    parser.add_argument(
        "--dimensions",
        default="mapped",
        help="valence, arousal and dominance: mapped from the emotion where the corpus has none, "
        "or none, to leave their classifiers out (%(default)s)",
    )
    for number, stage in zip(("first", "second"), ("reconstruction", "emotions"), strict=True):
        parser.add_argument(
            f"--{stage}",
            type=key_value,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help=f"a setting of the {number} stage: epochs, batch_size, learning_rate, patience, "
            "weight_decay, warmup_epochs; may be repeated",
        )
    return parser


def _task_given() -> str | None:
    first = Parser(None, add_help=False)
    first.add_argument("--task")
    task: str | None = first.parse_known_args()[0].task
    return task


def _pretrain(given: argparse.Namespace) -> int:
    if given.task not in TASKS:
        raise InputError(unknown_name("task", given.task, TASKS))
    if given.target is not None:
        raise InputError(f"--target: expected without --task, found {given.target!r}")
    config = arguments.config_of(given, **arguments.split_of(given))
    if config.model.name in classical.names():
        raise InputError(
            f"model: expected a network, for it keeps weights to start from, found {config.model.name!r}"
        )

    def run(command: list[str]) -> None:
        where: dict[str, Any] = {
            "out": given.out,
            "resume": given.resume,
            "console": Console(),
            "command": command,
        }
        if given.task == "rhemo":
            settings = rhemo.RHEmoConfig(
                config, given.dimensions, dict(given.reconstruction), dict(given.emotions)
            )
            rhemo.pretrain(settings, **where)
        else:
            config_of_task = config.replace(target=source_tasks.TASKS[given.task])
            training.run(config_of_task, **where)

    return arguments.run(run)


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = _parser(_task_given())
    given = parser.parse_args()
    with parser.naming_flags():
        return _pretrain(given)
