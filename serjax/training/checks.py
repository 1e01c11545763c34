"""Checks of a configuration, before anything is read."""

from pathlib import Path

from serjax import augment, models, options
from serjax.data import splits
from serjax.errors import InputError, unknown_name
from serjax.training.config import OptimizerConfig, RunConfig
from serjax.training.config.resolve import front_end_of, has_embedding
from serjax.training.objective import auxiliary_loss


def check_config(config: RunConfig) -> None:
    """Checks all options of a configuration.

    Args:
        config: Configuration of a run.

    Raises:
        InputError: A value that no run can have.
    """
    options.check(config)
    if not 0 <= config.seed < 2**32:
        raise InputError(f"seed: expected 0 to 2**32 - 1, found {config.seed}")
    _check_schedule(config.optimizer)
    augment.preset(config.augmentation.preset)
    if config.augmentation.copies and config.augmentation.preset == "none":
        raise InputError(
            f"augmentation.copies: expected 0 without augmentation, found "
            f"{config.augmentation.copies}"
        )
    if config.model.fresh and config.model.init is None:
        raise InputError(
            f"model.fresh: expected none without init, found {', '.join(config.model.fresh)}"
        )
    if config.is_classical:
        _check_classical(config)
    else:
        models.create(config.model.name, 2, **config.model.options)
        if config.model.embedding is not None and not has_embedding(config.model.name):
            raise InputError(
                f"model.embedding: expected none with {config.model.name}, which has no encoder, "
                f"found {config.model.embedding}"
            )
        _check_embedding(config.model.embedding)
    front_end_of(config)
    auxiliary_loss.check(config.auxiliary_losses)
    if config.data.labels is not None and config.data.target not in (None, "emotion"):
        raise InputError(
            f"data.target: expected emotion with the label set {config.data.labels!r}, found "
            f"{config.data.target}"
        )
    _check_split(config)


def _check_embedding(embedding: str | None) -> None:
    """Checks that an encoder has a known name, or is the folder of a run."""
    known = ("random", "pretrained")
    if embedding is not None and embedding not in known and not Path(embedding).is_dir():
        raise InputError(unknown_name("embedding", embedding, (*known, "the folder of a run")))


def _check_schedule(optimizer: OptimizerConfig) -> None:
    """Checks the step decay, and that its schedule is used."""
    hold, every, factor = optimizer.step_decay
    if hold < 1 or every < 1 or not 0 < factor <= 1 or hold % 1 or every % 1:
        raise InputError(
            "optimizer.step_decay: expected whole epochs from 1 on, twice, and a factor in "
            f"(0, 1], found {hold:g} {every:g} {factor:g}"
        )
    is_default = optimizer.step_decay == OptimizerConfig().step_decay
    if optimizer.schedule != "step_decay" and not is_default:
        raise InputError(
            "optimizer.step_decay: expected with the schedule step_decay, found with "
            f"{optimizer.schedule}"
        )


def _check_split(config: RunConfig) -> None:
    """Checks the split or, with a fold, the protocol."""
    name = config.data.split
    if config.data.fold is None:
        if name not in splits.names():
            raise InputError(unknown_name("split", name, splits.names()))
        return
    splits.parse_fold(config.data.fold)
    if name not in splits.protocols():
        raise InputError(unknown_name("protocol", name, splits.protocols()))
    for field in ("split_file", "test_dataset"):
        if getattr(config.data, field) is not None:
            raise InputError(f"data.{field}: expected none with fold {config.data.fold}")


def _check_classical(config: RunConfig) -> None:
    """Refuses options that a classical model would ignore."""
    applicable = ("model", "model_options", "seed", "imports")
    for each, value, _ in options.differences(config, RunConfig()):
        if each.path.startswith("data.") or each.name in applicable:
            continue
        raise InputError(f"{each.path}: expected none with {config.model.name}, found {value!r}")
    if config.auxiliary_losses:
        name = config.auxiliary_losses[0].name
        raise InputError(f"auxiliary_losses: expected none with {config.model.name}, found {name}")
