"""Run folders with the weights of a network, made without training."""

import dataclasses

import optax
from rich.console import Console

from serjax import report
from serjax.training.build import build_model, input_shape
from serjax.training.config import RunConfig
from serjax.training.config.resolve import front_end_of, resolve
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.run_dir import open_folder
from serjax.training.state import state_of
from tests.helpers.networks import random_variables
from tests.helpers.run_folders import predictions

CLASSES = ["anger", "neutral", "sadness"]


def write_trained_run(folder, classes=CLASSES, **values):
    """Writes a finished run with random weights; returns its configuration and variables."""
    config = resolve(RunConfig.make(**values))
    model = build_model(config, len(classes))
    variables = random_variables(model, input_shape(front_end_of(config)))
    metadata = {
        "classes": classes,
        "resolved_front_end": dataclasses.asdict(front_end_of(config)),
    }
    with open_folder(folder, False, config, metadata, Console(quiet=True)):
        Checkpoints(folder / "checkpoints").save_best(state_of(variables, optax.identity()))
        metrics = report.measure(predictions(classes), resamples=20)
        report.write_json(folder / "metrics.json", {**metrics, "best_step": 0})
    return config, variables
