"""Configuration of RH-emo's pretraining: its two stages and the run that they share."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from serjax import options
from serjax.errors import InputError, unknown_name
from serjax.training.checks import check_config
from serjax.training.config import RunConfig

STAGES = ("reconstruction", "emotions")
"""Names of the stages."""


@dataclasses.dataclass(frozen=True)
class StageSettings:
    """Settings of one stage.

    Attributes:
        epochs: Maximum number of epochs.
        batch_size: Number of examples of a step.
        learning_rate: Learning rate of Adam.
        patience: Epochs without a lower validation loss after which the stage ends.
        weight_decay: Factor of the parameters that is added to their gradient, as PyTorch's Adam
            does.
        warmup_epochs: Epochs in which the weight of the emotions' loss rises from 0 to its full
            value.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    weight_decay: float = 0.0
    warmup_epochs: int = 0

    def check(self, name: str) -> None:
        """Checks the values.

        Args:
            name: Name of the stage, for error messages.

        Raises:
            InputError: A value that no stage can have.
        """
        for field in ("epochs", "batch_size", "patience"):
            if not getattr(self, field) >= 1:
                raise InputError(
                    f"{name}, {field}: expected at least 1, found {getattr(self, field)}"
                )
        if not self.learning_rate > 0:
            raise InputError(
                f"{name}, learning_rate: expected more than 0, found {self.learning_rate}"
            )
        for field in ("weight_decay", "warmup_epochs"):
            if not getattr(self, field) >= 0:
                raise InputError(
                    f"{name}, {field}: expected at least 0, found {getattr(self, field)}"
                )


# As published, except for the number of epochs, which patience limits there.
_PUBLISHED = (StageSettings(1000, 50, 1e-3, 100), StageSettings(1000, 20, 1e-6, 30, 1e-5))
# Minutes on two CPU cores: smaller batches and a higher rate make the most of few epochs.
_BUNDLED = (StageSettings(10, 16, 3e-3, 10), StageSettings(10, 16, 1e-3, 10, 1e-5))
_BUNDLED_OPTIONS = {"hidden": 64}

_STAGE_OPTIONS = (
    *("epochs", "batch_size", "learning_rate", "optimizer", "loss", "schedule", "step_decay"),
    *("weight_decay", "patience", "monitor", "augment", "init", "embedding", "freeze"),
    "training_set_of",
)
"""Options of a run that the stages decide."""


@dataclasses.dataclass(frozen=True)
class RHEmoConfig:
    """Configuration of a pretraining.

    Attributes:
        run: Model, corpus, split, seed, type of the arithmetic and use of the hardware. Options
            that the stages decide have their defaults.
        dimensions: "mapped": valence, arousal and dominance are those of the corpus, or, if it has
            none, those of the emotion, see `serjax.data.dimensions`. "none": their classifiers are
            left out.
        reconstruction: Fields of the first stage's `StageSettings` that differ from the defaults.
            The defaults are the published ones; on the bundled corpus fewer epochs of smaller
            batches, with classifiers of 64 instead of 4096 units.
        emotions: Fields of the second stage's `StageSettings` that differ from the defaults.
    """

    run: RunConfig = dataclasses.field(default_factory=lambda: RunConfig.make(model="rhemo"))
    dimensions: str = "mapped"
    reconstruction: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    emotions: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def check(self) -> None:
        """Checks all values before anything is read.

        Raises:
            InputError: A value that no pretraining can have.
        """
        check_config(self.run)
        if not self.run.model.name.endswith("rhemo"):
            raise InputError(f"model: expected rhemo to be pretrained, found {self.run.model.name}")
        if self.dimensions not in ("mapped", "none"):
            raise InputError(unknown_name("dimensions", self.dimensions, ("mapped", "none")))
        for option, value, _ in options.differences(self.run, RunConfig()):
            if option.name in _STAGE_OPTIONS:
                raise InputError(
                    f"{option.path}: expected none for the whole pretraining, whose stages have "
                    f"their own settings; found {value!r}"
                )
        if self.run.auxiliary_losses:
            name = self.run.auxiliary_losses[0].name
            raise InputError(f"auxiliary_losses: expected none with rhemo, found {name}")
        for name, stage in zip(STAGES, self.stages(), strict=True):
            stage.check(name)

    def stages(self) -> tuple[StageSettings, StageSettings]:
        """Returns the settings of both stages, their defaults filled in.

        Raises:
            InputError: A setting does not exist.
        """
        defaults = _BUNDLED if self.run.data.dataset == "synthetic" else _PUBLISHED
        known = [field.name for field in dataclasses.fields(StageSettings)]
        for name, settings in zip(STAGES, (self.reconstruction, self.emotions), strict=True):
            for setting in settings:
                if setting not in known:
                    raise InputError(unknown_name(f"setting of {name}", setting, known))
        return (
            dataclasses.replace(defaults[0], **self.reconstruction),
            dataclasses.replace(defaults[1], **self.emotions),
        )

    def run_config(self) -> RunConfig:
        """Returns the configuration of the run with the options of its model filled in."""
        model_options: dict[str, Any] = {"dimensions": self.dimensions == "mapped"}
        if self.run.data.dataset == "synthetic":
            model_options |= _BUNDLED_OPTIONS
        model_options |= self.run.model.options
        return self.run.replace(target="emotion", model_options=model_options)
