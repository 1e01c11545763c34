"""Names of the layers of torchvision's SqueezeNet 1.1."""

_NAMES = {
    "conv1": "features.0",
    # Max poolings lie at 2, 5 and 8.
    **{f"fire{2 + i}": f"features.{n}" for i, n in enumerate((3, 4, 6, 7, 9, 10, 11, 12))},
    "head": "classifier.1",
}


def torch_name(path: tuple[str, ...]) -> str:
    """Returns torchvision's name of a module of `serjax.models.SqueezeNet`.

    Args:
        path: Names of the modules that lead to the module.

    >>> torch_name(("fire2", "squeeze"))
    'features.3.squeeze'
    """
    return ".".join((_NAMES[path[0]], *path[1:]))
