"""`load`: a model and its variables, from published weights or from a run of our own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from serjax import models, report
from serjax.errors import InputError, unknown_name
from serjax.files import PathLike
from serjax.models.pretrained import files
from serjax.models.pretrained.convert import convert
from serjax.models.pretrained.encoder import with_embedding
from serjax.models.pretrained.families import FAMILIES
from serjax.training.build import build_model, input_shape
from serjax.training.config.resolve import front_end_of
from serjax.training.optimization import freeze
from serjax.training.run_folder.trained_run import load_run
from serjax.training.state import Variables, compile_initialization


class _Source(NamedTuple):
    """What was trained, and how to make the same network for other classes.

    Layers that match a pattern in `untrained` have shapes only.
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
    """Loads a model with trained weights, strictly: nothing is left out, nothing left over.

    The last layer is kept where the number of classes is that of the checkpoint, and starts anew
    where it is another, or where the option `hidden` puts a dense layer before it that the
    checkpoint does not have.

    Args:
        name: One of `serjax.models.names()`.
        path: A checkpoint of torchvision's network, `.safetensors`, `.pth` or `.pt`; or the folder
            of a finished run, of which the best weights are taken. Of a run of `rhemo`, a network
            behind its encoder takes the encoder's, and all else starts anew.
        num_classes: Classes; None: as many as the checkpoint has.
        input_channels: Of the input to published weights. 3 keeps the first convolution, for
            images. 1 sums it over its channels, for spectrograms: it answers to one channel as it
            did to three equal ones, so standardize the input, as ImageNet's images are. A run
            has its own channels, and no other number is accepted.
        fresh: Layers to start anew besides, as patterns, see `serjax.training.optimization.freeze`. Padi et
            al. 2021, section 3.2, replace all dense layers: `("dense1.*", "head")`.
        key: Of the new layers' weights; `jax.random.key(0)` by default.
        **options: Fields of the network, see `serjax.models.create`; for a run they are added to
            its own.

    Returns:
        The model, and its variables: `params` and `batch_stats`, the latter empty where there are
        none.

    Raises:
        InputError: Unknown name or option; no such file or folder, or one that cannot be read; a
            checkpoint of another model, or of another shape; no published weights of this model;
            a pattern that matches no layer; input channels other than 1 and 3.

    >>> model, variables = load("resnet50", "resnet50.pth", 4)  # doctest: +SKIP
    """
    path = Path(path)
    if name not in models.names():
        raise InputError(unknown_name("model", name, models.names()))
    if path.is_dir() and _takes_encoder(name, path):
        source = _from_rhemo(name, path, input_channels, options)
    elif path.is_dir():
        source = _from_run(name, path, input_channels, options)
    else:
        source = _from_torchvision(name, path, input_channels, options)
    model = source.create(source.num_classes if num_classes is None else num_classes)
    variables = _renewed(model, source, fresh, jax.random.key(0) if key is None else key)
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
    # The variables' shapes follow from the size of what it was trained on.
    image = (1, *family.image, input_channels)

    published = {**family.options, **options}
    added = family.dense and published.pop("hidden", None) is not None

    def create(num_classes: int) -> nn.Module:
        return models.create(name, num_classes, **{**family.options, **options})

    model = models.create(name, 2, **published)
    names = family.names(model)
    head = state.get(f"{names(('head',))}.bias")
    # Without a head the conversion says what is missing, whatever the number.
    num_classes = 2 if head is None or head.ndim != 1 else len(head)
    model = models.create(name, num_classes, **published)
    try:
        variables = convert(
            family.adapted(state),
            _shapes(model, image),
            names,
            flattened=family.flattened(model),
            unused=family.unused,
        )
    except InputError as error:
        raise InputError(f"{path}: not weights of {name}: {error}") from error
    if not added:
        return _Source(variables, num_classes, create, image)
    shapes = _shapes(create(num_classes), image)
    params = {**shapes["params"], **variables["params"], "head": shapes["params"]["head"]}
    return _Source({**variables, "params": params}, num_classes, create, image, ("dense1", "head"))


def _from_run(name: str, folder: Path, input_channels: int, options: dict[str, Any]) -> _Source:
    run = load_run(folder, name, **options)
    shape = input_shape(front_end_of(run.config))
    _check_channels(folder, input_channels, shape[-1])
    return _Source(
        run.variables,
        len(run.classes),
        lambda num_classes: build_model(run.config, num_classes),
        shape,
    )


def _takes_encoder(name: str, folder: Path) -> bool:
    """Whether a network stands behind the encoder of the run in a folder, one of RH-emo."""
    described = folder / "config.json"
    if not described.is_file() or report.read_config(described)["model"] != "rhemo":
        return False
    return isinstance(models.create(name, 2), models.Embedded)


def _from_rhemo(name: str, folder: Path, input_channels: int, options: dict[str, Any]) -> _Source:
    run = load_run(folder, dtype=jnp.float32)
    shape = input_shape(models.front_end(name))
    _check_channels(folder, input_channels, shape[-1])

    def create(num_classes: int) -> nn.Module:
        return models.create(name, num_classes, **options)

    encoder = {collection: tree["embedding"] for collection, tree in run.variables.items()}
    variables = with_embedding(_shapes(create(len(run.classes)), shape), encoder)
    others = ("(?!embedding(/|$)).*",)
    return _Source(variables, len(run.classes), create, shape, others)


def _check_channels(folder: Path, found: int, expected: int) -> None:
    if found != expected:
        raise InputError(
            f"input_channels: expected {expected}, as in the run {folder}, found {found}"
        )


def _shapes(model: nn.Module, shape: tuple[int, ...]) -> Variables:
    """Shapes and dtypes of a model's variables for an input of this shape."""
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}


def _renewed(model: nn.Module, source: _Source, fresh: Sequence[str], key: jax.Array) -> Variables:
    """The trained variables, but new ones of layers that are to be new or have another shape."""
    like = _shapes(model, source.input_shape)
    freeze.check_patterns(fresh, like["params"])
    trained = {
        freeze.leaf_path(keys): leaf
        for keys, leaf in jax.tree_util.tree_leaves_with_path(source.variables)
    }
    wanted = {
        freeze.leaf_path(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(like)
    }
    # Shapes differ only where they follow the number of classes: all else has been compared.
    layers = {
        path[1:-1]
        for path, leaf in wanted.items()
        if leaf.shape != trained[path].shape
        or any(freeze.matches(pattern, path[1:-1]) for pattern in (*fresh, *source.untrained))
    }

    def initialize(key: jax.Array) -> dict[freeze.Path, jax.Array]:
        initial = model.init(key, jnp.zeros(source.input_shape, jnp.float32))
        leaves = jax.tree_util.tree_leaves_with_path(initial)
        named = ((freeze.leaf_path(keys), leaf) for keys, leaf in leaves)
        return {path: leaf for path, leaf in named if path[1:-1] in layers}

    new = compile_initialization(initialize, key) if layers else {}

    def choose(keys: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        path = freeze.leaf_path(keys)
        return new[path] if path in new else jnp.asarray(trained[path], leaf.dtype)

    return jax.tree_util.tree_map_with_path(choose, like)
