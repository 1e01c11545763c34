"""What a run is to do: its configuration, and the corpus read, checked, split and laid out."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from serjax import augment, data, losses, models
from serjax.data import Corpus, batches, splits
from serjax.data.batches import Examples
from serjax.errors import InputError, unknown_name
from serjax.frontend import FrontEnd

EMBEDDINGS = ("random", "pretrained")
"""How a network's embedding may start."""


@dataclasses.dataclass(frozen=True)
class AntiTransfer:
    """Layers of one teacher.

    Attributes:
        teacher: Folder of a finished run of the same model.
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
        model: One of `serjax.models.names()`.
        dataset: One of `serjax.data.names()`.
        data_dir: Where the corpus lies; None for the embedded one.
        target: What is recognized: "emotion", "speaker", "text"; None: the emotion, or the text
            where the corpus has no emotions.
        split: One of `serjax.data.splits.names()`.
        fractions: Shares of training, validation and test.
        seed: Of weights, order, dropout, augmentation and split.
        epochs: Most epochs; None: as suits the model and the corpus.
        batch_size: Examples of a step; None: as suits the model.
        learning_rate: Of Adam, the highest of the schedule; None: as suits the model.
        schedule: "cosine": rising in the first 20th of all steps and falling to zero at the last;
            or "constant".
        weight_decay: Decoupled, as in AdamW.
        patience: Epochs without a lower validation loss after which training stops.
        augmentation: SpecAugment policy in training, or "none".
        dtype: Of the arithmetic, "float32" or "bfloat16".
        initial: Where the weights come from: the folder of a run of the same model, or a file of
            published weights, see `serjax.pretrained.load`; None: from chance.
        embedding: How the embedding of a network that stands behind one starts, without
            `initial`: "random" from chance; "pretrained" as the encoder that ships with the
            library, see `serjax.pretrained.encoder`, which has heard speakers of EMO-DB.
        freeze: Layers that train from a later step on, or never, see `serjax.training.freeze`.
        anti_transfer: Teachers whose layers the network is to differ from. Without `initial`, the
            embedding of a network that stands behind one starts as the first teacher's, whatever
            `embedding` says.
        training_part_of: Fields of another configuration on the same corpus, "target", "split",
            "fractions" and "seed": only its training part is used, and split anew. So a teacher
            knows nothing of what its student is tested on.
        model_options: Fields of the model, see `serjax.models.create`; others as suit it.
        dataset_options: Of the corpus's loader.
        skip_bad_files: Go on without files that cannot be used, and list them.
    """

    model: str = "quat_vgg16"
    dataset: str = "synthetic"
    data_dir: str | None = None
    target: str | None = None
    split: str = "speaker"
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    seed: int = 0
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    schedule: str = "cosine"
    weight_decay: float = 0.0
    patience: int = 20
    augmentation: str = "none"
    dtype: str = "float32"
    initial: str | None = None
    embedding: str = "random"
    freeze: dict[str, int | None] = dataclasses.field(default_factory=dict)
    anti_transfer: tuple[AntiTransfer, ...] = ()
    training_part_of: dict[str, Any] | None = None
    model_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    dataset_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    skip_bad_files: bool = False

    def check(self) -> None:
        """Raises InputError for values that no run can have, before anything is read."""
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: expected at least 1, found {value}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise InputError(f"learning_rate: expected more than 0, found {self.learning_rate}")
        if self.schedule not in ("cosine", "constant"):
            raise InputError(unknown_name("schedule", self.schedule, ("cosine", "constant")))
        if self.dtype not in ("float32", "bfloat16"):
            raise InputError(f"dtype: expected float32 or bfloat16, found {self.dtype!r}")
        if self.embedding not in EMBEDDINGS:
            raise InputError(unknown_name("embedding", self.embedding, EMBEDDINGS))
        if self.augmentation not in augment.POLICIES:
            raise InputError(unknown_name("augmentation", self.augmentation, augment.POLICIES))
        if self.model not in models.names():
            raise InputError(unknown_name("model", self.model, models.names()))
        if self.split not in splits.names():
            raise InputError(unknown_name("split", self.split, splits.names()))
        for term in self.anti_transfer:
            term.check()

    def resolved(self) -> "RunConfig":
        """The same with every default that depends on the model or the corpus filled in."""
        suited = models.training_defaults(self.model)
        epochs = suited.embedded_epochs if self.dataset == "synthetic" else suited.epochs
        return dataclasses.replace(
            self,
            epochs=self.epochs or epochs,
            batch_size=self.batch_size or suited.batch_size,
            learning_rate=self.learning_rate or suited.learning_rate,
            model_options={**suited.model_options, **self.model_options},
        )


@dataclasses.dataclass(frozen=True)
class Task:
    """A corpus ready to train on: read, split, and laid out.

    Attributes:
        corpus: The utterances that are used.
        classes: Names of the classes.
        labels: `[utterances]` int32.
        split: Indices of the three parts.
        examples: Of all parts, on the host.
    """

    corpus: Corpus
    classes: list[str]
    labels: np.ndarray
    split: splits.Split
    examples: Examples


def prepare(config: RunConfig, front_end: FrontEnd, console: Console) -> Task:
    """Reads, checks and splits the corpus.

    Raises:
        InputError: Something about the corpus or the split does not allow the run.
    """
    corpus = data.load(config.dataset, config.data_dir, **config.dataset_options)
    target = _target(config.target, corpus)
    seeds: dict[str, Any] = {"target": target, "fractions": config.fractions, "seed": config.seed}
    first = (config.split, seeds)
    if config.training_part_of is not None:
        outer = {**config.training_part_of}
        outer["target"] = _target(outer["target"], corpus)
        first = (outer.pop("split"), outer)
    corpus = _with_column(corpus, first[1]["target"])
    # A split that cannot be made is better refused before all is read.
    splits.split(corpus, first[0], **first[1])
    with console.status(f"reading {len(corpus)} utterances of {config.dataset}"):
        corpus, waveforms = data.waveforms(
            corpus, front_end.sample_rate, skip_bad_files=config.skip_bad_files
        )
    corpus, waveforms = _without_short(corpus, waveforms, front_end, config.skip_bad_files)
    content = splits.content_hashes(waveforms)
    split = splits.split(corpus, first[0], content=content, **first[1])
    if config.training_part_of is not None:
        part = _with_column(corpus.select(split.train), target)
        place = {utterance: i for i, utterance in enumerate(corpus.utterances)}
        rows = [place[utterance] for utterance in part.utterances]
        corpus, waveforms = part, [waveforms[i] for i in rows]
        content = [content[i] for i in rows]
        split = splits.split(corpus, config.split, content=content, **seeds)
    classes = corpus.labels(target)
    if len(classes) < 2:
        raise InputError(f"{config.dataset}: expected at least 2 classes of {target}: {classes}")
    labels = np.array([classes.index(str(v)) for v in corpus.column(target)], np.int32)
    longest = front_end.segment_samples
    examples = batches.pack(waveforms, labels.tolist(), longest, room=longest)
    return Task(corpus, classes, labels, split, examples)


def _target(target: str | None, corpus: Corpus) -> str:
    """What is recognized: what was asked for, or what suits the corpus."""
    target = target or ("emotion" if corpus.labels("emotion") else "text")
    if target not in ("emotion", "speaker", "text"):
        raise InputError(unknown_name("target", target, ("emotion", "speaker", "text")))
    return target


def _with_column(corpus: Corpus, column: str) -> Corpus:
    """The utterances that have the column, and a note if others are left out."""
    named = [i for i, value in enumerate(corpus.column(column)) if value is not None]
    if not named:
        raise InputError(f"{corpus.name}: no utterance has a {column}")
    if len(named) == len(corpus):
        return corpus
    note = f"{len(corpus) - len(named)} utterances without {column} left out"
    return dataclasses.replace(corpus.select(named), notes=(*corpus.notes, note))


def _without_short(
    corpus: Corpus, waveforms: list[np.ndarray], front_end: FrontEnd, skip: bool
) -> tuple[Corpus, list[np.ndarray]]:
    """Refuses utterances shorter than one analysis window, or leaves them out and notes it."""
    window = front_end.window_samples
    short = [i for i, waveform in enumerate(waveforms) if len(waveform) < window]
    if not short:
        return corpus, waveforms
    first = corpus.utterances[short[0]].path
    found = (
        f"{first}: expected at least one window of {window} samples at {front_end.sample_rate} Hz, "
        f"found {len(waveforms[short[0]])}"
    )
    if not skip:
        raise InputError(f"{found}; {len(short)} such; --skip-bad-files trains on the rest")
    keep = [i for i in range(len(waveforms)) if i not in set(short)]
    notes = [f"skipped, too short: {corpus.utterances[i].path}" for i in short]
    kept = dataclasses.replace(corpus.select(keep), notes=(*corpus.notes, *notes))
    return kept, [waveforms[i] for i in keep]


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
        abstract_variables(model, models.front_end(config.model))
    except (TypeError, ValueError) as error:
        raise InputError(f"{config.model} {options}: {error}") from error
    return model


def input_shape(front_end: FrontEnd) -> tuple[int, int, int, int]:
    """Shape of a batch of one."""
    return (1, front_end.frames, front_end.bins, 1)


def abstract_variables(model: nn.Module, front_end: FrontEnd) -> Any:
    """Shapes and dtypes of a model's variables."""
    x = jax.ShapeDtypeStruct(input_shape(front_end), np.float32)
    return jax.eval_shape(model.init, jax.random.key(0), x)
