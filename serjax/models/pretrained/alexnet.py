"""The names that torchvision's AlexNet gives the layers of ours."""

from serjax.models import AlexNet

_NAMES = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "dense1": "classifier.1",
    "dense2": "classifier.4",
    "head": "classifier.6",
}


def torch_name(path: tuple[str, ...]) -> str:
    """From the path of one of the network's modules to the name of torchvision's.

    >>> torch_name(("conv3",))
    'features.6'
    """
    return _NAMES[path[0]]


def flattened(model: AlexNet) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """(channels, rows, columns) in the order that torchvision flattens, by dense layer."""
    return {("dense1",): (256, 6, 6)}
