"""The RH-emo encoder's trained variables, which quaternion networks may start from.

`rhemo_encoder.npz` beside this file was trained on real speech by the command in
`rhemo_encoder.md`.
"""

import importlib.resources
import io
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from serjax.files import PathLike, write_bytes_atomic

Variables = dict[str, Any]

ENCODER_CORPUS = "emodb"
"""Name of the corpus that the shipped encoder was trained on, see `rhemo_encoder.md`."""


def write_encoder(path: PathLike, variables: Mapping[str, Any]) -> None:
    """Writes the variables named `embedding`, as `.npz`.

    Args:
        path: The file to write.
        variables: Of RH-emo, or of a network behind its encoder: `params` and `batch_stats`.
    """
    encoder = {name: variables[name]["embedding"] for name in ("params", "batch_stats")}
    flat: dict[str, Any] = traverse_util.flatten_dict(encoder, sep="/")
    content = io.BytesIO()
    np.savez(content, **flat)
    write_bytes_atomic(path, content.getvalue())


def encoder() -> Variables:
    """The shipped encoder's variables: `params` and `batch_stats`, float32."""
    content = importlib.resources.files("serjax.models.pretrained").joinpath("rhemo_encoder.npz")
    with np.load(io.BytesIO(content.read_bytes())) as arrays:
        flat = {name: jnp.asarray(array) for name, array in arrays.items()}
    return traverse_util.unflatten_dict(flat, sep="/")


def with_embedding(variables: Mapping[str, Any], embedding: Mapping[str, Any]) -> Variables:
    """Variables of a network behind an encoder, with another encoder's.

    Args:
        variables: Of the network: `params` and `batch_stats`.
        embedding: Of the encoder, the same collections.
    """
    return {
        name: {**tree, "embedding": embedding[name]} if name in embedding else tree
        for name, tree in variables.items()
    }
