"""Models with pretrained weights, from published checkpoints or from finished runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax import models
from serjax.errors import InputError, unknown_name
from serjax.files import PathLike
from serjax.models.pretrained import files, run_folder
from serjax.models.pretrained.convert import convert
from serjax.models.pretrained.encoder import with_embedding
from serjax.models.pretrained.families import FAMILIES
from serjax.models.variables import (
    Variables,
    check_patterns,
    compile_initialization,
    leaf_path,
    leaves_by_path,
    matches,
    variable_shapes,
)


class _Source(NamedTuple):
    """Pretrained variables, and the construction of the same network for other classes.

    Attributes:
        variables: Trained variables.
        num_classes: Number of classes that they were trained for.
        create: Function from a number of classes to the network.
        input_shape: Shape of a batch of one input.
        untrained: Patterns of layers whose variables have shapes only.
    """

    variables: Variables
    num_classes: int
    create: Callable[[int], nn.Module]
    input_shape: tuple[int, ...]
    untrained: tuple[str, ...] = ()


def load(
    name: str,
    path: PathLike,
    num_classes: int | None = None,
    *,
    input_channels: int = 1,
    fresh: Sequence[str] = (),
    key: jax.Array | None = None,
    **options: Any,
) -> tuple[nn.Module, Variables]:
    """Loads a model with pretrained weights. All weights of the checkpoint must fit the model.

    The last layer is loaded if the number of classes equals that of the checkpoint. Otherwise, or
    if the option `hidden` adds a dense layer before it that the checkpoint does not have, it is
    randomly initialized.

    Args:
        name: Name of the model, one of `serjax.models.names()`.
        path: Checkpoint of torchvision's network, a `.safetensors`, `.pth` or `.pt` file; or the
            folder of a finished run, whose best weights are loaded. From a run of `rhemo`, a
            network with the RH-emo encoder takes the encoder, and its other layers are randomly
            initialized.
        num_classes: Number of classes; None for that of the checkpoint.
        input_channels: Number of channels of the input to published weights. 3 is for images. 1 is
            for spectrograms: the first convolution is summed over its channels, so its output for
            one channel is that for three equal ones. Standardize the input as ImageNet's images
            are. A run has its own number of channels, and no other is accepted.
        fresh: Further layers to initialize randomly, as patterns of their paths, see
            `serjax.models.variables.matches`. Padi et al. (2021), section 3.2, replace all dense
            layers: `("dense1.*", "head")`.
        key: PRNG key for the new layers, by default `jax.random.key(0)`.
        **options: Fields of the network, see `serjax.models.create`. For a run they take precedence
            over those of the run.

    Returns:
        Model, and its variables: `params` and `batch_stats`, the latter empty for a model without
        running statistics.

    Raises:
        InputError: Unknown name or option; no such file or folder, or one that cannot be read; a
            checkpoint of another model, or of another shape; no published weights of this model;
            a pattern that matches no layer; input channels other than 1 and 3.

    >>> model, variables = load("resnet50", "resnet50.pth", 4)  # doctest: +SKIP
    """
    path = Path(path)
    # A run's own modules may register the model.
    run = run_folder.read(path) if path.is_dir() else None
    if name not in models.names():
        raise InputError(unknown_name("model", name, models.names()))
    if run is None:
        source = _from_torchvision(name, path, input_channels, options)
    elif run.model == "rhemo" and isinstance(models.create(name, 2), models.Embedded):
        source = _from_rhemo(name, run, input_channels, options)
    else:
        source = _from_run(name, run, input_channels, options)
    model = source.create(source.num_classes if num_classes is None else num_classes)
    variables = _initialize_missing(model, source, fresh, jax.random.key(0) if key is None else key)
    return model, variables


def _from_torchvision(
    name: str, path: Path, input_channels: int, options: dict[str, Any]
) -> _Source:
    if name not in FAMILIES:
        raise InputError(
            f"{path}: expected the folder of a run, as there are no published weights of {name}; "
            f"there are of {', '.join(FAMILIES)}"
        )
    if input_channels not in (1, 3):
        raise InputError(f"input_channels: expected 1 or 3, found {input_channels}")
    family = FAMILIES[name]
    state = files.read(path)
    # The shapes of the variables follow from the size of the images it was trained on.
    image = (1, *family.image, input_channels)

    published = {**family.options, **options}
    has_new_dense = family.has_optional_dense and published.pop("hidden", None) is not None

    def create(num_classes: int) -> nn.Module:
        return models.create(name, num_classes, **{**family.options, **options})

    model = models.create(name, 2, **published)
    names = family.names(model)
    head = state.get(f"{names(('head',))}.bias")
    # Without a head the conversion reports what is missing, for any number of classes.
    num_classes = 2 if head is None or head.ndim != 1 else len(head)
    model = models.create(name, num_classes, **published)
    try:
        variables = convert(
            family.adapted(state),
            variable_shapes(model, image),
            names,
            flattened=family.flattened(model),
            unused=family.unused,
        )
    except InputError as error:
        raise InputError(f"{path}: not weights of {name}: {error}") from error
    if not has_new_dense:
        return _Source(variables, num_classes, create, image)
    shapes = variable_shapes(create(num_classes), image)
    params = {**shapes["params"], **variables["params"], "head": shapes["params"]["head"]}
    return _Source({**variables, "params": params}, num_classes, create, image, ("dense1", "head"))


def _from_run(
    name: str, run: run_folder.Run, input_channels: int, options: dict[str, Any]
) -> _Source:
    if name != run.model:
        raise InputError(f"{run.folder}: expected a run of {name}, found one of {run.model}")
    variables = run.restore(**options)
    _check_channels(run, input_channels, run.input_shape)
    return _Source(
        variables,
        len(run.classes),
        lambda num_classes: run.create(num_classes, **options),
        run.input_shape,
    )


def _from_rhemo(
    name: str, run: run_folder.Run, input_channels: int, options: dict[str, Any]
) -> _Source:
    input_shape = (1, *models.front_end(name).input_shape)
    _check_channels(run, input_channels, input_shape)

    def create(num_classes: int) -> nn.Module:
        return models.create(name, num_classes, **options)

    encoder = {collection: tree["embedding"] for collection, tree in run.restore().items()}
    shapes = variable_shapes(create(len(run.classes)), input_shape)
    return _Source(
        with_embedding(shapes, encoder),
        len(run.classes),
        create,
        input_shape,
        untrained=("(?!embedding(/|$)).*",),
    )


def _check_channels(run: run_folder.Run, channels: int, input_shape: tuple[int, ...]) -> None:
    if channels != input_shape[-1]:
        raise InputError(
            f"input_channels: expected {input_shape[-1]}, as in the run {run.folder}, found "
            f"{channels}"
        )


def _initialize_missing(
    model: nn.Module, source: _Source, fresh: Sequence[str], key: jax.Array
) -> Variables:
    """Completes pretrained variables by random initialization of the other layers.

    Args:
        model: Network.
        source: Pretrained variables.
        fresh: Patterns of pretrained layers to initialize too.
        key: PRNG key for the new layers.
    """
    like = variable_shapes(model, source.input_shape)
    check_patterns(fresh, like["params"])
    pretrained = leaves_by_path(source.variables)
    # Shapes differ only in layers that depend on the number of classes: all others were compared.
    layers = {
        path[1:-1]
        for path, leaf in leaves_by_path(like).items()
        if leaf.shape != pretrained[path].shape
        or any(matches(pattern, path[1:-1]) for pattern in (*fresh, *source.untrained))
    }

    def initialize(key: jax.Array) -> dict[tuple[str, ...], jax.Array]:
        initial = model.init(key, jnp.zeros(source.input_shape, jnp.float32))
        return {p: leaf for p, leaf in leaves_by_path(initial).items() if p[1:-1] in layers}

    new = compile_initialization(initialize, key) if layers else {}

    def choose(keys: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        path = leaf_path(keys)
        return new[path] if path in new else jnp.asarray(pretrained[path], leaf.dtype)

    return jax.tree_util.tree_map_with_path(choose, like)
