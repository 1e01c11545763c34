"""Resolution of a configuration: the defaults that depend on the model or the corpus."""

import dataclasses
from typing import Any

from serjax import classical, data, models
from serjax.errors import InputError, unknown_name
from serjax.features.front_ends import FRONT_ENDS, FrontEnd
from serjax.models.pretrained.encoder import ENCODER_CORPUS
from serjax.training.config.groups import OptimizerConfig, RunConfig


@dataclasses.dataclass(frozen=True)
class ResolvedOptimizerConfig(OptimizerConfig):
    """`OptimizerConfig` with every default that depends on the model or the corpus filled in."""

    epochs: int = 1
    batch_size: int = 1
    learning_rate: float = 1.0


@dataclasses.dataclass(frozen=True)
class ResolvedRunConfig(RunConfig):
    """`RunConfig` of a network with every default filled in."""

    optimizer: ResolvedOptimizerConfig = dataclasses.field(default_factory=ResolvedOptimizerConfig)


def resolve(config: RunConfig) -> ResolvedRunConfig:
    """Fills in the defaults that depend on the model or the corpus.

    Args:
        config: Configuration of a network's run, checked.
    """
    defaults = models.training_defaults(config.model.name)
    optimizer = config.optimizer
    front_end = front_end_of(config)
    is_bundled = config.data.dataset == "synthetic"
    resolved = dataclasses.replace(
        config,
        model=dataclasses.replace(
            config.model,
            options={**defaults.model_options, **config.model.options},
            silence=front_end.silence,
            fit=front_end.fit,
            embedding=config.model.embedding or _default_embedding(config),
        ),
        optimizer=ResolvedOptimizerConfig(
            **{
                **_shallow(optimizer),
                "epochs": optimizer.epochs
                or (defaults.bundled_epochs if is_bundled else defaults.epochs),
                "batch_size": optimizer.batch_size or defaults.batch_size,
                "learning_rate": optimizer.learning_rate or defaults.learning_rate,
            }
        ),
    )
    return ResolvedRunConfig(**_shallow(resolved))


def _shallow(config: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass, its inner dataclasses as they are."""
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


def _default_embedding(config: RunConfig) -> str | None:
    if not has_embedding(config.model.name):
        return None
    return "random" if uses_encoder_corpus(config) else "pretrained"


def uses_encoder_corpus(config: RunConfig) -> bool:
    """Returns True if the shipped encoder was trained on the run's corpus or test corpus."""
    return ENCODER_CORPUS in corpora_of(config)


def corpora_of(config: RunConfig) -> tuple[str, ...]:
    """Returns the names of the corpora that a run trains and tests on, see `data.corpora_of`."""
    used = config.data
    return (
        *data.corpora_of(used.dataset, used.data_dir, used.dataset_options),
        *data.corpora_of(used.test_dataset, used.test_dir, used.test_dataset_options),
    )


def has_embedding(model: str) -> bool:
    """Returns True for a network that takes the output of the RH-emo encoder."""
    return isinstance(models.create(model, 2), models.Embedded)


def front_end_of(config: RunConfig) -> FrontEnd:
    """Returns the front end of the configured model.

    Raises:
        InputError: The model or the front end is unknown, or options contradict each other.
    """
    if config.is_classical:
        return classical.FRONT_END
    chosen = config.model
    front_end = models.front_end(chosen.name)
    if chosen.front_end is not None:
        if chosen.front_end not in FRONT_ENDS:
            raise InputError(unknown_name("front end", chosen.front_end, FRONT_ENDS))
        front_end = FRONT_ENDS[chosen.front_end]
    if chosen.sample_rate is not None:
        front_end = front_end.at_sample_rate(chosen.sample_rate)
    return dataclasses.replace(
        front_end,
        silence=chosen.silence or front_end.silence,
        fit=chosen.fit or front_end.fit,
        colormap=chosen.colormap or front_end.colormap,
        image_size=chosen.image_size or front_end.image_size,
    )
