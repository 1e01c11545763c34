"""Pretrain a model for other runs: the RH-emo autoencoder, or a source-task network.

    serjax pretrain --task rhemo
    serjax pretrain --task rhemo --dataset ravdess --data-dir RAVDESS
    serjax train --model quat_vgg16 --init RUN

RH-emo learns to reconstruct spectrograms and then emotions too; its encoder is the embedding of
quaternion networks. On a real corpus that takes hours; on the bundled corpus minutes, with fewer
epochs, higher learning rates and narrower classifiers. --task rhemo --help shows its settings.

    serjax pretrain --task speaker --model quat_vgg16
    serjax pretrain --task word --model vgg16 --dataset fsdd --data-dir FSDD
    serjax train --model vgg16 --anti-transfer RUN --at-layer 2
    serjax train --model resnet34_stats --init RUN

Any corpus with speakers or texts will do; without --dataset the bundled one.
"""

import argparse
from typing import Any

from serjax.cli import flags
from serjax.cli.execution import execute
from serjax.cli.parser import Parser, key_value
from serjax.errors import InputError, unknown_name
from serjax.training.config import RunConfig


def _tasks() -> dict[str, str]:
    """Returns the column of the corpus that each source task recognizes."""
    from serjax.anti_transfer.source_tasks import TASKS

    return dict(TASKS)


def _base(task: str | None) -> RunConfig:
    """Returns the defaults of a task."""
    # A source-task network is tested on the speakers and words that it was trained on.
    return RunConfig.make(model="rhemo") if task == "rhemo" else RunConfig.make(split="random")


def _parser(task: str | None) -> Parser:
    """Makes the parser of a task."""
    parser = Parser(__doc__)
    add = parser.add_argument_group("task").add_argument
    add("--task", required=True, help="Task: rhemo, speaker or word.")
    if task == "rhemo":
        add(
            "--dimensions",
            default="mapped",
            help="Valence, arousal and dominance: mapped from the emotion for corpora without "
            "ratings, or none, to leave their classifiers out (default: %(default)s).",
        )
        for ordinal, stage in (("first", "reconstruction"), ("second", "emotions")):
            add(
                f"--{stage}",
                type=key_value,
                action="append",
                default=[],
                metavar="KEY=VALUE",
                help=f"A setting of the {ordinal} stage: epochs, batch_size, learning_rate, "
                "patience, weight_decay, warmup_epochs; repeatable.",
            )
    flags.add_config(parser, without=("target",), defaults=_base(task))
    flags.add_folder(parser)
    parser.advanced += [
        parser.add_argument(
            "--tensorboard",
            action="store_true",
            help="Write every epoch's metrics for TensorBoard, in tensorboard/.",
        )
    ]
    return parser


def _typed_task() -> str | None:
    """Returns the value of --task, which decides on further flags."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--task")
    task: str | None = first.parse_known_args()[0].task
    return task


def _pretrain(arguments: argparse.Namespace) -> int:
    tasks = _tasks()
    if arguments.task not in ("rhemo", *tasks):
        raise InputError(unknown_name("task", arguments.task, ("rhemo", *tasks)))
    config = flags.read_config(arguments, base=_base(arguments.task))
    if config.is_classical:
        raise InputError(
            f"model.name: expected a network, whose weights other runs can start from, found "
            f"{config.model.name!r}"
        )

    def job(command: list[str]) -> None:
        from serjax import rhemo, training
        from serjax.console import Console

        options: dict[str, Any] = {
            "out": arguments.out,
            "resume": arguments.resume,
            "console": Console(),
            "command": command,
            "tensorboard": arguments.tensorboard,
        }
        if arguments.task == "rhemo":
            settings = rhemo.RHEmoConfig(
                config,
                arguments.dimensions,
                dict(arguments.reconstruction),
                dict(arguments.emotions),
            )
            rhemo.pretrain(settings, **options)
        else:
            training.run(config.replace(target=tasks[arguments.task]), **options)

    return execute(job)


def main() -> int:
    """Parses the command line and pretrains; returns the exit status."""
    parser = _parser(_typed_task())
    arguments = parser.parse_args()
    with parser.naming_flags():
        return _pretrain(arguments)
