"""Memory of a step: what it keeps for its gradients, how much it takes, and where it ran out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax

from serjax.errors import InputError


def _is_product(primitive: Any, *_: Any, **__: Any) -> bool:
    return primitive in (jax.lax.dot_general_p, jax.lax.conv_general_dilated_p)


# What is kept of a network's forward pass for the backward one; the rest is computed again.
_KEPT: dict[str, Callable[..., bool]] = {
    "dots": _is_product,
    "everything": jax.checkpoint_policies.nothing_saveable,
}
REMAT = ("none", *_KEPT)


def rematerialized(function: Callable[..., Any], remat: str) -> Callable[..., Any]:
    """The same function, whose backward pass computes again what is not kept.

    Args:
        function: Differentiable.
        remat: "none": all is kept that the backward pass reads; "dots": results of convolutions and
            matrix products are kept, what lies between them is computed again; "everything": only
            the input is kept.
    """
    return function if remat == "none" else jax.checkpoint(function, policy=_KEPT[remat])


def peak_bytes(program: jax.stages.Compiled) -> int:
    """Most bytes that a program takes on a device: arguments, results and what lies between."""
    needs: Any = program.memory_analysis()
    total = needs.argument_size_in_bytes + needs.output_size_in_bytes
    return int(total + needs.temp_size_in_bytes - needs.alias_size_in_bytes)


@contextmanager
def explained(
    batch_size: int, devices: int, accumulate: int, remat: str, others: Sequence[str] = ()
) -> Iterator[None]:
    """Within the context, a device that is out of memory is an InputError that says what helps.

    Args:
        batch_size: Examples of a step.
        devices: That share them.
        accumulate: Micro-batches.
        remat: One of `REMAT`.
        others: What else takes less memory.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        helps = [*others]
        if batch_size > devices * accumulate:
            helps.append(f"--accumulate {2 * accumulate}")
        helps += {"none": ["--remat dots"], "dots": ["--remat everything"]}.get(remat, [])
        if batch_size > devices:
            helps.append(f"--batch-size {max(batch_size // 2, devices)}")
        raise InputError(
            f"out of memory on the device, with {batch_size // (devices * accumulate)} examples "
            f"at once; each of these takes less: {', '.join([*helps, '--dtype bfloat16'])}"
        ) from error
