"""Anti-transfer learning (Guizzo et al., 2023): the auxiliary loss, source networks and sweeps."""

from serjax.anti_transfer.config import UNTRAINED, AntiTransfer
from serjax.anti_transfer.loss import AntiTransferLoss, layers_of
from serjax.anti_transfer.source_network import SourceNetwork, load_source_networks
from serjax.anti_transfer.source_tasks import (
    TASKS,
    find_or_train,
    source_task_config,
    with_source_network,
    with_source_networks,
)
from serjax.anti_transfer.sweep import METHODS, Sweep

__all__ = [
    "METHODS",
    "TASKS",
    "UNTRAINED",
    "AntiTransfer",
    "AntiTransferLoss",
    "SourceNetwork",
    "Sweep",
    "find_or_train",
    "layers_of",
    "load_source_networks",
    "source_task_config",
    "with_source_network",
    "with_source_networks",
]
