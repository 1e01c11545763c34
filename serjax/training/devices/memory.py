"""Memory of a training step: rematerialization, peak use, and errors when it runs out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax

from serjax.errors import InputError


def _is_product(primitive: Any, *_: Any, **__: Any) -> bool:
    return primitive in (jax.lax.dot_general_p, jax.lax.conv_general_dilated_p)


# Results of the forward pass that are saved for the backward pass; the others are computed again.
_SAVED: dict[str, Callable[..., bool]] = {
    "dots": _is_product,
    "everything": jax.checkpoint_policies.nothing_saveable,
}
REMAT = ("none", *_SAVED)
"""Names of the rematerializations."""


def rematerialize(function: Callable[..., Any], remat: str) -> Callable[..., Any]:
    """Returns the same function with a backward pass that computes some results again.

    Args:
        function: Differentiable function.
        remat: "none": all results that the backward pass reads are saved; "dots": results of
            convolutions and matrix products are saved, those between them are computed again;
            "everything": only the input is saved.
    """
    return function if remat == "none" else jax.checkpoint(function, policy=_SAVED[remat])


def peak_bytes(program: jax.stages.Compiled) -> int:
    """Returns the peak memory of a program on a device: arguments, results and temporaries."""
    analysis: Any = program.memory_analysis()
    total = analysis.argument_size_in_bytes + analysis.output_size_in_bytes
    return int(total + analysis.temp_size_in_bytes - analysis.alias_size_in_bytes)


@contextmanager
def explain_out_of_memory(
    batch_size: int, devices: int, accumulate: int, remat: str, remedies: Sequence[str] = ()
) -> Iterator[None]:
    """Turns an out-of-memory error within the context into an InputError that names remedies.

    Args:
        batch_size: Examples of a step.
        devices: Number of devices that share them.
        accumulate: Number of micro-batches.
        remat: One of `REMAT`.
        remedies: Further remedies, named first.

    Raises:
        InputError: A device ran out of memory.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        remedies = [*remedies]
        if batch_size > devices * accumulate:
            remedies.append(f"--accumulate {2 * accumulate}")
        remedies += {"none": ["--remat dots"], "dots": ["--remat everything"]}.get(remat, [])
        if batch_size > devices:
            remedies.append(f"--batch-size {max(batch_size // 2, devices)}")
        raise InputError(
            f"out of memory on the device, with {batch_size // (devices * accumulate)} examples "
            f"at once; each of these takes less: {', '.join([*remedies, '--dtype bfloat16'])}"
        ) from error
