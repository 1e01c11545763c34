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

import sys

import arguments as flags
from rich.console import Console

from serjax import training
from serjax.errors import InputError, unknown_name
from serjax.training.cache import enable_compilation_cache


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    # The speakers and words of the test part are those of the training part.
    parser = flags.parser(__doc__, split="random")
    flags.add_folder(parser)
    parser.add_argument("--task", required=True, help=", ".join(training.TASKS))
    arguments = parser.parse_args()
    enable_compilation_cache()
    if arguments.task not in training.TASKS:
        raise InputError(unknown_name("task", arguments.task, training.TASKS))
    if arguments.target is not None:
        raise InputError(f"--target: expected without --task, found {arguments.target!r}")
    config = flags.config(arguments, target=training.TASKS[arguments.task])

    def run() -> None:
        training.run(
            config,
            out=arguments.out,
            resume=arguments.resume,
            console=Console(),
            command=["python", *sys.argv],
        )

    return flags.exit_status(run, arguments.resume)


if __name__ == "__main__":
    run_command(main)
