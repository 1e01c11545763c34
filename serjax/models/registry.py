"""Registry of networks: registration by name, creation, front ends and training settings.

`builtin.py` registers the networks of the library, and a user's own module registers further ones
in the same way, see `register`.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import flax.linen as nn

from serjax.errors import InputError, unknown_name
from serjax.features.front_ends import FRONT_ENDS, GUIZZO_QUATERNION, FrontEnd
from serjax.layers import QUATERNION, REAL, Algebra, phm
from serjax.models.common import check_outputs
from serjax.models.rhemo import Embedded, RHEmoEncoder


@dataclasses.dataclass(frozen=True)
class TrainingDefaults:
    """Default training settings of a model.

    Those of the built-in models were found by experiments on this library's corpora, trained from
    scratch. The papers' settings are made for larger corpora or for pretrained weights.

    Attributes:
        learning_rate: Peak learning rate of Adam.
        batch_size: Examples of a training step.
        epochs: Number of epochs on a real corpus.
        bundled_epochs: Number of epochs on the bundled synthetic corpus, so that a run takes a few
            minutes on two CPU cores.
        model_options: Fields of the network that differ from its published form.
    """

    learning_rate: float
    batch_size: int
    epochs: int
    bundled_epochs: int
    model_options: dict[str, Any] = dataclasses.field(default_factory=dict)


# Compared by identity, so that a check runs once for each.
@dataclasses.dataclass(frozen=True, eq=False)
class _Family:
    """Registered architecture, with or without variants in other algebras.

    Attributes:
        name: Name of the real network.
        network: Class with a field `num_classes`.
        options: Fields of the class that define this member of the family.
        front_end: Front end of the real network.
        quaternion_front_end: Front end of the variants.
        training: Default training settings.
        paper: Authors and year of the paper.
        has_encoder: Whether the network computes embeddings itself, in every algebra.
    """

    name: str
    network: type[nn.Module]
    options: dict[str, Any]
    front_end: FrontEnd
    quaternion_front_end: FrontEnd
    training: TrainingDefaults
    paper: str
    has_encoder: bool

    @property
    def variants(self) -> dict[str, Algebra]:
        """Algebras by name of the model."""
        has_algebra = "algebra" in self.network.__dataclass_fields__
        algebras = _ALGEBRAS if has_algebra else {"": REAL}
        return {f"{prefix}{self.name}": algebra for prefix, algebra in algebras.items()}


_ALGEBRAS = {"": REAL, "quat_": QUATERNION, "phm2_": phm(2), "phm4_": phm(4)}
_MODELS: dict[str, tuple[_Family, Algebra]] = {}
# `create` and the name of the model set these fields.
_RESERVED = ("num_classes", "algebra", "parent", "name")
_Network = TypeVar("_Network", bound=type[nn.Module])


def register(
    name: str,
    *,
    front_end: FrontEnd | str = "deepika",
    learning_rate: float = 1e-3,
    batch_size: int = 16,
    epochs: int = 30,
    bundled_epochs: int = 6,
    paper: str = "",
    options: Mapping[str, Any] | None = None,
    model_options: Mapping[str, Any] | None = None,
    quaternion_front_end: FrontEnd = GUIZZO_QUATERNION,
    has_encoder: bool = False,
) -> Callable[[_Network], _Network]:
    """Registers a network under a name.

    The returned function is a decorator of the network's class. `create`, `names`, `front_end`,
    `training_defaults`, `describe` and every command then know the name. The class is a Flax module
    with a field `num_classes` and defaults for all other fields, which is called as
    `model.apply(variables, x, train=..., mask=...)` and returns logits `[batch, classes]` and
    features, a dictionary of activations by name. If it has a field `algebra`, which provides its
    layers (see `serjax.layers`), its `quat_`, `phm2_` and `phm4_` variants exist too.

    Args:
        name: Name of the model: letters, digits, "_" and "-".
        front_end: Front end, or the name of a paper's (see `serjax.features.front_ends`), by
            default log-mel spectrograms of 128 x 128.
        learning_rate: Default peak learning rate.
        batch_size: Default number of examples of a training step.
        epochs: Default number of epochs on a real corpus.
        bundled_epochs: Default number of epochs on the bundled synthetic corpus.
        paper: Authors and year of the paper.
        options: Fields of the class that differ from their defaults in this model.
        model_options: Fields of the class that differ in training by default, see
            `TrainingDefaults`.
        quaternion_front_end: Front end of the variants, spectrograms in [0, 1] for the RH-emo
            encoder.
        has_encoder: Whether the network takes spectrograms in every algebra; otherwise its
            variants take the output of the RH-emo encoder.

    Returns:
        Decorator that registers a class and returns it.

    Raises:
        InputError: The name is invalid or registered, a setting is invalid, or the class is no
            Flax module with the fields that are needed.

    >>> import flax.linen as nn
    >>> from serjax import models
    >>> @models.register("mean_net", learning_rate=1e-2, paper="Nobody (2026)")
    ... class MeanNet(nn.Module):
    ...     num_classes: int
    ...
    ...     @nn.compact
    ...     def __call__(self, x, *, train=False, mask=None):
    ...         features = {"mean": x.mean(axis=(1, 2))}
    ...         return nn.Dense(self.num_classes)(features["mean"]), features
    >>> models.create("mean_net", 4).num_classes
    4
    >>> models.unregister("mean_net")
    """
    if not re.fullmatch(r"\w[\w-]*", name, re.ASCII):
        raise InputError(
            f'model name: expected letters, digits, "_" and "-", found {name!r}',
        )
    for setting, value in (
        ("learning_rate", learning_rate),
        ("batch_size", batch_size),
        ("epochs", epochs),
        ("bundled_epochs", bundled_epochs),
    ):
        if value <= 0:
            raise InputError(f"model {name!r}, {setting}: expected above 0, found {value}")
    if isinstance(front_end, str):
        if front_end not in FRONT_ENDS:
            raise InputError(unknown_name("front end", front_end, FRONT_ENDS))
        front_end = FRONT_ENDS[front_end]
    training = TrainingDefaults(
        learning_rate, batch_size, epochs, bundled_epochs, dict(model_options or {})
    )

    def add(network: _Network) -> _Network:
        _check_class(name, network, {**(options or {}), **training.model_options}, options or {})
        family = _Family(
            name,
            network,
            dict(options or {}),
            front_end,
            quaternion_front_end,
            training,
            paper,
            has_encoder,
        )
        for variant in family.variants:
            if variant in _MODELS:
                raise InputError(f"model {variant!r}: expected a new name, found a registered one")
        _MODELS.update({variant: (family, algebra) for variant, algebra in family.variants.items()})
        return network

    return add


def unregister(name: str) -> None:
    """Removes a registered network and its variants, so that the name is free again.

    Args:
        name: Name that the network was registered under.

    Raises:
        InputError: Unknown name; the nearest one is suggested.
    """
    for variant in _look_up(name)[0].variants:
        del _MODELS[variant]


def _check_class(
    name: str, network: Any, options: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    """Raises InputError for a class that `create` could not use.

    Args:
        name: Name of the model.
        network: Class to register.
        options: All options that the registration names.
        defaults: Options that every network of this name has.
    """
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise InputError(
            f"model {name!r}: expected a subclass of flax.linen.Module, found "
            f"{getattr(network, '__name__', repr(network))}"
        )
    fields = network.__dataclass_fields__
    if "num_classes" not in fields:
        raise InputError(
            f"model {name!r}: expected a field num_classes, found the fields "
            f"{', '.join(_option_names(network)) or 'none'} of {network.__name__}"
        )
    for option in options:
        if option not in _option_names(network):
            raise InputError(unknown_name(f"option of {name}", option, _option_names(network)))
    for option in _option_names(network):
        has_default = (
            fields[option].default is not dataclasses.MISSING
            or fields[option].default_factory is not dataclasses.MISSING
        )
        if not has_default and option not in defaults:
            raise InputError(
                f"model {name!r}: expected a default for each field, found none for {option}"
            )


def _option_names(network: type[nn.Module]) -> list[str]:
    """Returns the fields of a network that `create` takes as options."""
    return [field for field in network.__dataclass_fields__ if field not in _RESERVED]


def names() -> tuple[str, ...]:
    """Returns the names of the registered models."""
    return tuple(_MODELS)


def _look_up(name: str) -> tuple[_Family, Algebra]:
    if name not in _MODELS:
        raise InputError(unknown_name("model", name, _MODELS))
    return _MODELS[name]


def front_end(name: str) -> FrontEnd:
    """Returns the front end of a model's paper.

    Args:
        name: Name of the model.

    Raises:
        InputError: Unknown name; the nearest one is suggested.
    """
    family, algebra = _look_up(name)
    return family.front_end if algebra is REAL else family.quaternion_front_end


def paper(name: str) -> str:
    """Returns authors and year of a model's paper, empty if none was registered.

    Args:
        name: Name of the model.

    Raises:
        InputError: Unknown name; the nearest one is suggested.
    """
    return _look_up(name)[0].paper


def training_defaults(name: str) -> TrainingDefaults:
    """Returns the default training settings of a model.

    Args:
        name: Name of the model.

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


def _check_value(name: str, option: str, value: object, family: _Family) -> None:
    """Raises InputError for a value that would only fail when the network is compiled."""
    field = family.network.__dataclass_fields__[option]
    kind = type(family.options.get(option, field.default))
    expected, kinds = _KINDS.get(kind, ("", object))
    if not isinstance(value, kinds):
        raise InputError(f"{option} of {name}: expected {expected}, found {value!r}")
    if option == "dropout_rate" and not 0 <= value < 1:
        raise InputError(f"{option} of {name}: expected at least 0 and below 1, found {value}")


def create(name: str, num_classes: int, *, embedding: bool = True, **options: Any) -> nn.Module:
    """Creates a network.

    Args:
        name: Name of the model, one of `names()`. A `quat_` or `phm` network takes the output of
            the RH-emo encoder, which embeds spectrograms `[batch, frames, bins, 1]` as quaternions.
            For `rhemo` itself, the prefix is the algebra of the encoder.
        num_classes: Number of classes, at least 2.
        embedding: Whether a `quat_` or `phm` network has the encoder. Without it, the channels of
            the input are a multiple of the algebra's components.
        **options: Fields of the network's class, such as `dtype` or `dropout_rate`.

    Returns:
        Flax module: `model.apply(variables, x, train=..., mask=...) -> (logits, features)`.

    Raises:
        InputError: Unknown name or option, an option's value of another kind than its default,
            fewer than 2 classes, or a user's network that does not return logits and features.

    >>> create("vgg16", num_classes=4).num_classes
    4
    """
    family, algebra = _look_up(name)
    if num_classes < 2:
        raise InputError(f"num_classes: a classifier needs at least 2, found {num_classes}")
    known = _option_names(family.network)
    for option in options:
        if option not in known:
            raise InputError(unknown_name(f"option of {name}", option, known))
        _check_value(name, option, options[option], family)
    # Tests check the built-in networks; tracing one here would take up to two seconds.
    if not family.network.__module__.startswith("serjax."):
        _check_family(family)
    network = _instantiate(family, num_classes, algebra, options)
    if algebra is REAL or family.has_encoder or not embedding:
        return network
    types = {field: options[field] for field in ("dtype", "param_dtype") if field in options}
    return Embedded(RHEmoEncoder(**types), network)


def _instantiate(
    family: _Family, num_classes: int, algebra: Algebra, options: Mapping[str, Any]
) -> nn.Module:
    """Creates a network without the encoder."""
    fields = {**family.options, **options, "num_classes": num_classes}
    if "algebra" in family.network.__dataclass_fields__:
        fields["algebra"] = algebra
    return family.network(**fields)


@functools.cache
def _check_family(family: _Family) -> None:
    """Raises InputError unless the real network returns logits and features."""
    check_outputs(family.name, _instantiate(family, 3, REAL, {}), family.front_end.input_shape)
