"""Sums over all axes but the last, and their transpose, for CPUs too.

XLA's CPU backend adds up each channel by itself, through memory in strides, at a tenth of the
memory's speed. As products with ones the sums of all channels are made together. Derivatives of
broadcasting are such sums, so what is broadcast over a batch goes through here as well.
Derivatives are of reverse mode only.
"""

import functools
import math

import jax
import jax.numpy as jnp


@jax.custom_vjp
def channel_sum(x: jax.Array) -> jax.Array:
    """`[..., channels]` -> `[channels]`, in x's dtype, floating."""
    return _sum(x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def over_batch(value: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`[channels]` -> the shape `[..., channels]`."""
    return jnp.broadcast_to(value, shape)


def add_bias(x: jax.Array, bias: jax.Array | None) -> jax.Array:
    """`[..., channels]` plus `[channels]` of the same dtype, or nothing."""
    return x if bias is None else x + over_batch(bias, x.shape)


def _sum(x: jax.Array) -> jax.Array:
    if jax.default_backend() != "cpu" or x.ndim < 2:
        return x.sum(range(x.ndim - 1))
    # In two steps, the sums of rows first: no sum has too many terms for its precision.
    columns = x.shape[-2] if x.ndim > 2 else 1
    rows = x.reshape(math.prod(x.shape[:-2]) if x.ndim > 2 else len(x), columns * x.shape[-1])
    kind = jnp.float32 if x.dtype == jnp.bfloat16 else x.dtype
    total = jnp.matmul(jnp.ones(len(rows), x.dtype), rows, preferred_element_type=kind)
    return total.reshape(columns, x.shape[-1]).sum(0).astype(x.dtype)


def _sum_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    # An array of no size tells the backward pass the shape.
    return _sum(x), jnp.empty((*x.shape, 0), x.dtype)


def _sum_backward(like: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    return (over_batch(gradient, like.shape[:-1]),)


def _over_batch_forward(value: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, None]:
    return over_batch(value, shape), None


def _over_batch_backward(shape: tuple[int, ...], _: None, gradient: jax.Array) -> tuple[jax.Array]:
    return (channel_sum(gradient),)


channel_sum.defvjp(_sum_forward, _sum_backward)
over_batch.defvjp(_over_batch_forward, _over_batch_backward)
