"""Train a model on a corpus, test it, and write a run folder: the main job.

    serjax train --model quat_vgg16
    serjax train --model dscnn --dataset emodb --data-dir EMODB --split speaker
    serjax train --model quat_vgg16 --anti-transfer speaker --at-layer 2
    serjax train --config RUN/config.json --out NEW
    serjax train ... --out DIR --resume

Without --dataset it trains on the bundled corpus of synthetic speech, which needs no download.
"""

import argparse

from serjax.cli import flags
from serjax.cli.anti_transfer_flags import add_anti_transfer, read_anti_transfer
from serjax.cli.execution import execute
from serjax.cli.parser import Parser


def _parser() -> Parser:
    parser = Parser(__doc__)
    flags.add_config(parser)
    flags.add_folder(parser)
    add_anti_transfer(parser)
    flags.add_distributed(parser)
    add = parser.add_argument_group("tracking").add_argument
    parser.advanced += [
        add(
            "--profile",
            type=_steps,
            metavar="FIRST:LAST",
            help="Steps, from 1, that are profiled for Perfetto and TensorBoard, in profile/.",
        ),
        add(
            "--tensorboard",
            action="store_true",
            help="Write every epoch's metrics for TensorBoard, in tensorboard/.",
        ),
    ]
    return parser


def _steps(text: str) -> tuple[int, int]:
    """Reads FIRST:LAST."""
    first, _, last = text.partition(":")
    if not (first.isdigit() and last.isdigit()):
        raise argparse.ArgumentTypeError(f"expected FIRST:LAST, found {text!r}")
    return int(first), int(last)


def _train(arguments: argparse.Namespace) -> int:
    from serjax.training.checks import check_config

    config = flags.read_config(arguments)
    terms = read_anti_transfer(arguments)
    if terms:
        config = config.replace(auxiliary_losses=tuple(term.to_config() for term in terms))
    check_config(config)

    def job(command: list[str]) -> None:
        from serjax import anti_transfer, training
        from serjax.console import Console
        from serjax.training.devices import processes

        console = Console(quiet=not processes.is_first())
        training.run(
            anti_transfer.with_source_networks(config, console, command),
            out=arguments.out,
            resume=arguments.resume,
            console=console,
            command=command,
            profile=arguments.profile,
            tensorboard=arguments.tensorboard,
        )

    return execute(job, arguments.distributed)


def main() -> int:
    """Parses the command line and trains; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args()
    with parser.naming_flags():
        return _train(arguments)
