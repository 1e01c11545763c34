"""PyTorch state dictionaries as NumPy arrays."""

from pathlib import Path

import numpy as np

from serjax.errors import InputError, first_line


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads a checkpoint, without executing any code in it.

    Args:
        path: `.safetensors` file, which needs the package of that name, or `.pth` or `.pt` file, a
            state dictionary saved by `torch.save`, which needs PyTorch.

    Returns:
        Arrays by name, in the order and with the types of the file; types unknown to NumPy become
        float32.

    Raises:
        InputError: There is no such file, it has another format, a package is missing, or the file
            holds objects other than tensors, or weights that are not finite.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a checkpoint, found no such file or folder")
    readers = {".safetensors": _read_safetensors, ".pth": _read_torch, ".pt": _read_torch}
    if path.suffix not in readers:
        raise InputError(
            f"{path}: expected a file named .safetensors, .pth or .pt, "
            f"found {path.suffix or 'no suffix'}"
        )
    arrays = readers[path.suffix](path)
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
            raise InputError(f"{path}: expected finite weights, found others in {name!r}")
    return arrays


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise InputError(
            f"{path}: reading it needs safetensors: pip install 'serjax[pretrained]'"
        ) from error
    try:
        return dict(load_file(path))
    except Exception as error:  # of a library in Rust, such as for a type that NumPy lacks
        raise InputError(f"{path}: not a safetensors file: {first_line(error)[:200]}") from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{path}: reading it needs PyTorch: pip install 'serjax[torch]'"
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of the interpreter of pickles, any for a damaged file
        raise InputError(
            f"{path}: not a file of tensors that PyTorch can read: {first_line(error)[:200]}"
        ) from error
    if not isinstance(state, dict):
        raise InputError(f"{path}: expected tensors by name, found {type(state).__name__}")
    arrays = {}
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(
                f"{path}: expected tensors by name, found {type(value).__name__} under {name!r}"
            )
        if value.dtype == torch.bfloat16:
            value = value.float()
        try:
            arrays[name] = value.detach().numpy()
        except Exception as error:  # of a kind of tensor that NumPy lacks
            raise InputError(f"{path}: {name!r}: {first_line(error)[:200]}") from error
    return arrays
