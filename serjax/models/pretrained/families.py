"""The networks with published weights, and how torchvision names their layers."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from serjax.models.pretrained import alexnet, inception, resnet, squeezenet, vgg

Path = tuple[str, ...]
TorchName = Callable[[Path], str]
State = Mapping[str, np.ndarray]


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
        unused: Prefixes of names that torchvision's checkpoints have and our network may not.
        options: Fields of our network that make it the published one.
        adapted: The published weights as they apply to an image standardized by ImageNet's means
            and deviations.
        image: Rows and columns of the images that it was trained on.
        dense: Whether `hidden` adds a dense layer to our network that the published one lacks.
    """

    names: Callable[[Any], TorchName]
    flattened: Callable[[Any], Mapping[Path, tuple[int, int, int]]] = _nothing_flattened
    unused: tuple[str, ...] = ()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    adapted: Callable[[State], State] = lambda state: state
    image: tuple[int, int] = (224, 224)
    dense: bool = False


_RESNET = Family(lambda model: resnet.torch_name, dense=True)
# With the pooling that torchvision has, the dense layers fit every size of input.
_VGG = Family(vgg.names, vgg.flattened, options={"pool": 7})

FAMILIES = {
    "vgg11": _VGG,
    "vgg13": _VGG,
    "vgg16": _VGG,
    "vgg19": _VGG,
    "alexnet": Family(lambda model: alexnet.torch_name, alexnet.flattened),
    "resnet18": _RESNET,
    "resnet34": _RESNET,
    "resnet50": _RESNET,
    "wide_resnet50": _RESNET,
    "squeezenet": Family(lambda model: squeezenet.torch_name, dense=True),
    "inception_v3": Family(
        lambda model: inception.torch_name,
        unused=("AuxLogits.",),
        adapted=inception.absorb_transform_input,
        image=(299, 299),
        dense=True,
    ),
}
