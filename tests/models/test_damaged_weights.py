"""Published weights that are damaged: read, or refused in a line, never run."""

import collections
import importlib.util
import os
import random
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from serjax.errors import InputError
from serjax.models.pretrained import files
from tests.helpers.damage import damaged, is_line

ARRAYS = {
    f"layer{i}.weight": np.random.default_rng(i).standard_normal((4, 3 + i)).astype(np.float32)
    for i in range(4)
}


def _write(path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file(ARRAYS, path)
        return
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    tensors = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    # .pt: the format of torchvision's older files, a pickle without an archive around it.
    torch.save(tensors, path, _use_new_zipfile_serialization=path.suffix == ".pth")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    path = tmp_path / "weights.safetensors"
    save_file({"a": np.ones(3, np.float32), "b": np.array([1, value], np.float16)}, path)
    with pytest.raises(InputError, match="expected finite weights, found others in 'b'"):
        files.read(path)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
def test_a_pickle_runs_nothing(tmp_path):
    import pickle

    class Command:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Command()))
    with pytest.raises(InputError, match="not a file of tensors that PyTorch can read"):
        files.read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
@pytest.mark.parametrize(
    ("first", "count"), [(0, 20), pytest.param(0, 2000, marks=pytest.mark.slow)]
)
def test_fuzz_weights(tmp_path, suffix, first, count):
    """Damaged files of weights are read as arrays of the same names and shapes, or refused.

    The formats have no checksums of values, so that a changed value can be read.
    """
    path = tmp_path / f"weights{suffix}"
    _write(path)
    content = path.read_bytes()
    outcomes: collections.Counter[str] = collections.Counter()
    for number in range(count):
        path.write_bytes(damaged(content, random.Random(number)))
        try:
            arrays = files.read(path)
        except InputError as error:
            outcomes["refused"] += is_line(error)
        else:
            assert all(isinstance(array, np.ndarray) for array in arrays.values())
            outcomes["read"] += 1
    print(f"fuzz weights {suffix}: {count} tried, {dict(outcomes)}")
    assert sum(outcomes.values()) == count
