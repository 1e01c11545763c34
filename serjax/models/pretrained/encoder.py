"""Trained RH-emo encoder that ships with the library, and encoders of runs.

`rhemo_encoder.npz` in this folder was trained on real speech by the command in `rhemo_encoder.md`.
Quaternion and hypercomplex networks start from it by default.
"""

import importlib.resources
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from serjax.errors import InputError
from serjax.files import PathLike, write_bytes_atomic
from serjax.models.pretrained import run_folder
from serjax.models.variables import Variables

ENCODER_CORPUS = "emodb"
"""Name of the corpus that the shipped encoder was trained on, see `rhemo_encoder.md`.

A network that starts from it has seen speakers of this corpus and must not be tested on them.
"""


def write_encoder(path: PathLike, variables: Mapping[str, Any]) -> None:
    """Writes the variables of an encoder as `.npz`.

    Args:
        path: File to write.
        variables: Variables of RH-emo, or of a network with its encoder: `params` and
            `batch_stats`, whose entries `embedding` are written.
    """
    encoder = {name: variables[name]["embedding"] for name in ("params", "batch_stats")}
    flat: dict[str, Any] = traverse_util.flatten_dict(encoder, sep="/")
    content = io.BytesIO()
    np.savez(content, **flat)
    write_bytes_atomic(path, content.getvalue())


def encoder(folder: PathLike | None = None) -> Variables:
    """Reads the variables of an encoder.

    Args:
        folder: Finished run of RH-emo, or of a network with its encoder; None: the shipped encoder.

    Returns:
        `params` and `batch_stats`, float32.

    Raises:
        InputError: The folder holds no finished run, or one of a network without an encoder.
    """
    if folder is not None:
        run = run_folder.read(Path(folder))
        variables = run.restore()
        if not all("embedding" in variables.get(name, {}) for name in ("params", "batch_stats")):
            raise InputError(
                f"{folder}: expected a run of rhemo or of a network with its encoder, found one "
                f"of {run.model}"
            )
        return {name: variables[name]["embedding"] for name in ("params", "batch_stats")}
    content = importlib.resources.files("serjax.models.pretrained").joinpath("rhemo_encoder.npz")
    with np.load(io.BytesIO(content.read_bytes())) as arrays:
        flat = {name: jnp.asarray(array) for name, array in arrays.items()}
    return traverse_util.unflatten_dict(flat, sep="/")


def with_embedding(variables: Mapping[str, Any], embedding: Mapping[str, Any]) -> Variables:
    """Replaces the encoder in the variables of a network.

    Args:
        variables: Variables of a network with an encoder: `params` and `batch_stats`.
        embedding: Variables of the new encoder, in the same collections.

    Returns:
        Variables of the network with the new encoder.
    """
    return {
        name: {**tree, "embedding": embedding[name]} if name in embedding else tree
        for name, tree in variables.items()
    }
