"""The names that torchvision's Inception v3 gives the layers of ours."""

from collections.abc import Mapping

import numpy as np

_NAMES = {"head": "fc", "aux": "AuxLogits", "aux_head": "AuxLogits.fc", "norm": "bn"}

# torchvision's published weights expect ImageNet's standardization undone and values in [-1, 1]:
# the option `transform_input`, by which each channel is multiplied and shifted.
_DEVIATIONS = np.array([0.229, 0.224, 0.225])
_MEANS = np.array([0.485, 0.456, 0.406])
_FACTORS, _SHIFTS = _DEVIATIONS / 0.5, (_MEANS - 0.5) / 0.5


def torch_name(path: tuple[str, ...]) -> str:
    """From the path of one of the network's modules to the name of torchvision's.

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
    """Weights that do to a standardized image what these do after `transform_input`.

    torchvision multiplies and shifts the channels of its standardized input before it applies
    the published weights. The first convolution has no padding, so the factors go into its kernel,
    and the shifts, which add a constant to each of its results, into the norm's running mean.

    Args:
        state: The published weights, by torchvision's names.

    Returns:
        The same, but the first kernel and the first running mean.
    """
    kernel, mean = "Conv2d_1a_3x3.conv.weight", "Conv2d_1a_3x3.bn.running_mean"
    if kernel not in state or mean not in state or state[kernel].shape[1:2] != (3,):
        return dict(state)  # what is missing is told by the conversion
    constant = np.einsum("oihw,i->o", state[kernel], _SHIFTS)
    return {
        **state,
        kernel: (state[kernel] * _FACTORS[:, None, None]).astype(state[kernel].dtype),
        mean: (state[mean] - constant).astype(state[mean].dtype),
    }
