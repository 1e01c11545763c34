"""What a finished run left to use: its best weights, and what they belong to."""

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn

from serjax import options, report
from serjax.errors import InputError
from serjax.files import PathLike
from serjax.training.build import abstract_variables, build_model
from serjax.training.config import RunConfig, front_end_of
from serjax.training.run_folder.metadata import METADATA_KEYS
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.state import Variables


class TrainedRun(NamedTuple):
    """A trained model.

    Attributes:
        config: That of the run, as far as the model and what it hears follow from it.
        classes: Names, in the order of the logits.
        model: The network.
        variables: Its best ones.
    """

    config: RunConfig
    classes: list[str]
    model: nn.Module
    variables: Variables


def load_run(folder: PathLike, model: str | None = None, **options_: Any) -> TrainedRun:
    """Loads the best weights of a run.

    Args:
        folder: A finished run folder.
        model: The name that its model must have; None: any.
        **options: Fields of the model that are to differ from the run's.

    Raises:
        InputError: The folder holds no finished run, one of another model, or one whose
            checkpoint does not fit.
    """
    folder = Path(folder)
    for name in ("config.json", "metrics.json"):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: expected a finished run folder with {name}, found "
                + ("none" if folder.is_dir() else "no such folder")
            )
    described = report.read_config(folder / "config.json")
    config = options.read_file(RunConfig, folder / "config.json", ignored=METADATA_KEYS)
    if model not in (None, config.model.name):
        raise InputError(f"{folder}: expected a run of {model}, found one of {config.model.name}")
    if config.is_classical:
        raise InputError(
            f"{folder}: expected a run of a network, whose weights are kept; found one of "
            f"{config.model.name}"
        )
    metrics = report.read_metrics(folder / "metrics.json")
    if "best_step" not in metrics:
        raise InputError(
            f"{folder}: expected one run, whose weights are kept; found several, in sub-folders"
        )
    if "dtype" in options_:
        config = config.replace(dtype="float32")
    config = config.replace(model_options={**config.model.options, **options_})
    network = build_model(config, len(described["classes"]))
    like = abstract_variables(network, front_end_of(config))
    like = {"params": like["params"], "batch_stats": like.get("batch_stats", {})}
    variables = Checkpoints(folder / "checkpoints").restore_best(like, metrics["best_step"])
    return TrainedRun(config, described["classes"], network, variables)
