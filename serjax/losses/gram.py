"""Cosine similarity of the Gram matrices of two layers, on the smaller side of the product.

A layer's Gram matrix over channels is `G = F^T F` of its activations F `[positions, channels]`. The
inner product of two is the squared norm of the cross product over positions,

    <F^T F, H^T H> = |H F^T|^2,

so either side gives the cosine `<G_p, G_t> / (|G_p| |G_t|)`: `[channels, channels]` products where
positions are many, as in a network's first layers, `[positions, positions]` ones in its last.
All sums are float32 at least, and Gram matrices are taken over their largest entry before they are
squared: a layer's largest activation may be of 1e-15 to 1e15. One without any activation has the
cosine 0 with every other.
"""

import jax
import jax.numpy as jnp
import numpy as np

from serjax.features.arrays import at_least_float32


def _over_channels(shape: tuple[int, ...]) -> bool:
    """Whether Gram matrices over channels are the smaller ones, of `[positions, channels]`."""
    positions, channels = shape
    return channels <= 2 * positions


def _scaled(x: jax.Array) -> jax.Array:
    """A matrix over its largest entry, so that squares of it neither over- nor underflow.

    The cosine does not depend on a common factor, so the factor counts as constant in its
    derivative.
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x)))
    return x / jnp.where(largest > 0, largest, 1)


@jax.custom_vjp
def _gram(x: jax.Array) -> jax.Array:
    """`x^T x` of `[positions, channels]`."""
    return jnp.matmul(x.T, x, precision="highest")


def _gram_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _gram(x), x


def _gram_backward(x: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
    # Automatic differentiation makes two products of this one, x dy and x dy^T.
    return (jnp.matmul(x, dy + dy.T, precision="highest"),)


_gram.defvjp(_gram_forward, _gram_backward)


def _cosine(inner: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """`inner / (|x| |y|)`, or 0 where that is undefined, with a derivative of 0."""
    squares = jnp.sum(jnp.square(x)) * jnp.sum(jnp.square(y))
    defined = squares > 0
    cosine = inner * jax.lax.rsqrt(jnp.where(defined, squares, 1))
    return jnp.where(defined, cosine, 0)


def similarity(x: jax.Array, y: jax.Array) -> jax.Array:
    """Cosine of the Gram matrices of two layers of one example.

    Args:
        x: `[positions, channels]`, floating.
        y: The same shape.

    Returns:
        Scalar in [0, 1], float32 at least.
    """
    x, y = at_least_float32(x), at_least_float32(y)
    if _over_channels(x.shape):
        # Scaling activations would be two more passes over a network's largest arrays.
        gram_x, gram_y = _scaled(_gram(x)), _scaled(_gram(y))
        return _cosine(jnp.sum(gram_x * gram_y), gram_x, gram_y)
    x, y = _scaled(x), _scaled(y)
    cross = jnp.matmul(y, x.T, precision="highest")
    return _cosine(jnp.sum(jnp.square(cross)), _gram(x.T), _gram(y.T))


def _triangle(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Where in a symmetric matrix's upper triangle, row by row, its entries are, and back.

    Returns:
        Flat positions of the triangle, int32 `[channels (channels + 1) / 2]`, and for every entry
        of the matrix its place among them, int32 `[channels, channels]`.
    """
    rows, columns = np.triu_indices(channels)
    place = np.zeros((channels, channels), np.int32)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return (rows * channels + columns).astype(np.int32), place


def _keeps_gram(shape: tuple[int, ...]) -> bool:
    """Whether half a Gram matrix is smaller than the activations `[positions, channels]`."""
    positions, channels = shape
    return channels + 1 <= 2 * positions


def quantized_size(positions: int, channels: int) -> int:
    """Numbers that `keep` makes of an example."""
    if _keeps_gram((positions, channels)):
        return channels * (channels + 1) // 2
    return positions * channels


def quantize(x: jax.Array) -> jax.Array:
    """What `similarity_to_quantized` needs of a layer, as small as it gets.

    Args:
        x: `[positions, channels]`, floating.

    Returns:
        `[quantized_size(positions, channels)]` int8: the upper triangle of the Gram matrix, or the
        activations where they are fewer, up to a factor; 127 times the root of each, with its
        sign, because most of them are far smaller than the largest.
    """
    x = at_least_float32(x)
    if _keeps_gram(x.shape):
        where, _ = _triangle(x.shape[-1])
        x = _gram(x).reshape(-1)[where]
    x = _scaled(x)
    return jnp.rint(127 * jnp.sign(x) * jnp.sqrt(jnp.abs(x))).reshape(-1).astype(jnp.int8)


def _unpacked(kept: jax.Array) -> jax.Array:
    """Up to a factor what `keep` was given, float32."""
    root = kept.astype(jnp.float32) / 127
    return root * jnp.abs(root)


def similarity_to_quantized(x: jax.Array, kept: jax.Array) -> jax.Array:
    """`similarity` to a layer of which only this was kept.

    Args:
        x: `[positions, channels]`, floating.
        kept: From `keep` of the same shape.

    Returns:
        Scalar, float32 at least; within 1e-3 of `similarity`, for the 8 bits of what is kept.
    """
    y = _unpacked(kept)
    if not _keeps_gram(x.shape):
        return similarity(x, y.reshape(x.shape))
    _, place = _triangle(x.shape[-1])
    gram_x, gram_y = _scaled(_gram(at_least_float32(x))), y[place]
    return _cosine(jnp.sum(gram_x * gram_y), gram_x, gram_y)
