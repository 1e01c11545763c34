"""The networks by name, what each of them hears, and the settings that suit it."""

import dataclasses
from typing import Any

import flax.linen as nn

from serjax.errors import InputError, unknown_name
from serjax.features import front_ends
from serjax.features.front_ends import FrontEnd
from serjax.layers import QUATERNION, REAL, Algebra, phm
from serjax.models.alexnet import AlexNet
from serjax.models.dscnn import DSCNN
from serjax.models.inception import InceptionV3
from serjax.models.resnet import ResNet
from serjax.models.resnet_statistics import ResNetStatistics
from serjax.models.rhemo import Embedded, RHEmo, RHEmoEncoder
from serjax.models.squeezenet import SqueezeNet
from serjax.models.tiwari import TiwariCNN
from serjax.models.vgg import VGG, VGG11_STAGES, VGG13_STAGES, VGG19_STAGES


@dataclasses.dataclass(frozen=True)
class TrainingDefaults:
    """Settings with which a model trains well from scratch on small corpora.

    They are found by trial on this library's corpora, not taken from the papers, whose settings
    are made for larger ones or for pretrained weights.

    Attributes:
        learning_rate: Highest learning rate of Adam.
        batch_size: Examples of a step.
        epochs: On a real corpus.
        bundled_epochs: On the embedded corpus, to end in the first minutes on two cores.
        model_options: Fields of the network that differ from its published form.
    """

    learning_rate: float
    batch_size: int
    epochs: int
    bundled_epochs: int
    model_options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Family:
    """One architecture, which is made in every algebra.

    Attributes:
        network: Its class, with fields `num_classes` and `algebra`.
        front_end: What the real network hears.
        training: Settings that suit it.
        paper: Where it is described.
        options: Fields of the class that make this member of the family.
        quaternion_front_end: What the others hear: what RH-emo was made for, or more of it.
        embeds: Whether the network embeds spectrograms itself, in every algebra.
    """

    network: type[nn.Module]
    front_end: FrontEnd
    training: TrainingDefaults
    paper: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    quaternion_front_end: FrontEnd = front_ends.GUIZZO_QUATERNION
    embeds: bool = False


# A few hundred steps through thirteen layers are too few to average out the noise of the
# published half of all hidden values dropped.
_VGG_DEFAULTS = TrainingDefaults(1e-4, 4, 15, 4, {"dropout_rate": 0.1})
_SQUEEZENET_DEFAULTS = TrainingDefaults(1e-3, 16, 30, 6, {"dropout_rate": 0.1})
_DSCNN_DEFAULTS = TrainingDefaults(1e-3, 20, 50, 15)
_RESNET_DEFAULTS = TrainingDefaults(1e-3, 16, 30, 4)
_RHEMO_DEFAULTS = TrainingDefaults(1e-4, 4, 15, 4)


def _vgg(stages: tuple[tuple[int, ...], ...]) -> _Family:
    options = {"stages": stages}
    return _Family(VGG, front_ends.GUIZZO_REAL, _VGG_DEFAULTS, "Simonyan & Zisserman 2015", options)


_FAMILIES = {
    "vgg11": _vgg(VGG11_STAGES),
    "vgg13": _vgg(VGG13_STAGES),
    "vgg16": _Family(VGG, front_ends.GUIZZO_REAL, _VGG_DEFAULTS, "Guizzo et al. 2023"),
    "vgg19": _vgg(VGG19_STAGES),
    "resnet18": _Family(
        ResNet, front_ends.GUIZZO_REAL, _RESNET_DEFAULTS, "He et al. 2016", {"blocks": (2, 2, 2, 2)}
    ),
    "resnet34": _Family(
        ResNet, front_ends.GUIZZO_REAL, _RESNET_DEFAULTS, "He et al. 2016", {"blocks": (3, 4, 6, 3)}
    ),
    "resnet50": _Family(
        ResNet,
        front_ends.GUIZZO_REAL,
        _RESNET_DEFAULTS,
        "He et al. 2016",
        {"blocks": (3, 4, 6, 3), "bottleneck": 1},
    ),
    "wide_resnet50": _Family(
        ResNet,
        front_ends.GUIZZO_REAL,
        _RESNET_DEFAULTS,
        "Zagoruyko & Komodakis 2016",
        {"blocks": (3, 4, 6, 3), "bottleneck": 2},
    ),
    "alexnet": _Family(AlexNet, front_ends.GUIZZO_REAL, _VGG_DEFAULTS, "Krizhevsky 2014"),
    "squeezenet": _Family(
        SqueezeNet, front_ends.GUIZZO_REAL, _SQUEEZENET_DEFAULTS, "Iandola et al. 2016"
    ),
    "inception_v3": _Family(
        InceptionV3,
        front_ends.GUIZZO_REAL,
        _RESNET_DEFAULTS,
        "Szegedy et al. 2016",
        quaternion_front_end=front_ends.GUIZZO_QUATERNION_LARGE,
    ),
    "dscnn": _Family(DSCNN, front_ends.DEEPIKA, _DSCNN_DEFAULTS, "Deepika & Kuchibhotla 2025"),
    "resnet34_stats": _Family(
        ResNetStatistics, front_ends.PADI, _RESNET_DEFAULTS, "Padi et al. 2021"
    ),
    "tiwari_cnn": _Family(TiwariCNN, front_ends.TIWARI, _DSCNN_DEFAULTS, "Tiwari et al."),
    "rhemo": _Family(
        RHEmo, front_ends.GUIZZO_QUATERNION, _RHEMO_DEFAULTS, "Guizzo et al. 2022", embeds=True
    ),
}

_ALGEBRAS = {"": REAL, "quat_": QUATERNION, "phm2_": phm(2), "phm4_": phm(4)}

_MODELS = {
    f"{prefix}{name}": (family, algebra)
    for name, family in _FAMILIES.items()
    for prefix, algebra in _ALGEBRAS.items()
}


def names() -> tuple[str, ...]:
    """Names that `create` knows."""
    return tuple(_MODELS)


def _look_up(name: str) -> tuple[_Family, Algebra]:
    if name not in _MODELS:
        raise InputError(unknown_name("model", name, _MODELS))
    return _MODELS[name]


def front_end(name: str) -> FrontEnd:
    """Front end that a model's paper describes.

    Raises:
        InputError: Unknown name; the nearest one is suggested.
    """
    family, algebra = _look_up(name)
    return family.front_end if algebra is REAL else family.quaternion_front_end


def paper(name: str) -> str:
    """Where a network is described.

    Raises:
        InputError: Unknown name; the nearest one is suggested.
    """
    return _look_up(name)[0].paper


def training_defaults(name: str) -> TrainingDefaults:
    """Settings that suit a model, see `TrainingDefaults`.

    Raises:
        InputError: Unknown name; the nearest one is suggested.
    """
    return _look_up(name)[0].training


_KINDS: dict[type, tuple[str, Any]] = {
    int: ("a whole number", int),
    float: ("a number", (int, float)),
    str: ("a word", str),
    tuple: ("a sequence", (tuple, list)),
}


def _check_value(name: str, option: str, value: Any, family: _Family) -> None:
    """Raises InputError for a value that the network would stumble over when it is compiled."""
    field = family.network.__dataclass_fields__[option]
    kind = type(family.options.get(option, field.default))
    expected, kinds = _KINDS.get(kind, ("", object))
    if not isinstance(value, kinds):
        raise InputError(f"{option} of {name}: expected {expected}, found {value!r}")
    if option == "dropout_rate" and not 0 <= value < 1:
        raise InputError(f"{option} of {name}: expected at least 0 and below 1, found {value}")


def create(name: str, num_classes: int, *, embedding: bool = True, **options: Any) -> nn.Module:
    """Makes a network.

    Args:
        name: One of `names()`. A `quat_` or `phm` network stands behind the RH-emo encoder, which
            turns spectrograms `[batch, frames, bins, 1]` into quaternions; of `rhemo` itself the
            prefix is the encoder's algebra.
        num_classes: Classes, at least 2.
        embedding: False leaves the encoder out; the input's channels are then a multiple of the
            algebra's components.
        **options: Fields of the network's class, such as `dtype` or `dropout_rate`.

    Returns:
        A Flax module: `model.apply(variables, x, train=..., mask=...) -> (logits, features)`.

    Raises:
        InputError: Unknown name or option, an option's value of another kind than its default, or
            fewer than 2 classes.

    >>> create("vgg16", num_classes=4).num_classes
    4
    """
    family, algebra = _look_up(name)
    if num_classes < 2:
        raise InputError(f"num_classes: a classifier needs at least 2, found {num_classes}")
    given = ("num_classes", "algebra", "parent", "name")
    known = [field for field in family.network.__dataclass_fields__ if field not in given]
    for option in options:
        if option not in known:
            raise InputError(unknown_name(f"option of {name}", option, known))
        _check_value(name, option, options[option], family)
    fields = {**family.options, **options}
    network = family.network(num_classes=num_classes, algebra=algebra, **fields)
    if algebra is REAL or family.embeds or not embedding:
        return network
    types = {field: options[field] for field in ("dtype", "param_dtype") if field in options}
    return Embedded(RHEmoEncoder(**types), network)
