"""Networks with published weights, and their correspondence with torchvision's networks."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from serjax.models.pretrained import alexnet, inception, resnet, squeezenet, vgg
from serjax.models.variables import Path

TorchName = Callable[[Path], str]
State = Mapping[str, np.ndarray]


def _none_flattened(model: nn.Module) -> Mapping[Path, tuple[int, int, int]]:
    return {}


@dataclasses.dataclass(frozen=True)
class Family:
    """Correspondence of a network with torchvision's.

    Attributes:
        names: Function from the network to a function from the path of a module to its name in
            torchvision.
        flattened: Function from the network to the paths of its dense layers whose input is a
            flattened image, with the (channels, rows, columns) that PyTorch flattens.
        unused: Prefixes of torchvision's names that the network may not have.
        options: Fields of the network that make it equal to the published one.
        adapted: Function from the published weights to weights that apply to an image standardized
            by ImageNet's means and deviations.
        image: Rows and columns of the images that the published network was trained on.
        has_optional_dense: Whether the option `hidden` adds a dense layer that the published
            network does not have.
    """

    names: Callable[[Any], TorchName]
    flattened: Callable[[Any], Mapping[Path, tuple[int, int, int]]] = _none_flattened
    unused: tuple[str, ...] = ()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    adapted: Callable[[State], State] = lambda state: state
    image: tuple[int, int] = (224, 224)
    has_optional_dense: bool = False


_RESNET = Family(lambda model: resnet.torch_name, has_optional_dense=True)
# With torchvision's adaptive pooling, the dense layers fit every size of input.
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
    "squeezenet": Family(lambda model: squeezenet.torch_name, has_optional_dense=True),
    "inception_v3": Family(
        lambda model: inception.torch_name,
        unused=("AuxLogits.",),
        adapted=inception.absorb_transform_input,
        image=(299, 299),
        has_optional_dense=True,
    ),
}
"""Correspondences by name of the model."""
