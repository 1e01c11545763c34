"""The networks with published weights, and how torchvision names their layers."""

import dataclasses
from collections.abc import Callable, Mapping

import flax.linen as nn

from serjax.pretrained import resnet

Path = tuple[str, ...]
TorchName = Callable[[Path], str]


def _nothing_flattened(model: nn.Module) -> Mapping[Path, tuple[int, int, int]]:
    return {}


@dataclasses.dataclass(frozen=True)
class Family:
    """How one of our networks and torchvision's correspond.

    Attributes:
        names: From the network to a function from the path of one of its modules to the name of
            torchvision's.
        flattened: From the network to the paths of its dense layers whose input is a flattened
            image, with the (channels, rows, columns) that PyTorch flattens.
        unused: Prefixes of names that torchvision's checkpoints have and our network does not.
    """

    names: Callable[[nn.Module], TorchName]
    flattened: Callable[[nn.Module], Mapping[Path, tuple[int, int, int]]] = _nothing_flattened
    unused: tuple[str, ...] = ()


_RESNET = Family(lambda model: resnet.torch_name)

FAMILIES = {
    "resnet18": _RESNET,
    "resnet34": _RESNET,
    "resnet50": _RESNET,
    "wide_resnet50": _RESNET,
}
