"""Run folders as a source of pretrained weights: the model of a run and its best checkpoint."""

import dataclasses
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax

from serjax import models, options
from serjax.errors import InputError
from serjax.features.front_ends import FrontEnd
from serjax.files import read_json
from serjax.files.run_files import BestContent, TrainedConfigContent
from serjax.models.pretrained.saved_arrays import read_best
from serjax.models.variables import Variables, variable_shapes


@dataclasses.dataclass(frozen=True)
class Run:
    """Finished run of a network.

    Attributes:
        folder: Run folder.
        model: Name of the model.
        options: Fields of the network that the run set, its arithmetic among them.
        classes: Names of the classes, in the order of the logits.
        input_shape: Shape of a batch of one input, `(1, frames, bins, channels)`.
        best_step: Step of the best checkpoint.
    """

    folder: Path
    model: str
    options: dict[str, Any]
    classes: list[str]
    input_shape: tuple[int, ...]
    best_step: int

    def create(self, num_classes: int, **options: Any) -> nn.Module:
        """Creates the network of the run.

        Args:
            num_classes: Number of classes.
            **options: Fields of the network that differ from those of the run.
        """
        return models.create(self.model, num_classes, **{**self.options, **options})

    def restore(self, **options: Any) -> Variables:
        """Restores the variables of the best checkpoint.

        Args:
            **options: Fields of the network that differ from those of the run.

        Returns:
            "params" and "batch_stats" as nested dictionaries of NumPy arrays.

        Raises:
            InputError: The checkpoint is missing, damaged, or of another model, or the options are
                not those of a network.
        """
        network = self.create(len(self.classes), **options)
        try:
            expected = variable_shapes(network, self.input_shape)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise InputError(f"{self.folder}: not options of {self.model}: {error}") from error
        return read_best(self.folder, self.best_step, expected)


def read(folder: Path) -> Run:
    """Reads the description of a finished run.

    The modules that its configuration names under `imports` are not imported: a run folder may
    come from somebody else.

    Args:
        folder: Run folder, with `config.json`, `metrics.json` and `checkpoints/`.

    Raises:
        InputError: The folder holds no finished run of a network, or its files are damaged.
    """
    for name in ("config.json", "metrics.json"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: expected a finished run folder with {name}, found none")
    path = folder / "config.json"
    config = read_json(path, TrainedConfigContent)
    name, model_options = config["model"]["name"], config["model"]["options"]
    if config["model"]["dtype"] == "bfloat16":
        model_options = {"dtype": jax.numpy.bfloat16, **model_options}
    metrics = read_json(folder / "metrics.json", BestContent)
    if "best_step" not in metrics:
        raise InputError(
            f"{folder}: expected one run of a network, whose weights are saved; found a run of "
            "another model, or several runs in sub-folders"
        )
    try:
        front_end = options.from_mapping(
            FrontEnd, config["resolved_front_end"], "resolved_front_end"
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Run(
        folder=folder,
        model=name,
        options=model_options,
        classes=config["classes"],
        input_shape=(1, *front_end.input_shape),
        best_step=metrics["best_step"],
    )
