"""Variants of a run's configuration."""

from collections.abc import Sequence

from serjax import models
from serjax.training.config import RunConfig
from serjax.training.config.resolve import has_embedding


def for_models(
    config: RunConfig, names: Sequence[str]
) -> tuple[dict[str, RunConfig], tuple[str, ...]]:
    """Returns the same configuration for several models.

    Args:
        config: Configuration of all runs except for the model. Its `model.embedding` is left out
            for networks without an encoder, unless all are; then `RunConfig.check` refuses it.
        names: Names of the models.

    Returns:
        The configuration of each model, and a line for each whose embedding is left out.
    """
    without = [name for name in names if name in models.names() and not has_embedding(name)]
    embedding = config.model.embedding
    if embedding is None or len(without) == len(names):
        without = []
    configs = {
        name: config.replace(model=name, embedding=None if name in without else embedding)
        for name in names
    }
    return configs, tuple(f"{name} has no embedding that could be {embedding}" for name in without)
