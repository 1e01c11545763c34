"""Trained model of a finished run: its best weights, its configuration and its classes."""

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from serjax import models, options, report
from serjax.errors import InputError, first_line
from serjax.files import PathLike
from serjax.models.pretrained.saved_arrays import read_best
from serjax.models.variables import Variables
from serjax.training.build import abstract_variables, build_model
from serjax.training.config import RunConfig
from serjax.training.config.resolve import front_end_of
from serjax.training.run_folder.metadata import METADATA_KEYS


class TrainedRun(NamedTuple):
    """Trained model.

    Attributes:
        config: Configuration of the run, with the model options that were asked for.
        classes: Names of the classes, in the order of the logits.
        model: Network.
        variables: Variables of the best epoch.
    """

    config: RunConfig
    classes: list[str]
    model: nn.Module
    variables: Variables


def load_run(folder: PathLike, model: str | None = None, **model_options: Any) -> TrainedRun:
    """Loads the best weights of a run.

    The modules that its configuration names under `imports` are not imported: a run folder may come
    from somebody else. Import them before, so that its model is registered.

    Args:
        folder: Finished run folder.
        model: Required name of the model; None for any.
        **model_options: Options of the model that differ from those of the run.

    Raises:
        InputError: The folder holds no finished run, a run of another model, or a checkpoint that
            does not fit the model.
    """
    folder = Path(folder)
    for file in ("config.json", "metrics.json"):
        if not (folder / file).is_file():
            raise InputError(
                f"{folder}: expected a finished run folder with {file}, found "
                + ("none" if folder.is_dir() else "no such folder")
            )
    path = folder / "config.json"
    config = options.read_file(RunConfig, path, ignored=METADATA_KEYS)
    name = config.model.name
    if model not in (None, name):
        raise InputError(f"{folder}: expected a run of {model}, found one of {name}")
    if name not in models.names():
        hint = f"; import {', '.join(config.imports)} first" if config.imports else ""
        raise InputError(
            f"{folder}: expected a run of a network, whose weights are saved; found one of "
            f"{name}{hint}"
        )
    metrics = report.read_metrics(folder / "metrics.json")
    if "best_step" not in metrics:
        raise InputError(
            f"{folder}: expected one run, whose weights are saved; found several, in sub-folders"
        )
    classes = report.read_config(path).get("classes")
    if classes is None:
        raise InputError(f"{path}: expected classes, found none")
    config = config.replace(model_options={**config.model.options, **model_options})
    if "dtype" in model_options:
        config = config.replace(dtype="float32")  # `build_model` leaves the option as it is
    try:
        network = build_model(config, len(classes))
        like = abstract_variables(network, front_end_of(config))
    except (TypeError, ValueError, ArithmeticError) as error:
        line = first_line(error)
        raise InputError(f"{path}: not options of {name}: {line}") from error
    like = {"params": like["params"], "batch_stats": like.get("batch_stats", {})}
    variables = jax.device_put(read_best(folder, metrics["best_step"], like))
    return TrainedRun(config, classes, network, variables)
