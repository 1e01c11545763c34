"""Names of the layers of torchvision's VGG networks."""

from collections.abc import Callable

from serjax.models import VGG

_CLASSIFIER = {"dense1": "classifier.0", "dense2": "classifier.3", "head": "classifier.6"}


def names(model: VGG) -> Callable[[tuple[str, ...]], str]:
    """Returns a function from the path of a module to its name in torchvision.

    Args:
        model: Network.

    >>> names(VGG(2))(("conv3",))
    'features.5'
    """
    table = dict(_CLASSIFIER)
    position = 0
    for stage in model.stages:
        for _ in stage:
            table[f"conv{len(table) - len(_CLASSIFIER) + 1}"] = f"features.{position}"
            position += 2  # the next entry is a ReLU
        position += 1  # a max pooling ends the stage
    return lambda path: table[path[0]]


def flattened(model: VGG) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Returns the image that each dense layer takes, by path.

    Args:
        model: Network.

    Returns:
        `(channels, rows, columns)` in the order in which torchvision flattens.
    """
    size = 7 if model.pool is None else model.pool
    return {("dense1",): (model.stages[-1][-1], size, size)}
