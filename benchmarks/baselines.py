"""Other libraries as baselines, checked to compute the same as serjax before they are timed.

A baseline that is not installed is skipped, and one with other results is rejected. A line on
standard error reports either.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.programs import Program

_PACKAGES = ("torch", "torchvision", "torchaudio", "librosa")


class BaselineError(Exception):
    """A baseline that cannot be measured; the message gives the reason."""


def check_agreement(name: str, result: ArrayLike, expected: ArrayLike, tolerance: float) -> None:
    """Rejects a baseline whose result differs from that of serjax.

    Args:
        name: Name of the baseline.
        result: Result of the baseline.
        expected: Result of serjax.
        tolerance: Largest deviation, as a fraction of the largest magnitude in `expected`.

    Raises:
        BaselineError: Shapes differ, values differ by more than the tolerance, or a value is not
            finite.
    """
    result, expected = np.asarray(result, np.float64), np.asarray(expected, np.float64)
    if result.shape != expected.shape:
        raise BaselineError(
            f"{name}: rejected, expected shape {expected.shape}, found {result.shape}"
        )
    scale = max(float(np.abs(expected).max()), np.finfo(np.float64).tiny)
    deviation = float(np.abs(result - expected).max()) / scale
    if not deviation <= tolerance:
        raise BaselineError(
            f"{name}: rejected, its result deviates by {deviation:.1e} of the largest value, "
            f"expected at most {tolerance:.0e}"
        )


@contextlib.contextmanager
def skip_unavailable() -> Iterator[None]:
    """Prints the reason of a `BaselineError` in a line, and continues without the baseline."""
    try:
        yield
    except BaselineError as error:
        _warn_once(f"baseline skipped: {error}")


@functools.cache
def _warn_once(line: str) -> None:
    """Prints each line once: a baseline that is not installed is missing in every case."""
    print(line, file=sys.stderr)


@contextlib.contextmanager
def wrap_errors(name: str) -> Iterator[None]:
    """Converts any exception of a baseline or its compiler into a `BaselineError`.

    The other baselines can then be measured.

    Args:
        name: Name of the baseline.
    """
    try:
        yield
    except BaselineError:
        raise
    except Exception as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BaselineError(f"{name}: {line}") from error


def import_module(name: str, package: str) -> Any:
    """Imports an installed module.

    Args:
        name: Name of the module.
        package: Name of its package, for the error message.

    Raises:
        BaselineError: The module is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:
        raise BaselineError(f"{package} cannot be imported: {error}") from error


def versions() -> dict[str, str]:
    """Returns the versions of the installed baselines, by package."""
    installed = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[name] = importlib.metadata.version(name)
    return installed


def import_torch() -> Any:
    """Imports PyTorch.

    Raises:
        BaselineError: PyTorch is not installed.
    """
    return import_module("torch", "PyTorch")


def torch_device() -> str:
    """Returns the device that PyTorch uses, "cuda" if there is one, else "cpu"."""
    return "cuda" if import_torch().cuda.is_available() else "cpu"


def torch_compile(function: Any) -> Any:
    """Compiles a function or network with PyTorch, for each shape separately.

    Earlier compiled forms are discarded: PyTorch keeps a limited number of them per source, and
    silently compiles no more beyond that.
    """
    torch = import_torch()
    torch.compiler.reset()
    return torch.compile(function, dynamic=False)


def torch_program(call: Callable[[], Any], *inputs: Any) -> Program:
    """Makes a program of a PyTorch function; a call ends when the device has finished.

    The first call, which compiles the function, takes place here.

    Args:
        call: Function without arguments.
        *inputs: Tensors that the function reads, whose signs are randomized before every round.
    """
    torch = import_torch()

    def randomize_inputs(index: int) -> tuple[()]:
        with torch.no_grad():
            for tensor in inputs:
                tensor.mul_(2 * torch.randint_like(tensor, 2) - 1)
        return ()

    def synchronized() -> Any:
        result = call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return result

    started = time.perf_counter()
    synchronized()
    seconds = time.perf_counter() - started
    return Program(synchronized, (), None, None, None, seconds, randomize_inputs)
