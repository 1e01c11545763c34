"""Names of the layers of torchvision's Inception v3, and its standardization of the input."""

from collections.abc import Mapping

import numpy as np

_NAMES = {"head": "fc", "aux": "AuxLogits", "aux_head": "AuxLogits.fc", "norm": "bn"}

# torchvision's published weights expect values in [-1, 1] instead of ImageNet's standardization.
# Its option `transform_input` multiplies and shifts each standardized channel accordingly.
_DEVIATIONS = np.array([0.229, 0.224, 0.225])
_MEANS = np.array([0.485, 0.456, 0.406])
_FACTORS, _SHIFTS = _DEVIATIONS / 0.5, (_MEANS - 0.5) / 0.5


def torch_name(path: tuple[str, ...]) -> str:
    """Returns torchvision's name of a module of `serjax.models.InceptionV3`.

    Args:
        path: Names of the modules that lead to the module.

    >>> torch_name(("mixed_5b", "branch1x1", "norm"))
    'Mixed_5b.branch1x1.bn'
    >>> torch_name(("stem", "conv2d_1a_3x3", "conv"))
    'Conv2d_1a_3x3.conv'
    """
    if path[0] == "stem":
        path = path[1:]
    first = _NAMES.get(path[0], path[0].capitalize())
    return ".".join((first, *(_NAMES.get(name, name) for name in path[1:])))


def absorb_transform_input(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Absorbs `transform_input` into the weights, which then apply to a standardized image.

    torchvision multiplies and shifts the channels of its standardized input before it applies
    the published weights. The first convolution has no padding. Its kernel can therefore contain
    the factors, and the running mean of its batch norm the constants that the shifts add.

    Args:
        state: Published weights by torchvision's names.

    Returns:
        Weights with another first kernel and another first running mean.
    """
    kernel, mean = "Conv2d_1a_3x3.conv.weight", "Conv2d_1a_3x3.bn.running_mean"
    if kernel not in state or mean not in state or state[kernel].shape[1:2] != (3,):
        return dict(state)  # the conversion reports missing and misshapen weights
    constant = np.einsum("oihw,i->o", state[kernel], _SHIFTS)
    return {
        **state,
        kernel: (state[kernel] * _FACTORS[:, None, None]).astype(state[kernel].dtype),
        mean: (state[mean] - constant).astype(state[mean].dtype),
    }
