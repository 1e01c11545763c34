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

from serjax.command import prefer_huge_pages, run_command

if __name__ == "__main__":
    prefer_huge_pages()  # before the imports that take long, for it starts over

import argparse
import sys

import arguments as flags
from rich.console import Console

from serjax import training
from serjax.command import key_value
from serjax.errors import InputError, unknown_name
from serjax.training.cache import enable_compilation_cache

TASKS = ("rhemo", *training.TASKS)


def _parser(task: str | None) -> argparse.ArgumentParser:
    """The flags of a task."""
    # The speakers and words of the test part are those of the training part.
    parser = flags.parser(
        __doc__, **({"model": "rhemo"} if task == "rhemo" else {"split": "random"})
    )
    flags.add_folder(parser)
    parser.add_argument("--task", required=True, help=", ".join(TASKS))
    if task != "rhemo":
        return parser
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
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--task")
    return first.parse_known_args()[0].task


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    arguments = _parser(_task_given()).parse_args()
    enable_compilation_cache()
    if arguments.task not in TASKS:
        raise InputError(unknown_name("task", arguments.task, TASKS))
    if arguments.target is not None:
        raise InputError(f"--target: expected without --task, found {arguments.target!r}")
    where = {
        "out": arguments.out,
        "resume": arguments.resume,
        "console": Console(),
        "command": ["python", *sys.argv],
    }

    def run() -> None:
        if arguments.task == "rhemo":
            settings = training.RHEmoConfig(
                flags.config(arguments),
                arguments.dimensions,
                dict(arguments.reconstruction),
                dict(arguments.emotions),
            )
            training.pretrain(settings, **where)
        else:
            training.run(flags.config(arguments, target=training.TASKS[arguments.task]), **where)

    return flags.exit_status(run, arguments.resume)


if __name__ == "__main__":
    run_command(main)
