"""The flags of a run, which the commands that train share."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from serjax import augment, data, losses, training
from serjax.command import key_value
from serjax.errors import InputError


def parser(description: str | None, **overridden: object) -> argparse.ArgumentParser:
    """A parser of all flags that make a `training.RunConfig`.

    Args:
        description: The command's documentation.
        **overridden: Defaults that differ from the configuration's.
    """
    defaults = dataclasses.replace(training.RunConfig(), **overridden)  # type: ignore[arg-type]
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--model", default=defaults.model, help="see `python -m serjax.models` (%(default)s)")
    add("--dataset", default=defaults.dataset, help=f"{', '.join(data.names())} (%(default)s)")
    add("--data-dir", help="folder of the corpus; the embedded one needs none")
    add("--target", help="emotion, speaker or text (emotion; text where there are no emotions)")
    add(
        "--split",
        default=defaults.split,
        help=f"{', '.join(data.splits.names())} (%(default)s): what no two parts share",
    )
    add(
        "--fractions",
        type=float,
        nargs=3,
        default=defaults.fractions,
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="shares of the parts (%(default)s)",
    )
    add("--epochs", type=int, help="at most (as suits model and corpus)")
    add("--batch-size", type=int, help="(as suits the model)")
    add("--learning-rate", type=float, help="of Adam, the highest (as suits the model)")
    add("--schedule", default=defaults.schedule, help="cosine or constant (%(default)s)")
    add("--weight-decay", type=float, default=defaults.weight_decay, help="(%(default)s)")
    add(
        "--patience",
        type=int,
        default=defaults.patience,
        help="epochs without a lower validation loss before it stops (%(default)s)",
    )
    add(
        "--augment",
        default=defaults.augmentation,
        help=f"SpecAugment: {', '.join(augment.POLICIES)} (%(default)s)",
    )
    add("--dtype", default=defaults.dtype, help="float32 or bfloat16 (%(default)s)")
    add("--seed", type=int, default=defaults.seed, help="(%(default)s)")
    add("--init", metavar="RUN|FILE", help="weights to start from: of a run, or published ones")
    add(
        "--embedding",
        default=defaults.embedding,
        help="of quat_ and phm networks without --init: random, or pretrained (%(default)s)",
    )
    add(
        "--freeze",
        type=_frozen,
        action="append",
        default=[],
        metavar="LAYERS[=STEP]",
        help="layers, as a regular expression, that train from a step on, or never; repeatable",
    )
    add(
        "--anti-transfer",
        action="append",
        default=[],
        metavar="TEACHER",
        help="learn other features than this run of the same model, or than one for the task "
        f"{' or '.join(training.TASKS)}, found or trained first; repeatable",
    )
    add(
        "--at-layer",
        action="append",
        default=[],
        metavar="LAYERS",
        help="where: 2, conv2, 2,5 or all (2); one for all teachers, or one for each",
    )
    add("--at-beta", type=float, action="append", default=[], help="weight of a layer's loss (1)")
    add(
        "--at-aggregation",
        default="gram",
        help=f"what is compared: {', '.join(losses.AGGREGATIONS)} (%(default)s)",
    )
    add("--skip-bad-files", action="store_true", help="train on the other files, and list them")
    add(
        "--model-option",
        type=key_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a field of the model, such as dropout_rate=0.3; may be repeated",
    )
    add(
        "--dataset-option",
        type=key_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the corpus, such as correlate=speaker; may be repeated",
    )
    return made


def add_folder(made: argparse.ArgumentParser) -> None:
    """Adds the flags of a run's folder."""
    made.add_argument("--out", type=Path, help="run folder (below runs/, by its name)")
    made.add_argument(
        "--resume", action="store_true", help="go on with the interrupted run in the folder"
    )


def exit_status(run: Callable[[], object], resumed: bool) -> int:
    """Runs; returns the command's exit status, with a line on how to go on where it is not 0."""
    try:
        run()
    except training.InterruptedRunError as stop:
        command = ["python", *sys.argv]
        again = command if resumed else [*command, "--resume"]
        print(f"{stop}; go on with: {shlex.join(again)}", file=sys.stderr)
        return 128 + stop.signal_number
    except training.DivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def config(arguments: argparse.Namespace, **overridden: object) -> training.RunConfig:
    """What the flags say; `overridden` are fields that a command decides itself.

    Raises:
        InputError: Layers or betas of anti-transfer that are not one for all or one each.
    """
    fields: dict[str, object] = {
        "model": arguments.model,
        "dataset": arguments.dataset,
        "data_dir": arguments.data_dir,
        "target": arguments.target,
        "split": arguments.split,
        "fractions": tuple(arguments.fractions),
        "seed": arguments.seed,
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "schedule": arguments.schedule,
        "weight_decay": arguments.weight_decay,
        "patience": arguments.patience,
        "augmentation": arguments.augment,
        "dtype": arguments.dtype,
        "initial": arguments.init,
        "embedding": arguments.embedding,
        "freeze": dict(arguments.freeze),
        "anti_transfer": _anti_transfer(arguments),
        "model_options": dict(arguments.model_option),
        "dataset_options": dict(arguments.dataset_option),
        "skip_bad_files": arguments.skip_bad_files,
    }
    return training.RunConfig(**{**fields, **overridden})  # type: ignore[arg-type]


def _anti_transfer(arguments: argparse.Namespace) -> tuple[training.AntiTransfer, ...]:
    teachers = arguments.anti_transfer
    given = {"--at-layer": arguments.at_layer, "--at-beta": arguments.at_beta}
    for flag, values in given.items():
        if values and not teachers:
            raise InputError(f"{flag}: expected with --anti-transfer TEACHER, found without")
        if len(values) > 1 and len(values) != len(teachers):
            raise InputError(
                f"{flag}: expected once, or once for each of {len(teachers)} teachers, "
                f"found {len(values)} times"
            )

    def each(values: list, default: object) -> list:
        values = values or [default]
        return values * len(teachers) if len(values) == 1 else values

    return tuple(
        training.AntiTransfer(teacher, tuple(layers.split(",")), beta, arguments.at_aggregation)
        for teacher, layers, beta in zip(
            teachers, each(arguments.at_layer, "2"), each(arguments.at_beta, 1.0), strict=True
        )
    )


def _frozen(text: str) -> tuple[str, int | None]:
    """LAYERS or LAYERS=STEP."""
    pattern, separator, step = text.rpartition("=")
    if not separator:
        return text, None
    if not step.isdigit():
        raise argparse.ArgumentTypeError(f"expected LAYERS or LAYERS=STEP, found {text!r}")
    return pattern, int(step)
