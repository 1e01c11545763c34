"""What a finished run left to use: its best weights, and what they belong to."""

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn

from serjax import models, report
from serjax.errors import InputError
from serjax.files import PathLike
from serjax.training.build import abstract_variables, build_model
from serjax.training.config import RunConfig, front_end_of
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


def load_run(folder: PathLike, model: str | None = None, **options: Any) -> TrainedRun:
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
    if model not in (None, described["model"]):
        raise InputError(f"{folder}: expected a run of {model}, found one of {described['model']}")
    if described["model"] not in models.names():
        raise InputError(
            f"{folder}: expected a run of a network, whose weights are kept; found one of "
            f"{described['model']}"
        )
    metrics = report.read_metrics(folder / "metrics.json")
    if "best_step" not in metrics:
        raise InputError(
            f"{folder}: expected one run, whose weights are kept; found several, in sub-folders"
        )
    config = RunConfig.make(
        model=described["model"],
        dtype="float32" if "dtype" in options else described["dtype"],
        # Older runs have none of these: they heard all, in one channel, as their models' papers do.
        front_end=described.get("front_end_of"),
        silence=described.get("silence", "keep"),
        colormap=described.get("colormap"),
        image_size=tuple(described["image_size"]) if described.get("image_size") else None,
        model_options={**described["model_options"], **options},
    )
    network = build_model(config, len(described["classes"]))
    like = abstract_variables(network, front_end_of(config))
    like = {"params": like["params"], "batch_stats": like.get("batch_stats", {})}
    variables = Checkpoints(folder / "checkpoints").restore_best(like, metrics["best_step"])
    return TrainedRun(config, described["classes"], network, variables)
