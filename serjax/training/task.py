"""What a run is to do: its configuration, and the corpus read, checked, split and laid out."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from serjax import augment, data, models
from serjax.data import Corpus, batches, labels, splits
from serjax.data.batches import Examples
from serjax.errors import InputError, unknown_name
from serjax.frontend import FrontEnd


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that determines a run's numbers, and how long it goes on.

    Attributes:
        model: One of `serjax.models.names()`.
        dataset: One of `serjax.data.names()`.
        data_dir: Where the corpus lies; None for the embedded one.
        target: What is recognized: "emotion", "speaker", "text"; None: the emotion, or the text
            where the corpus has no emotions.
        labels: One of `serjax.data.labels.names()`, which emotions are kept and what they are
            called; None: all, as the corpus has them.
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
        model_options: Fields of the model, see `serjax.models.create`; others as suit it.
        dataset_options: Of the corpus's loader.
        skip_bad_files: Go on without files that cannot be used, and list them.
    """

    model: str = "quat_vgg16"
    dataset: str = "synthetic"
    data_dir: str | None = None
    target: str | None = None
    labels: str | None = None
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
        if self.augmentation not in augment.POLICIES:
            raise InputError(unknown_name("augmentation", self.augmentation, augment.POLICIES))
        if self.model not in models.names():
            raise InputError(unknown_name("model", self.model, models.names()))
        if self.labels is not None:
            labels.get(self.labels)
            if self.target not in (None, "emotion"):
                raise InputError(
                    f"target: expected emotion with the label set {self.labels!r}, found "
                    f"{self.target}"
                )
        if self.split not in splits.names():
            raise InputError(unknown_name("split", self.split, splits.names()))

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
    if config.labels is not None:
        corpus = labels.apply(corpus, config.labels)
    target = config.target or ("emotion" if corpus.labels("emotion") else "text")
    if target not in ("emotion", "speaker", "text"):
        raise InputError(unknown_name("target", target, ("emotion", "speaker", "text")))
    named = [i for i, value in enumerate(corpus.column(target)) if value is not None]
    if not named:
        raise InputError(f"{config.dataset}: no utterance has a {target}")
    dropped = len(corpus) - len(named)
    corpus = corpus.select(named)
    # A split that cannot be made is better refused before all is read.
    splits.split(corpus, config.split, target=target, fractions=config.fractions, seed=config.seed)
    with console.status(f"reading {len(corpus)} utterances of {config.dataset}"):
        corpus, waveforms = data.waveforms(
            corpus, front_end.sample_rate, skip_bad_files=config.skip_bad_files
        )
    corpus, waveforms = _without_short(corpus, waveforms, front_end, config.skip_bad_files)
    if dropped:
        note = f"{dropped} utterances without {target} left out"
        corpus = dataclasses.replace(corpus, notes=(*corpus.notes, note))
    split = splits.split(
        corpus,
        config.split,
        target=target,
        fractions=config.fractions,
        seed=config.seed,
        content=splits.content_hashes(waveforms),
    )
    classes = corpus.labels(target)
    if len(classes) < 2:
        raise InputError(f"{config.dataset}: expected at least 2 classes of {target}: {classes}")
    numbers = np.array([classes.index(str(v)) for v in corpus.column(target)], np.int32)
    longest = front_end.segment_samples
    examples = batches.pack(waveforms, numbers.tolist(), longest, room=longest)
    return Task(corpus, classes, numbers, split, examples)


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
