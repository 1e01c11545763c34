"""Trains a model on a corpus, tests it, and writes a folder of results: the main job.

    python experiments/train.py --model quat_vgg16
    python experiments/train.py --model dscnn --dataset emodb --data-dir EMODB --split speaker
    python experiments/train.py --model quat_vgg16 --anti-transfer speaker --at-layer 2
    python experiments/train.py ... --out DIR --resume

Without --dataset it runs on the embedded corpus of synthetic speech, which needs no download.
"""

from serjax.command import prefer_huge_pages, run_command

if __name__ == "__main__":
    prefer_huge_pages()  # before the imports that take long, for it starts over

import dataclasses
import sys
from pathlib import Path

import arguments as flags
from rich.console import Console

from serjax import training
from serjax.errors import InputError
from serjax.training.cache import enable_compilation_cache


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = flags.parser(__doc__)
    flags.add_folder(parser)
    arguments = parser.parse_args()
    enable_compilation_cache()
    config = flags.config(arguments)
    config.check()
    console = Console()
    command = ["python", *sys.argv]

    def with_teacher(term: training.AntiTransfer) -> training.AntiTransfer:
        if Path(term.teacher).exists():
            return term
        if term.teacher not in training.TASKS:
            raise InputError(
                "--anti-transfer: expected the folder of a finished run, or "
                f"{' or '.join(training.TASKS)}; found neither in {term.teacher!r}"
            )
        folder = training.find_or_train(term.teacher, config, console, command)
        return dataclasses.replace(term, teacher=str(folder))

    def run() -> None:
        teachers = tuple(map(with_teacher, config.anti_transfer))
        training.run(
            dataclasses.replace(config, anti_transfer=teachers),
            out=arguments.out,
            resume=arguments.resume,
            console=console,
            command=command,
        )

    return flags.exit_status(run, arguments.resume)


if __name__ == "__main__":
    run_command(main)
