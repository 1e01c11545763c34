"""Configuration of a run: declared options in groups.

Every option is declared once, here. Flags, help, checks and `config.json` follow from it, see
`serjax.options`. `RunConfig.make(model="dscnn", epochs=2)` sets options by their short names.
"""

import dataclasses
from typing import Any, Literal

from serjax import options
from serjax.options import names_in, option

# Models, corpora and the like are imported where they are needed, so that a command's help, which
# needs the declarations only, does not wait for JAX.


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Corpus, target and split."""

    dataset: str = option(
        "synthetic", "Name of the corpus.", choices=names_in("serjax.data:names"), common=True
    )
    data_dir: str | None = option(
        None, "Folder of the corpus; the bundled one needs none.", metavar="DIR", common=True
    )
    dataset_options: dict[str, Any] = option(
        {},
        "Option of the corpus, such as correlate=speaker; repeatable.",
        flag="--dataset-option",
        metavar="KEY=VALUE",
    )
    target: Literal["emotion", "speaker", "text"] | None = option(
        None,
        "Column that is recognized: emotion, speaker or text (emotion; text for corpora without "
        "emotions).",
    )
    labels: str | None = option(
        None,
        "Named set of emotions that is kept.",
        kind="label set",
        choices=names_in("serjax.data.labels:names"),
    )
    subset: int | None = option(
        None,
        "Number of utterances, a random selection with as many of each class (all).",
        minimum=2,
        metavar="N",
    )
    split: str = option(
        "speaker",
        "Split into training, validation and test set: what they do not share; with --fold a "
        "protocol.",
        common=True,
    )
    fractions: tuple[float, float, float] = option(
        (0.6, 0.2, 0.2),
        "Fractions of the training, validation and test set.",
        metavar=("TRAIN", "VALIDATION", "TEST"),
    )
    fold: str | None = option(
        None,
        "One fold of a protocol, such as 2/5; `cross-validate` runs all of them.",
        metavar="K/N",
    )
    split_file: str | None = option(
        None, "CSV file of path and split, for the predefined split.", metavar="FILE"
    )
    split_seed: int | None = option(
        None, "Seed of the split (the run's seed); shared by the members of an ensemble."
    )
    test_dataset: str | None = option(
        None, "Corpus of the test set, for a cross-corpus test.", flag=None
    )
    test_dir: str | None = option(None, "Folder of the test corpus.", flag=None)
    test_dataset_options: dict[str, Any] = option({}, "Options of the test corpus.", flag=None)
    skip_bad_files: bool = option(
        False, "Train without the files that cannot be read, and list them."
    )
    training_set_of: "RunConfig | None" = option(
        None,
        "Run on the same corpus whose training set is used and split again, so that a "
        "source-task network has seen nothing of its student's test set.",
        flag=None,
    )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Model, its input, and the weights it starts from."""

    name: str = option(
        "quat_vgg16",
        "Name of the model, see `serjax models`.",
        name="model",
        choices=names_in("serjax.models:names", "serjax.classical:names"),
        common=True,
    )
    options: dict[str, Any] = option(
        {},
        "Field of the model, such as dropout_rate=0.3; repeatable.",
        name="model_options",
        flag="--model-option",
        metavar="KEY=VALUE",
    )
    front_end: str | None = option(
        None,
        "Front end of a paper's model (that of the model's own paper).",
        kind="front end",
        choices=names_in("serjax.features.front_ends:FRONT_ENDS"),
    )
    silence: Literal["keep", "remove", "voiced", "voiced_segment"] | None = option(
        None,
        "Silence: keep it, remove it by an adaptive threshold, or keep voiced speech only, all or "
        "one segment (depends on the front end).",
        kind="silence treatment",
    )
    fit: Literal["pad", "resize"] | None = option(
        None,
        "How inputs get the model's number of frames: segments are padded, or whole utterances "
        "resized (depends on the front end).",
    )
    sample_rate: int | None = option(
        None, "Sample rate of the input in Hz (depends on the front end).", minimum=1000
    )
    colormap: str | None = option(
        None,
        "Colour map that makes images of three channels (one channel).",
        kind="colour map",
        choices=names_in("serjax.features.image:COLORMAPS"),
    )
    image_size: tuple[int, int] | None = option(
        None,
        "Size that inputs are resized to, frames by bins (depends on the front end).",
        metavar=("ROWS", "COLUMNS"),
    )
    dtype: Literal["float32", "bfloat16"] = option("float32", "Type of the arithmetic.")
    init: str | None = option(
        None,
        "Initial weights: a run folder, or a file of published weights (random initialization).",
        metavar="RUN|FILE",
    )
    embedding: str | None = option(
        None,
        "Initial RH-emo encoder of quat_ and phm networks without --init: random, pretrained, or "
        "that of a run (pretrained; random on EMO-DB, which the pretrained encoder was trained "
        "on).",
        metavar="random|pretrained|RUN",
    )
    fresh: tuple[str, ...] = option(
        (),
        "Layers, as a regular expression, that start from random weights although --init has "
        "weights for them; repeatable.",
        metavar="LAYERS",
    )
    freeze: dict[str, int | None] = option(
        {},
        "Layers, as a regular expression, that stay frozen, or train from a step on; repeatable.",
        metavar="LAYERS[=STEP]",
    )


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Loss, optimizer, schedule, and the length of training."""

    epochs: int | None = option(
        None, "Maximum number of epochs (depends on model and corpus).", minimum=1, common=True
    )
    batch_size: int | None = option(
        None, "Examples of a training step (depends on the model).", minimum=1, common=True
    )
    learning_rate: float | None = option(
        None, "Peak learning rate (depends on the model).", above=0, common=True
    )
    name: Literal["adam", "sgd", "adadelta"] = option("adam", "Optimizer.", name="optimizer")
    loss: str = option(
        "cross_entropy", "Loss that is minimized.", choices=names_in("serjax.losses:names")
    )
    schedule: Literal["cosine", "constant", "step_decay"] = option(
        "cosine", "Schedule of the learning rate."
    )
    step_decay: tuple[float, float, float] = option(
        (8, 2, 0.5),
        "Step decay: epochs before the first change, epochs between changes, factor.",
        metavar=("HOLD", "EVERY", "FACTOR"),
    )
    weight_decay: float = option(0.0, "Weight decay, decoupled with Adam.", minimum=0)
    accumulate: int = option(
        1,
        "Micro-batches of a step (gradient accumulation), to save memory.",
        minimum=1,
        metavar="N",
    )
    sync_batch_norm: bool = option(
        True, "Batch norm statistics over all devices instead of each device's own."
    )
    patience: int = option(
        20, "Epochs without improvement after which training stops early.", minimum=1
    )
    monitor: Literal["ua", "loss"] = option(
        "ua", "Validation metric that selects the best epoch: highest UA or lowest loss."
    )


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Augmentation of the training set."""

    preset: str = option(
        "none",
        "Augmentation of the training set: none, conservative, aggressive, waveform or tiwari, or "
        "a single one, such as noise or rotation; several are joined by +.",
        name="augment",
        common=True,
    )
    copies: int = option(
        0,
        "Augmented copies of each example in an epoch, next to the unchanged one (every example is "
        "augmented, once in an epoch).",
        name="augment_copies",
        minimum=0,
        metavar="N",
    )


@dataclasses.dataclass(frozen=True)
class SystemConfig:
    """Use of the hardware and of the disk, which changes results by rounding errors at most.

    A resumed run may change it.
    """

    parallel: Literal["none", "shard_map", "pmap"] | None = option(
        None, "Data parallelism over the devices (shard_map on those that divide a batch evenly)."
    )
    remat: Literal["none", "dots", "everything"] = option(
        "none",
        "Rematerialization, to save memory: the backward pass computes again all but the products, "
        "or everything.",
    )
    scan_steps: int | None = option(
        None,
        "Training steps of one call of the device (1 on a CPU, 16 elsewhere).",
        minimum=1,
        metavar="N",
    )
    stream: bool | None = option(
        None,
        "Read a stored corpus batch by batch instead of keeping it on the device (above 2 GiB).",
    )
    audio: bool | None = option(
        None,
        "Embed the sound of the hardest utterances in the report page (unless a licence forbids to "
        "share the corpus).",
    )


@dataclasses.dataclass(frozen=True)
class AuxiliaryLossConfig:
    """An auxiliary loss that is added to the loss of the task.

    Attributes:
        name: Name of a registered auxiliary loss, such as "anti_transfer".
        weight: Factor of its values.
        options: Options of the loss.
    """

    name: str
    weight: float = 1.0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Configuration of a run: everything that determines its results.

    Attributes:
        data: Corpus, target and split.
        model: Model, its input, and the weights it starts from.
        optimizer: Loss, optimizer, schedule, and the length of training.
        augmentation: Augmentation of the training set.
        system: Use of the hardware.
        auxiliary_losses: Losses that are added to that of the task.
        seed: Seed of weights, shuffling, dropout, augmentation and split.
        imports: Modules that are imported first, to register a user's own models, corpora, losses
            and augmentations.
    """

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)
    system: SystemConfig = dataclasses.field(default_factory=SystemConfig)
    auxiliary_losses: tuple[AuxiliaryLossConfig, ...] = ()
    seed: int = option(0, "Seed of everything random.", common=True)
    imports: tuple[str, ...] = option(
        (),
        "Module to import first, which registers models, corpora, losses or augmentations; "
        "repeatable.",
        flag="--import",
        metavar="MODULE",
    )

    @classmethod
    def make(cls, **values: Any) -> "RunConfig":
        """Makes a configuration from the short names of options: `RunConfig.make(model="dscnn")`.

        Args:
            **values: Values by the names of options, groups or other fields.

        Raises:
            InputError: An option does not exist.
        """
        return options.replace(cls(), **values)

    def replace(self, **values: Any) -> "RunConfig":
        """Returns a copy with other values, given as to `make`."""
        return options.replace(self, **values)

    @property
    def is_classical(self) -> bool:
        """True for a classical model, which is fitted and not trained in steps."""
        from serjax import classical

        return self.model.name in classical.names()

    @property
    def split_seed(self) -> int:
        """Seed of the split."""
        return self.seed if self.data.split_seed is None else self.data.split_seed
