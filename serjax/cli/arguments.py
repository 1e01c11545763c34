"""What the commands that train have in common: flags, and how they end.

A flag's `dest` is the field of the configuration that it sets, by which its errors find it.
"""

import argparse
import errno
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from serjax import augment, classical, data, losses
from serjax.anti_transfer.source_tasks import TASKS
from serjax.cli.parser import key_value
from serjax.errors import InputError
from serjax.features import image
from serjax.features.front_ends import FRONT_ENDS
from serjax.ops.cpu import use_threaded_convolutions
from serjax.training.config import AntiTransfer, RunConfig
from serjax.training.devices.batch_sharding import KINDS
from serjax.training.devices.compilation_cache import enable_compilation_cache
from serjax.training.loop import DivergedError, InterruptedRunError
from serjax.training.monitor import MONITORS
from serjax.training.optimizer import OPTIMIZERS, SCHEDULES

_DEFAULTS = RunConfig()
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def _spaced(values: Sequence[float]) -> str:
    """Numbers as they are typed."""
    return " ".join(f"{value:g}" for value in values)


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that name one corpus: --dataset, --data-dir, --dataset-option."""
    add = parser.add_argument_group("corpus").add_argument
    add("--dataset", default=_DEFAULTS.dataset, help=f"{', '.join(data.names())} (%(default)s)")
    add("--data-dir", help="folder of the corpus; the embedded one needs none")
    add(
        "--dataset-option",
        dest="dataset_options",
        type=key_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the corpus, such as correlate=speaker; may be repeated",
    )


def add_repetitions(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of how often a series trains: --seeds, --members."""
    add = parser.add_argument
    add("--seeds", type=int, default=1, help="repetitions, from --seed on (%(default)s)")
    add(
        "--members",
        type=int,
        default=1,
        help="networks whose mean probabilities answer in each run; one if classical (%(default)s)",
    )


def add_training(parser: argparse.ArgumentParser, *, networks_alone: bool = False) -> None:
    """Adds the flags of model and training, and --out, --resume, --skip-bad-files."""
    add = parser.add_argument_group("model").add_argument
    others = "" if networks_alone else f"; or {', '.join(classical.names())}"
    add(
        "--model",
        default=_DEFAULTS.model,
        help=f"see `serjax models`{others} (%(default)s)",
    )
    add(
        "--model-option",
        dest="model_options",
        type=key_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a field of the model, such as dropout_rate=0.3; may be repeated",
    )
    add("--target", help="emotion, speaker or text (emotion; text where there are no emotions)")
    add("--labels", help=f"emotions kept, and their names: {', '.join(data.labels.names())} (all)")
    add = parser.add_argument_group("training").add_argument
    add("--epochs", type=int, help="at most (as suits model and corpus)")
    add("--batch-size", type=int, help="(as suits the model)")
    add("--learning-rate", type=float, help="the highest (as suits the model)")
    add(
        "--optimizer",
        default=_DEFAULTS.optimizer,
        help=f"{', '.join(OPTIMIZERS)} (%(default)s)",
    )
    add(
        "--schedule",
        default=_DEFAULTS.schedule,
        help=f"of the learning rate: {', '.join(SCHEDULES)} (%(default)s)",
    )
    add(
        "--step_decay",
        type=float,
        nargs=3,
        default=_DEFAULTS.step_decay,
        metavar=("HOLD", "EVERY", "FACTOR"),
        help="epochs before the first change, epochs between changes, factor "
        f"({_spaced(_DEFAULTS.staircase)})",
    )
    add("--weight-decay", type=float, default=_DEFAULTS.weight_decay, help="(%(default)s)")
    add(
        "--patience",
        type=int,
        default=_DEFAULTS.patience,
        help="epochs without a better one before it stops (%(default)s)",
    )
    add(
        "--monitor",
        default=_DEFAULTS.monitor,
        help="what makes an epoch better, on the validation part, and its weights those that are "
        f"kept: {', '.join(MONITORS)} (%(default)s)",
    )
    add = parser.add_argument_group("input").add_argument
    add(
        "--augment",
        dest="augmentation",
        default=_DEFAULTS.augmentation,
        help=f"of the training part: {', '.join(augment.PRESETS)}, or several joined by + "
        "(%(default)s)",
    )
    add(
        "--front-end",
        dest="front_end_of",
        help=f"what it hears: {', '.join(FRONT_ENDS)} (as the model's paper has it)",
    )
    add(
        "--silence",
        help="keep; remove by an adaptive threshold; or voiced, which keeps voiced speech alone "
        "(as the front end has it)",
    )
    add("--colormap", help=f"images of three channels: {', '.join(image.COLORMAPS)} (one channel)")
    add(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("ROWS", "COLUMNS"),
        help="size that inputs are resized to, frames by bins (as the model's paper has it)",
    )
    add = parser.add_argument_group("devices and memory").add_argument
    add("--dtype", default=_DEFAULTS.dtype, help="float32 or bfloat16 (%(default)s)")
    add(
        "--parallel",
        help=f"batches over devices: {', '.join(KINDS)} (shard_map on those that divide a batch)",
    )
    add(
        "--sync-batch-norm",
        action=argparse.BooleanOptionalAction,
        default=_DEFAULTS.sync_batch_norm,
        help="statistics of batch norms from all devices, as on one (yes)",
    )
    add(
        "--accumulate",
        type=int,
        default=_DEFAULTS.accumulate,
        metavar="N",
        help="micro-batches of a step, one after the other, to save memory (%(default)s)",
    )
    add(
        "--remat",
        default=_DEFAULTS.remat,
        help="computed again for the gradients, to save memory: none, dots (all but products), "
        "everything (%(default)s)",
    )
    add(
        "--scan-steps",
        type=int,
        metavar="N",
        help="steps between which the device waits for nothing (1 on a CPU, 16 elsewhere)",
    )
    add(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=_DEFAULTS.stream,
        help="read a corpus of --dataset tfds in every epoch anew (if it is above 2 GiB)",
    )
    add = parser.add_argument_group("weights to start from").add_argument
    add(
        "--init",
        dest="initial",
        metavar="RUN|FILE",
        help="weights to start from: of a run, or published ones",
    )
    add(
        "--embedding",
        default=_DEFAULTS.embedding,
        help="of quat_ and phm networks without --init: random, or pretrained, RH-emo's on EMO-DB "
        "(pretrained, but random on EMO-DB itself)",
    )
    add(
        "--freeze",
        type=_frozen,
        action="append",
        default=[],
        metavar="LAYERS[=STEP]",
        help="layers, as a regular expression, that train from a step on, or never; repeatable",
    )
    add = parser.add_argument_group("run").add_argument
    add("--seed", type=int, default=_DEFAULTS.seed, help="(%(default)s)")
    add("--out", type=Path, help="folder for the results (one below runs/, named after the run)")
    add("--resume", action="store_true", help="go on with what was interrupted in the folder")
    add("--skip-bad-files", action="store_true", help="train on the other files, and list them")


def add_split(parser: argparse.ArgumentParser, default: str = _DEFAULTS.split) -> None:
    """Adds the flags of one division: --split, --fractions, --fold, --split-file."""
    add = parser.add_argument_group("parts").add_argument
    add(
        "--split",
        default=default,
        help=f"{', '.join(data.splits.names())} (%(default)s): what no two parts share; "
        f"with --fold {', '.join(data.splits.protocols())}",
    )
    add(
        "--fractions",
        type=float,
        nargs=3,
        default=_DEFAULTS.fractions,
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help=f"shares of the parts ({_spaced(_DEFAULTS.fractions)})",
    )
    add("--fold", help="one fold of how many, such as 2/5; all of them: cross_validate.py")
    add("--split-file", help="CSV file of path and part, for --split predefined")


def add_anti_transfer(parser: argparse.ArgumentParser) -> None:
    """Adds --anti-transfer, --at-layer, --at-beta, --at-aggregation."""
    add = parser.add_argument_group("anti-transfer").add_argument
    add(
        "--anti-transfer",
        action="append",
        default=[],
        metavar="TEACHER",
        help="learn other features than this run of the same model, or than one for the task "
        f"{' or '.join(TASKS)}, found or trained first, or untrained; repeatable",
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


def add_distributed(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of several processes that train as one: --distributed."""
    parser.add_argument_group("several processes").add_argument(
        "--distributed",
        nargs="*",
        metavar="COORDINATOR PROCESSES PROCESS",
        help="one of several processes: as SLURM, Open MPI or Kubernetes tell, or by HOST:PORT of "
        "process 0, how many there are, and this one's number",
    )


def split_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fields of the configuration that `add_corpus` and `add_split` ask for."""
    return {
        "dataset": arguments.dataset,
        "data_dir": arguments.data_dir,
        "dataset_options": dict(arguments.dataset_options),
        "split": arguments.split,
        "fractions": tuple(arguments.fractions),
        "fold": arguments.fold,
        "split_file": arguments.split_file,
    }


def anti_transfer_of(arguments: argparse.Namespace) -> tuple[AntiTransfer, ...]:
    """Teachers and layers that the flags of `add_anti_transfer` ask for.

    Raises:
        InputError: Layers or betas that are not one for all or one for each.
    """
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
    layers, betas = arguments.at_layer or ["2"], arguments.at_beta or [1.0]
    return tuple(
        AntiTransfer(
            teacher,
            tuple(layers[index % len(layers)].split(",")),
            betas[index % len(betas)],
            arguments.at_aggregation,
        )
        for index, teacher in enumerate(teachers)
    )


def _frozen(text: str) -> tuple[str, int | None]:
    """LAYERS or LAYERS=STEP."""
    pattern, separator, step = text.rpartition("=")
    if not separator:
        return text, None
    if not step.isdigit():
        raise argparse.ArgumentTypeError(f"expected LAYERS or LAYERS=STEP, found {text!r}")
    return pattern, int(step)


def config_of(arguments: argparse.Namespace, **others: Any) -> RunConfig:
    """The configuration that the flags of `add_training` ask for, and others besides.

    Raises:
        InputError: A step_decay for another schedule.
    """
    if tuple(arguments.staircase) != _DEFAULTS.step_decay and arguments.schedule != "step_decay":
        raise InputError(
            f"--step_decay: expected with --schedule step_decay, found with {arguments.schedule}"
        )
    return RunConfig.make(
        model=arguments.model,
        target=arguments.target,
        labels=arguments.labels,
        seed=arguments.seed,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        optimizer=arguments.optimizer,
        schedule=arguments.schedule,
        step_decay=tuple(arguments.staircase),
        weight_decay=arguments.weight_decay,
        patience=arguments.patience,
        monitor=arguments.monitor,
        augmentation=arguments.augmentation,
        front_end=arguments.front_end_of,
        silence=arguments.silence,
        colormap=arguments.colormap,
        image_size=arguments.image_size and tuple(arguments.image_size),
        dtype=arguments.dtype,
        parallel=arguments.parallel,
        sync_batch_norm=arguments.sync_batch_norm,
        accumulate=arguments.accumulate,
        remat=arguments.remat,
        scan_steps=arguments.scan_steps,
        stream=arguments.stream,
        init=arguments.initial,
        embedding=arguments.embedding,
        freeze=dict(arguments.freeze),
        model_options=dict(arguments.model_options),
        skip_bad_files=arguments.skip_bad_files,
        **others,
    )


def run(job: Callable[[list[str]], object], processes: Sequence[str] | None = None) -> int:
    """Does what a command that trains is there for, and says how to go on if it is stopped.

    Args:
        job: Called with the command as typed.
        processes: What was given with `--distributed`; None: this process trains by itself.

    Returns:
        The exit status: 128 and the signal's number after SIGINT or SIGTERM, 1 if the loss
        diverged or the disk is full.
    """
    use_threaded_convolutions()
    enable_compilation_cache()
    if processes is not None:
        processes.join(processes)
    command = ["python", *sys.argv]
    again = command if "--resume" in command else [*command, "--resume"]
    try:
        job(command)
    except (InterruptedRunError, KeyboardInterrupt) as stop:
        why = str(stop) or "interrupted"
        print(f"{why}; go on with: {shlex.join(again)}", file=sys.stderr)
        return 128 + (stop.signal_number if isinstance(stop, InterruptedRunError) else 2)
    except DivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror}", file=sys.stderr)
        print(f"nothing saved was lost; go on with: {shlex.join(again)}", file=sys.stderr)
        return 1
    return 0
