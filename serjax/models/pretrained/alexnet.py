"""Names of the layers of torchvision's AlexNet."""

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
    """Returns torchvision's name of a module of `serjax.models.AlexNet`.

    Args:
        path: Names of the modules that lead to the module.

    >>> torch_name(("conv3",))
    'features.6'
    """
    return _NAMES[path[0]]


def flattened(model: AlexNet) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Returns the image that each dense layer takes, by path.

    Args:
        model: Network.

    Returns:
        `(channels, rows, columns)` in the order in which torchvision flattens.
    """
    return {("dense1",): (256, 6, 6)}
