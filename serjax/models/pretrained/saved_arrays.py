"""Arrays of checkpoints: their hashes, and reading that checks them.

A checkpoint is a folder that Orbax writes. Next to its arrays it holds a hash of the content, dtype
and shape of each, because Orbax does not notice a flipped bit.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from serjax.errors import InputError, first_line
from serjax.files import json_hash

Tree = TypeVar("Tree")

HASHES = "hashes"
"""Name of the item of a checkpoint that holds the hashes."""


def array_hashes(tree: Any) -> dict[str, str]:
    """Returns a SHA-256 of the content, dtype and shape of each array of a tree, by its path."""
    return {path: _hash_of(leaf) for path, leaf in _leaves(tree).items()}


def saved_steps(folder: Path) -> list[int]:
    """Returns the steps of the complete checkpoints in a folder, ascending."""
    # Orbax gives a checkpoint its step's number as name when it is complete.
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def read_best(run_folder: Path, step: int, like: Tree) -> Tree:
    """Reads and checks the best variables of a finished run. Nothing is written.

    Args:
        run_folder: Run folder.
        step: Step at which they were saved, which `metrics.json` names.
        like: Variables of the same structure and shapes, see `read_checkpoint`.

    Returns:
        Variables as NumPy arrays.

    Raises:
        InputError: There is no checkpoint of this step, or it is damaged or of another model. If
            there is one before it, the message says how to use that.
    """
    folder = run_folder / "checkpoints" / "best"
    steps = saved_steps(folder)
    if step not in steps:
        raise InputError(f"{folder}: expected a checkpoint of step {step}, found {steps or 'none'}")
    try:
        return read_checkpoint(folder / str(step), "variables", like)[0]
    except InputError as error:
        earlier = max((other for other in steps if other < step), default=None)
        if earlier is None:
            raise
        hint = f'with "best_step": {earlier} in metrics.json, the one before it is used'
        raise InputError(f"{error}; {hint}") from error


def read_checkpoint(folder: Path, item: str, like: Tree, *, also: str = "") -> tuple[Tree, Any]:
    """Reads and checks an item of a checkpoint. Nothing is written.

    Args:
        folder: Folder of the checkpoint, named after its step.
        item: Name of the item.
        like: Tree of the same structure and shapes, whose dtypes the arrays get; abstract arrays
            will do.
        also: Name of a further item, of JSON values; empty: none.

    Returns:
        Tree of NumPy arrays, and the value of the further item.

    Raises:
        InputError: The checkpoint is damaged, or of another model.
    """
    try:
        return _read(folder, item, like, also)
    except Exception as error:  # Orbax raises plain exceptions for damaged files
        line = first_line(error)[:200]
        raise InputError(
            f"{folder}: not a checkpoint of this model, or a damaged one: {line}"
        ) from error


def _read(folder: Path, item: str, like: Tree, also: str) -> tuple[Tree, Any]:
    # Imported here, as it takes half as long as importing JAX.
    import orbax.checkpoint as ocp

    # Each of several processes reads for itself, without waiting for the others.
    process = jax.process_index()
    processes = ocp.options.MultiprocessingOptions(
        primary_host=process,
        active_processes={process},
        barrier_sync_key_prefix=f"pretrained{process}",
    )
    as_json = ocp.JsonCheckpointHandler(multiprocessing_options=processes)
    hashes = as_json.restore(_path(folder / HASHES))
    value = as_json.restore(_path(folder / also)) if also else None
    if also and hashes.get(also) != json_hash(value):
        raise ValueError(f"{also}: expected the content that was saved, found other")
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=processes)
    saved = _leaves(handler.metadata(_path(folder / item)).tree)
    # A damaged shape could ask for more memory than there is.
    _check_shapes(saved, _leaves(like))
    on_host = jax.tree_util.tree_map_with_path(
        lambda keys, leaf: np.empty(leaf.shape, saved[_name(keys)].dtype), like
    )
    tree = handler.restore(_path(folder / item), args=ocp.args.StandardRestore(on_host))
    for name, digest in array_hashes(tree).items():
        if hashes.get(name) != digest:
            raise ValueError(
                f"{item}: {name}: expected the content, dtype and shape that were saved, found "
                "others"
            )
    return jax.tree.map(lambda x, y: np.asarray(x).astype(y.dtype, copy=False), tree, like), value


def _path(path: Path) -> Any:
    from etils import epath  # Orbax's own paths

    return epath.Path(path.absolute())


def _check_shapes(saved: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raises ValueError unless arrays have the expected names and shapes."""
    for name in [*expected, *saved]:
        if name not in saved or name not in expected:
            raise ValueError(f"{name} is {'missing' if name not in saved else 'unknown'}")
        if tuple(saved[name].shape) != tuple(expected[name].shape):
            raise ValueError(
                f"{name}: expected an array of shape {expected[name].shape}, found "
                f"{tuple(saved[name].shape)}"
            )


def _name(keys: Any) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def _leaves(tree: Any) -> dict[str, Any]:
    return {_name(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _hash_of(array: Any) -> str:
    content = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{np.dtype(content.dtype).name} {np.shape(array)} ".encode())
    digest.update(content.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
