"""What a run is to do, and the front end and network that it asks for."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from serjax import augment, classical, losses, models
from serjax.data import labels, splits
from serjax.errors import InputError, unknown_name
from serjax.features import front_ends
from serjax.features.front_ends import FrontEnd
from serjax.training import embedding
from serjax.training.devices.batch_sharding import KINDS
from serjax.training.devices.memory import REMAT
from serjax.training.monitor import MONITORS
from serjax.training.optimizer import OPTIMIZERS, SCHEDULES

_OF_NETWORKS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "optimizer",
    "schedule",
    "step_decay",
    "weight_decay",
    "patience",
    "monitor",
    "augmentation",
    "front_end_of",
    "silence",
    "stream",
    "colormap",
    "image_size",
    "dtype",
    "initial",
    "embedding",
    "anti_transfer",
    "parallel",
    "sync_batch_norm",
    "accumulate",
    "remat",
    "scan_steps",
)


@dataclasses.dataclass(frozen=True)
class AntiTransfer:
    """Layers of one teacher.

    Attributes:
        teacher: Folder of a finished run of the same model; or "untrained", which is the network
            itself with other weights from chance.
        layers: Names, such as "conv2", or numbers of convolutions, such as "2"; "all" is all of
            those.
        beta: Weight of each layer's loss.
        aggregation: One of `serjax.losses.AGGREGATIONS`.
    """

    teacher: str
    layers: tuple[str, ...] = ("2",)
    beta: float = 1.0
    aggregation: str = "gram"

    def check(self) -> None:
        """Raises InputError for values that no run can have."""
        if self.aggregation not in losses.AGGREGATIONS:
            raise InputError(unknown_name("aggregation", self.aggregation, losses.AGGREGATIONS))
        if not self.beta > 0:
            raise InputError(f"anti-transfer's beta: expected more than 0, found {self.beta}")
        if not self.layers:
            raise InputError("anti-transfer: expected at least one layer, found none")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that determines a run's numbers, and how long it goes on.

    Attributes:
        model: One of `serjax.models.names()` or `serjax.classical.names()`. The settings of
            training, from `epochs` to `dtype`, are for networks alone.
        dataset: One of `serjax.data.names()`.
        data_dir: Where the corpus lies; None for the embedded one.
        target: What is recognized: "emotion", "speaker", "text"; None: the emotion, or the text
            where the corpus has no emotions.
        labels: One of `serjax.data.labels.names()`, which emotions are kept and what they are
            called; None: all, as the corpus has them.
        split: One of `serjax.data.splits.names()`; of `protocols()` for a fold; for another test
            corpus, what training and validation don't share.
        fractions: Shares of training, validation and test.
        fold: Number and count of folds, such as "2/5"; None: the corpus is divided once.
        split_file: CSV file of path and part, for the `given` split.
        test_dataset: The corpus that is tested on instead; None: a part of `dataset`.
        test_dir: Where that one lies.
        seed: Of weights, order, dropout, augmentation and split.
        split_seed: Of the split alone; None: `seed`. Members of an ensemble share it.
        epochs: Most epochs; None: as suits the model and the corpus.
        batch_size: Examples of a step; None: as suits the model.
        learning_rate: The highest of the schedule; None: as suits the model, with Adam.
        optimizer: One of `serjax.training.optimizer.OPTIMIZERS`.
        schedule: "cosine": rising in the first 20th of all steps and falling to zero at the last;
            "constant"; or "step_decay", see there.
        step_decay: Epochs before the learning rate changes, epochs from one change to the next, and
            the factor of each.
        weight_decay: Decoupled, as in AdamW.
        patience: Epochs without a better one, on the validation part, after which training stops.
        monitor: What makes an epoch better, and its weights those that are kept: "ua", a higher
            one, or "loss", a lower one.
        augmentation: Of the training part, a name that `serjax.augment.preset` knows.
        front_end_of: Whose front end the model has, one of `serjax.features.front_ends.FRONT_ENDS`; None: its
            own paper's.
        silence: "keep", "remove" or "voiced", see `serjax.features.front_ends.FrontEnd`; None: as the front
            end has it.
        colormap: Colour map of images of three channels, one of `serjax.features.image.COLORMAPS`; None: as
            the front end has it, most often spectrograms of one channel.
        image_size: Rows and columns that the input is resized to; None: as the front end makes
            it.
        dtype: Of the arithmetic, "float32" or "bfloat16".
        initial: Where the weights come from: the folder of a run of the same model, or a file of
            published weights, see `serjax.pretrained.load`; None: from chance.
        embedding: How the embedding of a network that stands behind one starts, without
            `initial`: "random" from chance; "pretrained" as the encoder that ships with the
            library, see `serjax.pretrained.encoder`; None: pretrained, but where a corpus is the
            one that this encoder has heard.
        freeze: Layers that train from a later step on, or never, see `serjax.training.freeze`.
        anti_transfer: Teachers whose layers the network is to differ from. Without `initial`, the
            embedding of a network that stands behind one starts as the first teacher's, whatever
            `embedding` says.
        training_part_of: A run on the same corpus of whose training part this one is, split anew:
            so a teacher knows nothing of what its student is tested on.
        parallel: How a batch is divided over devices, one of `serjax.training.devices.batch_sharding.KINDS`;
            None: "shard_map" on as many devices as divide the batch evenly, "none" on one.
        sync_batch_norm: Whether batch norms take the statistics of all devices' examples, as on
            one device.
        accumulate: Micro-batches whose gradients make a step, one after the other. Batch norms
            normalize each by itself.
        remat: What the backward pass computes again instead of keeping it, one of
            `serjax.training.devices.memory.REMAT`.
        scan_steps: Steps that the device takes before the host hears of them; None: as suits
            the device, see `serjax.training.devices.multi_step.scan_steps`.
        model_options: Fields of the model, see `serjax.models.create`; others as suit it.
        dataset_options: Of the corpus's loader.
        test_dataset_options: The same for the test corpus.
        stream: Whether waveforms are read anew in every epoch instead of lying on the device, from
            a stored corpus; None: if it is larger than `serjax.training.input.recordings.RESIDENT_SAMPLES`.
            The numbers are the same.
        skip_bad_files: Go on without files that cannot be used, and list them.
    """

    model: str = "quat_vgg16"
    dataset: str = "synthetic"
    data_dir: str | None = None
    target: str | None = None
    labels: str | None = None
    split: str = "speaker"
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    fold: str | None = None
    split_file: str | None = None
    test_dataset: str | None = None
    test_dir: str | None = None
    seed: int = 0
    split_seed: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    optimizer: str = "adam"
    schedule: str = "cosine"
    step_decay: tuple[float, float, float] = (8, 2, 0.5)
    weight_decay: float = 0.0
    patience: int = 20
    monitor: str = "ua"
    augmentation: str = "none"
    front_end_of: str | None = None
    silence: Literal["keep", "remove", "voiced"] | None = None
    colormap: str | None = None
    image_size: tuple[int, int] | None = None
    dtype: str = "float32"
    initial: str | None = None
    embedding: str | None = None
    freeze: dict[str, int | None] = dataclasses.field(default_factory=dict)
    anti_transfer: tuple[AntiTransfer, ...] = ()
    training_part_of: "RunConfig | None" = None
    parallel: str | None = None
    sync_batch_norm: bool = True
    accumulate: int = 1
    remat: str = "none"
    scan_steps: int | None = None
    model_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    dataset_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    test_dataset_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    stream: bool | None = None
    skip_bad_files: bool = False

    def check(self) -> None:
        """Raises InputError for values that no run can have, before anything is read."""
        for name in ("epochs", "batch_size", "patience", "accumulate", "scan_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: expected at least 1, found {value}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate: expected more than 0, found {self.learning_rate}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed: expected 0 to 2**32 - 1, found {self.seed}")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay: expected 0 or more, found {self.weight_decay}")
        if self.optimizer not in OPTIMIZERS:
            raise InputError(unknown_name("optimizer", self.optimizer, OPTIMIZERS))
        if self.schedule not in SCHEDULES:
            raise InputError(unknown_name("schedule", self.schedule, SCHEDULES))
        hold, every, factor = self.step_decay
        if hold < 1 or every < 1 or not 0 < factor <= 1 or hold % 1 or every % 1:
            raise InputError(
                "step_decay: expected whole epochs from 1 on, twice, and a factor in (0, 1], found "
                f"{hold:g} {every:g} {factor:g}"
            )
        if self.monitor not in MONITORS:
            raise InputError(unknown_name("monitor", self.monitor, MONITORS))
        if self.dtype not in ("float32", "bfloat16"):
            raise InputError(f"dtype: expected float32 or bfloat16, found {self.dtype!r}")
        if self.parallel is not None and self.parallel not in KINDS:
            raise InputError(unknown_name("parallel", self.parallel, KINDS))
        if self.remat not in REMAT:
            raise InputError(unknown_name("remat", self.remat, REMAT))
        if self.embedding is not None and self.embedding not in embedding.EMBEDDINGS:
            raise InputError(unknown_name("embedding", self.embedding, embedding.EMBEDDINGS))
        augment.preset(self.augmentation)
        known = (*models.names(), *classical.names())
        if self.model not in known:
            raise InputError(unknown_name("model", self.model, known))
        if self.model in models.names():
            models.create(self.model, 2, **self.model_options)
            if self.embedding is not None and not _has_embedding(self.model):
                raise InputError(
                    f"embedding: expected none with {self.model}, which stands behind none, found "
                    f"{self.embedding}"
                )
        build_front_end(self)
        if self.model in classical.names():
            self._check_classical()
        if self.labels is not None:
            labels.get(self.labels)
            if self.target not in (None, "emotion"):
                raise InputError(
                    f"target: expected emotion with the label set {self.labels!r}, found "
                    f"{self.target}"
                )
        for term in self.anti_transfer:
            term.check()
        if self.fold is None:
            if self.split not in splits.names():
                raise InputError(unknown_name("split", self.split, splits.names()))
        else:
            splits.parse_fold(self.fold)
            if self.split not in splits.protocols():
                raise InputError(unknown_name("protocol", self.split, splits.protocols()))
            for name in ("split_file", "test_dataset"):
                if getattr(self, name) is not None:
                    raise InputError(f"{name}: expected none with fold {self.fold}")

    def _check_classical(self) -> None:
        """Raises InputError for settings that a classical model would not heed."""
        for name in _OF_NETWORKS:
            value = getattr(self, name)
            if value != getattr(RunConfig, name):
                raise InputError(f"{name}: expected none with {self.model}, found {value!r}")
        if self.freeze:
            raise InputError(f"freeze: expected none with {self.model}, found {self.freeze}")

    @property
    def effective_split_seed(self) -> int:
        """The seed of the split."""
        return self.seed if self.split_seed is None else self.split_seed

    def resolved(self) -> "RunConfig":
        """The same with every default that depends on the model or the corpus filled in."""
        if self.model in classical.names():
            return self
        suited = models.training_defaults(self.model)
        epochs = suited.bundled_epochs if self.dataset == "synthetic" else suited.epochs
        return dataclasses.replace(
            self,
            epochs=self.epochs or epochs,
            batch_size=self.batch_size or suited.batch_size,
            learning_rate=self.learning_rate or suited.learning_rate,
            silence=build_front_end(self).silence,
            embedding=self.embedding or self._suited_embedding(),
            model_options={**suited.model_options, **self.model_options},
        )

    def _suited_embedding(self) -> str | None:
        if not _has_embedding(self.model):
            return None
        return "random" if self.heard_by_encoder() else "pretrained"

    def heard_by_encoder(self) -> bool:
        """Whether the encoder that ships was trained on the corpus, or on that of the test."""
        return embedding.heard_by_encoder(
            self.dataset, self.data_dir, self.dataset_options
        ) or embedding.heard_by_encoder(self.test_dataset, self.test_dir, self.test_dataset_options)


def _has_embedding(model: str) -> bool:
    return isinstance(models.create(model, 2), models.Embedded)


def for_models(
    config: RunConfig, names: Sequence[str]
) -> tuple[dict[str, RunConfig], tuple[str, ...]]:
    """The same run of several models.

    Args:
        config: Of all, but for the model. Its `embedding` is for the networks that have one, and
            for all if none has, which `RunConfig.check` refuses then.
        names: Of the models.

    Returns:
        The configuration of each model, and a line for each that `embedding` does not concern.
    """
    without = [name for name in names if name in models.names() and not _has_embedding(name)]
    if config.embedding is None or len(without) == len(names):
        without = []
    configs = {
        name: dataclasses.replace(
            config, model=name, embedding=None if name in without else config.embedding
        )
        for name in names
    }
    notes = (f"{name} has no embedding that could be {config.embedding}" for name in without)
    return configs, tuple(notes)


def build_front_end(config: RunConfig) -> FrontEnd:
    """What the configured model hears: what its paper describes, but for what is configured.

    Raises:
        InputError: Unknown model, or settings that it cannot have.
    """
    if config.model in classical.names():
        return classical.FRONT_END
    suited = models.front_end(config.model)
    if config.front_end_of is not None:
        if config.front_end_of not in front_ends.FRONT_ENDS:
            raise InputError(unknown_name("front end", config.front_end_of, front_ends.FRONT_ENDS))
        suited = front_ends.FRONT_ENDS[config.front_end_of]
    return dataclasses.replace(
        suited,
        silence=config.silence or suited.silence,
        colormap=config.colormap or suited.colormap,
        image_size=config.image_size or suited.image_size,
    )


def build_model(config: RunConfig, num_classes: int) -> nn.Module:
    """The configured network, its shapes checked without compiling anything.

    Raises:
        InputError: An option does not exist, or layers do not fit together.
    """
    options = dict(config.model_options)
    if config.dtype == "bfloat16":
        options["dtype"] = jnp.bfloat16
    model = models.create(config.model, num_classes, **options)
    try:
        abstract_variables(model, build_front_end(config))
    except (TypeError, ValueError) as error:
        raise InputError(f"{config.model} {options}: {error}") from error
    return model


def input_shape(front_end: FrontEnd) -> tuple[int, int, int, int]:
    """Shape of a batch of one."""
    return (1, *front_end.input_shape)


def abstract_variables(model: nn.Module, front_end: FrontEnd) -> Any:
    """Shapes and dtypes of a model's variables."""
    x = jax.ShapeDtypeStruct(input_shape(front_end), np.float32)
    return jax.eval_shape(model.init, jax.random.key(0), x)
