"""What the commands that train have in common: flags, and how they end."""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serjax import augment, data
from serjax.command import key_value
from serjax.training.cache import enable_compilation_cache
from serjax.training.loop import DivergedError, InterruptedRunError
from serjax.training.task import RunConfig

_DEFAULTS = RunConfig()


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that name one corpus: --dataset, --data-dir, --dataset-option."""
    add = parser.add_argument
    add("--dataset", default=_DEFAULTS.dataset, help=f"{', '.join(data.names())} (%(default)s)")
    add("--data-dir", help="folder of the corpus; the embedded one needs none")
    add(
        "--dataset-option",
        type=key_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the corpus, such as correlate=speaker; may be repeated",
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of model and training, and --out, --resume, --skip-bad-files."""
    add = parser.add_argument
    add(
        "--model",
        default=_DEFAULTS.model,
        help="see `python -m serjax.models`; or knn, lda, rda, svm (%(default)s)",
    )
    add("--target", help="emotion, speaker or text (emotion; text where there are no emotions)")
    add("--epochs", type=int, help="at most (as suits model and corpus)")
    add("--batch-size", type=int, help="(as suits the model)")
    add("--learning-rate", type=float, help="of Adam, the highest (as suits the model)")
    add("--schedule", default=_DEFAULTS.schedule, help="cosine or constant (%(default)s)")
    add("--weight-decay", type=float, default=_DEFAULTS.weight_decay, help="(%(default)s)")
    add(
        "--patience",
        type=int,
        default=_DEFAULTS.patience,
        help="epochs without a lower validation loss before it stops (%(default)s)",
    )
    add(
        "--augment",
        default=_DEFAULTS.augmentation,
        help=f"SpecAugment: {', '.join(augment.POLICIES)} (%(default)s)",
    )
    add("--dtype", default=_DEFAULTS.dtype, help="float32 or bfloat16 (%(default)s)")
    add("--seed", type=int, default=_DEFAULTS.seed, help="(%(default)s)")
    add("--out", type=Path, help="folder for the results (one below runs/, named after the run)")
    add("--resume", action="store_true", help="go on with what was interrupted in the folder")
    add("--skip-bad-files", action="store_true", help="train on the other files, and list them")
    add(
        "--model-option",
        type=key_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a field of the model, such as dropout_rate=0.3; may be repeated",
    )


def config_of(arguments: argparse.Namespace, **others: Any) -> RunConfig:
    """The configuration that the flags of `add_training` ask for, and others besides."""
    return RunConfig(
        model=arguments.model,
        target=arguments.target,
        seed=arguments.seed,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        schedule=arguments.schedule,
        weight_decay=arguments.weight_decay,
        patience=arguments.patience,
        augmentation=arguments.augment,
        dtype=arguments.dtype,
        model_options=dict(arguments.model_option),
        skip_bad_files=arguments.skip_bad_files,
        **others,
    )


def run(job: Callable[[list[str]], object]) -> int:
    """Does what a command that trains is there for, and says how to go on if it is stopped.

    Args:
        job: Called with the command as typed.

    Returns:
        The exit status: 128 and the signal's number after SIGINT or SIGTERM, 1 if the loss
        diverged.
    """
    enable_compilation_cache()
    command = ["python", *sys.argv]
    try:
        job(command)
    except (InterruptedRunError, KeyboardInterrupt) as stop:
        again = command if "--resume" in command else [*command, "--resume"]
        why = str(stop) or "interrupted"
        print(f"{why}; go on with: {shlex.join(again)}", file=sys.stderr)
        return 128 + (stop.signal_number if isinstance(stop, InterruptedRunError) else 2)
    except DivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
