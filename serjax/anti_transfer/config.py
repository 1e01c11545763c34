"""Configuration of anti-transfer: a source network and the layers that are compared with it."""

import dataclasses
from collections.abc import Sequence

from serjax.errors import InputError, unknown_name
from serjax.training.config import AuxiliaryLossConfig, RunConfig

NAME = "anti_transfer"
"""Name of anti-transfer among the auxiliary losses."""

UNTRAINED = "untrained"
"""Source network with random weights: a control that has learned no task."""


@dataclasses.dataclass(frozen=True)
class AntiTransfer:
    """Layers of a source network that a network in training is kept dissimilar from.

    Attributes:
        source: Folder of a finished run of the same model, or "untrained", the network itself with
            other random weights.
        layers: Names, such as "conv2", or numbers of convolutions, such as "2"; "all" is all
            convolutions.
        beta: Weight of each layer's loss.
        aggregation: Aggregation of the features, one of `serjax.losses.AGGREGATIONS`.
    """

    source: str
    layers: tuple[str, ...] = ("2",)
    beta: float = 1.0
    aggregation: str = "gram"

    def check(self) -> None:
        """Checks the values.

        Raises:
            InputError: A value that no run can have.
        """
        from serjax import losses  # a command's help, which needs none of it, does not wait for JAX

        if self.aggregation not in losses.AGGREGATIONS:
            raise InputError(unknown_name("aggregation", self.aggregation, losses.AGGREGATIONS))
        if not self.beta > 0:
            raise InputError(f"anti-transfer's beta: expected more than 0, found {self.beta}")
        if not self.layers:
            raise InputError("anti-transfer: expected at least one layer, found none")

    def to_config(self) -> AuxiliaryLossConfig:
        """Converts the values to the configuration of an auxiliary loss."""
        options = {
            "source": self.source,
            "layers": list(self.layers),
            "aggregation": self.aggregation,
        }
        return AuxiliaryLossConfig(NAME, self.beta, options)

    @classmethod
    def from_config(cls, config: AuxiliaryLossConfig) -> "AntiTransfer":
        """Makes the values from the configuration of an auxiliary loss.

        Raises:
            InputError: An option does not exist, or the source is missing.
        """
        known = ("source", "layers", "aggregation")
        for name in config.options:
            if name not in known:
                raise InputError(unknown_name("option of anti-transfer", name, known))
        if "source" not in config.options:
            raise InputError("anti-transfer: expected a source, found none")
        options = dict(config.options)
        layers = tuple(map(str, options.pop("layers", cls.layers)))
        return cls(layers=layers, beta=config.weight, **options)


def check_configs(configs: Sequence[AuxiliaryLossConfig]) -> None:
    """Checks the configurations of anti-transfer of a run.

    Raises:
        InputError: A value that no run can have.
    """
    for config in configs:
        AntiTransfer.from_config(config).check()


def anti_transfer_of(config: RunConfig) -> tuple[AntiTransfer, ...]:
    """Returns the anti-transfer of a run's configuration; nothing without any."""
    return tuple(
        AntiTransfer.from_config(each) for each in config.auxiliary_losses if each.name == NAME
    )
