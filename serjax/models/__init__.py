"""Networks by name: `create(name, num_classes)`, `names()`, and what each of them hears."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn

from serjax import frontend
from serjax.errors import InputError, unknown_name
from serjax.frontend import FrontEnd
from serjax.layers import QUATERNION, REAL, Algebra
from serjax.models.dscnn import DSCNN
from serjax.models.resnet import ResNetStatistics
from serjax.models.rhemo import Embedded, RHEmoEncoder
from serjax.models.vgg import VGG

__all__ = [
    "DSCNN",
    "VGG",
    "Embedded",
    "RHEmoEncoder",
    "ResNetStatistics",
    "create",
    "front_end",
    "learning_rate",
    "names",
]


@dataclasses.dataclass(frozen=True)
class _Entry:
    network: Callable[..., nn.Module]
    algebra: Algebra
    front_end: FrontEnd
    learning_rate: float


_MODELS = {
    "vgg16": _Entry(VGG, REAL, frontend.GUIZZO_REAL, 1e-4),
    "quat_vgg16": _Entry(VGG, QUATERNION, frontend.GUIZZO_QUATERNION, 1e-4),
    "dscnn": _Entry(DSCNN, REAL, frontend.DEEPIKA, 1e-3),
    "quat_dscnn": _Entry(DSCNN, QUATERNION, frontend.GUIZZO_QUATERNION, 1e-3),
    "resnet34_stats": _Entry(ResNetStatistics, REAL, frontend.PADI, 1e-3),
    "quat_resnet34_stats": _Entry(ResNetStatistics, QUATERNION, frontend.GUIZZO_QUATERNION, 1e-3),
}


def names() -> tuple[str, ...]:
    """Names that `create` knows."""
    return tuple(_MODELS)


def _entry(name: str) -> _Entry:
    if name not in _MODELS:
        raise InputError(unknown_name("model", name, _MODELS))
    return _MODELS[name]


def front_end(name: str) -> FrontEnd:
    """Front end that a model's paper describes.

    Raises:
        InputError: Unknown name; the nearest one is suggested.
    """
    return _entry(name).front_end


def learning_rate(name: str) -> float:
    """Adam's learning rate with which a model trains well from scratch on small corpora.

    Raises:
        InputError: Unknown name; the nearest one is suggested.
    """
    return _entry(name).learning_rate


def create(name: str, num_classes: int, *, embedding: bool = True, **options: Any) -> nn.Module:
    """Makes a network.

    Args:
        name: One of `names()`. A `quat_` network stands behind the RH-emo encoder, which turns
            spectrograms `[batch, frames, bins, 1]` into quaternions.
        num_classes: Classes, at least 2.
        embedding: False leaves the encoder out; the input is then `[batch, rows, columns, 4 n]`.
        **options: Fields of the network's class, such as `dtype` or `dropout_rate`.

    Returns:
        A Flax module: `model.apply(variables, x, train=..., mask=...) -> (logits, features)`.

    Raises:
        InputError: Unknown name or option, or fewer than 2 classes.

    >>> create("vgg16", num_classes=4).num_classes
    4
    """
    entry = _entry(name)
    if num_classes < 2:
        raise InputError(f"num_classes: a classifier needs at least 2, found {num_classes}")
    known = [f.name for f in dataclasses.fields(entry.network) if f.name not in ("parent", "name")]
    known = [field for field in known if field not in ("num_classes", "algebra")]
    for option in options:
        if option not in known:
            raise InputError(unknown_name(f"option of {name}", option, known))
    network = entry.network(num_classes=num_classes, algebra=entry.algebra, **options)
    if entry.algebra.components == 1 or not embedding:
        return network
    types = {field: options[field] for field in ("dtype", "param_dtype") if field in options}
    return Embedded(RHEmoEncoder(**types), network)
