"""Names of the layers of torchvision's ResNets."""

import re

_TOP = {"stem_conv": "conv1", "stem_norm": "bn1", "head": "fc"}
_IN_BLOCK = {"projection": "downsample.0", "norm_projection": "downsample.1"}


def torch_name(path: tuple[str, ...]) -> str:
    """Returns torchvision's name of a module of `serjax.models.ResNet`.

    Args:
        path: Names of the modules that lead to the module.

    >>> torch_name(("stage1_block2", "norm1"))
    'layer1.1.bn1'
    """
    if len(path) == 1:
        return _TOP[path[0]]
    block, layer = path
    stage, index = re.findall(r"\d+", block)
    name = _IN_BLOCK.get(layer, layer.replace("norm", "bn"))
    return f"layer{stage}.{int(index) - 1}.{name}"
