"""What a pretraining of RH-emo is to do: its two stages, and what they have in common."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from serjax.errors import InputError, unknown_name
from serjax.training.config import RunConfig

STAGES = ("reconstruction", "emotions")


@dataclasses.dataclass(frozen=True)
class Stage:
    """Settings of one stage.

    Attributes:
        epochs: At most.
        batch_size: Examples of a step.
        learning_rate: Of Adam.
        patience: Epochs without a lower validation loss after which it ends.
        weight_decay: Times the parameters, added to their gradient, as PyTorch's Adam does.
        warmup_epochs: Epochs in which the weight of the emotions' loss rises from 0 to its own.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    weight_decay: float = 0.0
    warmup_epochs: int = 0

    def check(self, name: str) -> None:
        """Raises InputError for values that no stage can have."""
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


# As published; no number of epochs is, for patience ends them.
_PUBLISHED = (Stage(1000, 50, 1e-3, 100), Stage(1000, 20, 1e-6, 30, 1e-5))
# Minutes on two cores: smaller batches and a higher rate make the most of few epochs.
_EMBEDDED = (Stage(10, 16, 3e-3, 10), Stage(10, 16, 1e-3, 10, 1e-5))
_EMBEDDED_OPTIONS = {"hidden": 64}


@dataclasses.dataclass(frozen=True)
class RHEmoConfig:
    """What a pretraining is to do.

    Attributes:
        run: Model, corpus, split, seed and dtype. What a stage decides is left at its default.
        dimensions: "mapped": valence, arousal and dominance are the corpus's, or, where it has
            none, those of the emotion, see `serjax.data.dimensions`. "none": their classifiers
            are left out.
        reconstruction: Fields of the first `Stage` that differ from the published ones; from
            fewer epochs of smaller batches on the embedded corpus, where the classifiers are 64
            wide, not 4096.
        emotions: Of the second.
    """

    run: RunConfig = dataclasses.field(default_factory=lambda: RunConfig.make(model="rhemo"))
    dimensions: str = "mapped"
    reconstruction: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    emotions: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def check(self) -> None:
        """Raises InputError for values that no pretraining can have, before anything is read."""
        self.run.check()
        if not self.run.model.endswith("rhemo"):
            raise InputError(f"model: expected rhemo to be pretrained, found {self.run.model.name}")
        if self.dimensions not in ("mapped", "none"):
            raise InputError(unknown_name("dimensions", self.dimensions, ("mapped", "none")))
        default = RunConfig()
        for name in OF_STAGES:
            if getattr(self.run, name) != getattr(default, name):
                raise InputError(
                    f"{name}: expected none of the whole pretraining, whose stages have their own "
                    f"settings; found {getattr(self.run, name)!r}"
                )
        for name, stage in zip(STAGES, self.stages(), strict=True):
            stage.check(name)

    def stages(self) -> tuple[Stage, Stage]:
        """Both stages, every setting filled in.

        Raises:
            InputError: A setting does not exist.
        """
        suited = _EMBEDDED if self.run.data.dataset == "synthetic" else _PUBLISHED
        known = [field.name for field in dataclasses.fields(Stage)]
        for name, given in zip(STAGES, (self.reconstruction, self.emotions), strict=True):
            for setting in given:
                if setting not in known:
                    raise InputError(unknown_name(f"setting of {name}", setting, known))
        return (
            dataclasses.replace(suited[0], **self.reconstruction),
            dataclasses.replace(suited[1], **self.emotions),
        )

    def resolved(self) -> RunConfig:
        """The run with the options of its model filled in."""
        options: dict[str, Any] = {"dimensions": self.dimensions == "mapped"}
        if self.run.data.dataset == "synthetic":
            options |= _EMBEDDED_OPTIONS
        options |= self.run.model.options
        return self.run.replace(target="emotion", model_options=options)


# Fields of a `RunConfig` that say how one training goes.
OF_STAGES = (
    *("epochs", "batch_size", "learning_rate", "optimizer", "schedule", "step_decay"),
    *("weight_decay", "patience", "monitor"),
    *("augmentation", "initial", "embedding", "freeze", "anti_transfer", "training_part_of"),
    *("parallel", "sync_batch_norm", "accumulate", "remat", "scan_steps"),
)
