"""The names that torchvision's VGG gives the layers of ours."""

from collections.abc import Callable

from serjax.models import VGG

_CLASSIFIER = {"dense1": "classifier.0", "dense2": "classifier.3", "head": "classifier.6"}


def names(model: VGG) -> Callable[[tuple[str, ...]], str]:
    """From the path of one of the network's modules to the name of torchvision's.

    >>> names(VGG(2))(("conv3",))
    'features.5'
    """
    table = dict(_CLASSIFIER)
    position = 0
    for stage in model.stages:
        for _ in stage:
            table[f"conv{len(table) - len(_CLASSIFIER) + 1}"] = f"features.{position}"
            position += 2  # a ReLU follows
        position += 1  # a max pooling
    return lambda path: table[path[0]]


def flattened(model: VGG) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """(channels, rows, columns) in the order that torchvision flattens, by dense layer."""
    size = 7 if model.pool is None else model.pool
    return {("dense1",): (model.stages[-1][-1], size, size)}
