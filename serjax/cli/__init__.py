"""Commands: `serjax train`, `serjax predict` and their sisters, one module each.

A command is a module of this package with a function `main() -> int`, which parses `sys.argv`.
"""

import importlib
import sys

from serjax.cli.parser import Parser, keep_memory, run_command
from serjax.errors import InputError, unknown_name
from serjax.interruption import exit_on_interrupt

COMMANDS = {
    "train": "Train a model on a corpus, test it, and write a run folder.",
    "predict": "Predict recordings with a trained model.",
    "cross-validate": "Train and test a model on every fold of a protocol.",
    "cross-corpus": "Train on one corpus and test on another.",
    "pretrain": "Pretrain a model on another task, or the RH-emo autoencoder.",
    "anti-transfer": "Sweep source tasks and layers of anti-transfer learning.",
    "compare": "Compare two runs, or two cross-validations, with paired tests.",
    "reproduce": "Run the experiments of a paper and make its tables.",
    "corpus": "Describe a corpus, or store it as a TFDS dataset.",
    "models": "Print the networks with their sizes.",
}
"""Names and summaries of the commands."""

# These train, so that keeping memory in the process pays.
_TRAINING = ("train", "cross-validate", "cross-corpus", "pretrain", "anti-transfer", "reproduce")


def run(command: str) -> None:
    """Runs a command on `sys.argv` and ends the process with its exit status.

    Args:
        command: One of `COMMANDS`.
    """
    exit_on_interrupt()
    if command in _TRAINING:
        keep_memory()  # before the imports that take long, for it starts the process again
    module = importlib.import_module(f"serjax.cli.{command.replace('-', '_')}")
    run_command(module.main)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: serjax COMMAND [options]",
            "",
            "Speech emotion recognition in JAX. `serjax COMMAND --help` lists its options.",
            "",
            *lines,
            "",
            "serjax --version prints the version.",
        ]
    )


def main() -> None:
    """Runs the command that `sys.argv` names: the console script `serjax`."""
    exit_on_interrupt()
    run_command(_main)


def _main() -> int:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        import serjax

        print(serjax.__version__)
        return 0
    if arguments[0] not in COMMANDS:
        raise InputError(unknown_name("command", arguments[0], COMMANDS))
    sys.argv = [f"serjax {arguments[0]}", *arguments[1:]]
    run(arguments[0])
    return 0


__all__ = ["COMMANDS", "Parser", "main", "run"]
