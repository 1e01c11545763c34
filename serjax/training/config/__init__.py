"""Configuration of a run: declared options in groups, their resolution, and variants."""

from serjax.training.config.groups import (
    AugmentationConfig,
    AuxiliaryLossConfig,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    SystemConfig,
)

__all__ = [
    "AugmentationConfig",
    "AuxiliaryLossConfig",
    "DataConfig",
    "ModelConfig",
    "OptimizerConfig",
    "RunConfig",
    "SystemConfig",
]
