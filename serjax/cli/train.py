"""Trains a model on a corpus, tests it, and writes a folder of results: the main job.

    python experiments/train.py --model quat_vgg16
    python experiments/train.py --model dscnn --dataset emodb --data-dir EMODB --split speaker
    python experiments/train.py --model quat_vgg16 --anti-transfer speaker --at-layer 2
    python experiments/train.py ... --out DIR --resume

Without --dataset it runs on the embedded corpus of synthetic speech, which needs no download.
"""

import argparse
import dataclasses

from rich.console import Console

from serjax import training
from serjax.anti_transfer import source_tasks
from serjax.cli import arguments
from serjax.cli.parser import Parser
from serjax.training.devices import processes


def _parser() -> Parser:
    parser = Parser(__doc__, usage="%(prog)s [options]")
    arguments.add_corpus(parser)
    arguments.add_split(parser)
    arguments.add_training(parser)
    arguments.add_anti_transfer(parser)
    arguments.add_distributed(parser)
    add = parser.add_argument_group("records").add_argument
    add(
        "--profile",
        type=_steps,
        metavar="FIRST:LAST",
        help="records these steps, from 1, for Perfetto or TensorBoard, in the run's profile/",
    )
    add(
        "--tensorboard",
        action="store_true",
        help="writes every epoch's numbers for TensorBoard, in the run's tensorboard/",
    )
    return parser


def _steps(text: str) -> tuple[int, int]:
    """FIRST:LAST."""
    first, _, last = text.partition(":")
    if not (first.isdigit() and last.isdigit()):
        raise argparse.ArgumentTypeError(f"expected FIRST:LAST, found {text!r}")
    return int(first), int(last)


def _train(given: argparse.Namespace) -> int:
    terms = arguments.anti_transfer_of(given)
    config = arguments.config_of(given, **arguments.split_of(given), anti_transfer=terms)
    config.check()

    def run(command: list[str]) -> None:
        console = Console(quiet=not processes.is_first())
        taught = tuple(
            source_tasks.with_source_network(term, config, console, command) for term in terms
        )
        training.run(
            config.replace(anti_transfer=taught),
            out=given.out,
            resume=given.resume,
            console=console,
            command=command,
            profile=given.profile,
            events=given.tensorboard,
        )

    return arguments.run(run, given.distributed)


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = _parser()
    given = parser.parse_args()
    with parser.naming_flags():
        return _train(given)
