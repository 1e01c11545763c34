"""Trains a model on a corpus, tests it, and writes a folder of results: the main job.

    python experiments/train.py --model quat_vgg16
    python experiments/train.py --model dscnn --dataset emodb --data-dir EMODB --split speaker
    python experiments/train.py ... --out DIR --resume

Without --dataset it runs on the embedded corpus of synthetic speech, which needs no download.
"""

from serjax.command import key_value, prefer_huge_pages, run_command

if __name__ == "__main__":
    prefer_huge_pages()  # before the imports that take long, for it starts over

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console

from serjax import augment, data, training
from serjax.training.cache import enable_compilation_cache


def _parser() -> argparse.ArgumentParser:
    defaults = training.RunConfig()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default=defaults.model, help="see `python -m serjax.models` (%(default)s)")
    add("--dataset", default=defaults.dataset, help=f"{', '.join(data.names())} (%(default)s)")
    add("--data-dir", help="folder of the corpus, or CSV file; the embedded one needs none")
    add("--target", help="emotion, speaker or text (emotion; text where there are no emotions)")
    add("--labels", help=f"emotions kept, and their names: {', '.join(data.labels.names())} (all)")
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
    add("--out", type=Path, help="run folder (runs/DATASET-MODEL-SPLIT-SEED, then -2 and so on)")
    add("--resume", action="store_true", help="go on with the interrupted run in the folder")
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
    return parser


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    arguments = _parser().parse_args()
    enable_compilation_cache()
    config = training.RunConfig(
        model=arguments.model,
        dataset=arguments.dataset,
        data_dir=arguments.data_dir,
        target=arguments.target,
        labels=arguments.labels,
        split=arguments.split,
        fractions=tuple(arguments.fractions),
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
        dataset_options=dict(arguments.dataset_option),
        skip_bad_files=arguments.skip_bad_files,
    )
    command = ["python", *sys.argv]
    try:
        training.run(
            config,
            out=arguments.out,
            resume=arguments.resume,
            console=Console(),
            command=command,
        )
    except training.InterruptedRunError as stop:
        again = command if arguments.resume else [*command, "--resume"]
        print(f"{stop}; go on with: {shlex.join(again)}", file=sys.stderr)
        return 128 + stop.signal_number
    except training.DivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    run_command(main)
