"""Cosine similarity of the Gram matrices of two layers, computed with the smaller matrices.

A layer's Gram matrix over channels is `G = F^T F` of its activations F `[positions, channels]`. The
inner product of two of them is the squared norm of the product over channels,

    <F^T F, H^T H> = |H F^T|^2,

so either side gives the cosine `<G_p, G_t> / (|G_p| |G_t|)`: by `[channels, channels]` matrices
where there are many positions, as in a network's first layers, by `[positions, positions]` matrices
in its last layers. All sums are float32 at least. Gram matrices are divided by their largest entry
before they are squared, so a layer's largest activation may be from 1e-15 to 1e15. A layer whose
activations are all 0 has the cosine 0 with every other.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int8

from serjax.features.arrays import at_least_float32


def _over_channels(shape: tuple[int, ...]) -> bool:
    """Returns True if Gram matrices over channels are the smaller ones."""
    positions, channels = shape
    return channels <= 2 * positions


def _normalize(x: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
    """Divides an array by its largest entry, so that squares neither over- nor underflow.

    The cosine does not depend on a common factor, so the factor is constant in the derivative.
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x)))
    return x / jnp.where(largest > 0, largest, 1)


@jax.custom_vjp
def _gram(x: Float[Array, "positions channels"]) -> Float[Array, "channels channels"]:
    """Computes the Gram matrix `x^T x`."""
    return jnp.matmul(x.T, x, precision="highest")


def _gram_forward(x: Array) -> tuple[Array, Array]:
    return _gram(x), x


def _gram_backward(x: Array, grad_gram: Array) -> tuple[Array]:
    # Automatic differentiation would compute two products, x dG and x dG^T.
    return (jnp.matmul(x, grad_gram + grad_gram.T, precision="highest"),)


_gram.defvjp(_gram_forward, _gram_backward)


def _cosine(
    inner: Float[Array, ""], x: Float[Array, "*axes"], y: Float[Array, "*axes"]
) -> Float[Array, ""]:
    """Computes `inner / (|x| |y|)`, or 0 with a derivative of 0 where the cosine is undefined."""
    squares = jnp.sum(jnp.square(x)) * jnp.sum(jnp.square(y))
    is_defined = squares > 0
    cosine = inner * jax.lax.rsqrt(jnp.where(is_defined, squares, 1))
    return jnp.where(is_defined, cosine, 0)


def similarity(
    x: Float[Array, "positions channels"], y: Float[Array, "positions channels"]
) -> Float[Array, ""]:
    """Computes the cosine of the Gram matrices of two layers of one example.

    Args:
        x: Activations of a layer.
        y: Activations of the other layer.

    Returns:
        Scalar in [0, 1], float32 at least.
    """
    x, y = at_least_float32(x), at_least_float32(y)
    if _over_channels(x.shape):
        # Normalizing the activations would be two more passes over a network's largest arrays.
        gram_x, gram_y = _normalize(_gram(x)), _normalize(_gram(y))
        return _cosine(jnp.sum(gram_x * gram_y), gram_x, gram_y)
    x, y = _normalize(x), _normalize(y)
    cross = jnp.matmul(y, x.T, precision="highest")
    return _cosine(jnp.sum(jnp.square(cross)), _gram(x.T), _gram(y.T))


def _triangle(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Computes indices between a symmetric matrix and its upper triangle, row by row.

    Returns:
        Flat positions of the triangle in the matrix, int32 `[channels (channels + 1) / 2]`, and
        positions of the matrix's entries in the triangle, int32 `[channels, channels]`.
    """
    rows, columns = np.triu_indices(channels)
    index = np.zeros((channels, channels), np.int32)
    index[rows, columns] = index[columns, rows] = np.arange(len(rows))
    return (rows * channels + columns).astype(np.int32), index


def _quantizes_gram(shape: tuple[int, ...]) -> bool:
    """Returns True if half a Gram matrix is smaller than the activations."""
    positions, channels = shape
    return channels + 1 <= 2 * positions


def quantized_size(positions: int, channels: int) -> int:
    """Returns the number of values that `quantize` returns for an example.

    Args:
        positions: Number of positions of the layer.
        channels: Number of channels of the layer.
    """
    if _quantizes_gram((positions, channels)):
        return channels * (channels + 1) // 2
    return positions * channels


def quantize(x: Float[Array, "positions channels"]) -> Int8[Array, " size"]:
    """Compresses a layer to 8-bit values for `similarity_to_quantized`.

    Args:
        x: Activations of the layer.

    Returns:
        int8 `[quantized_size(positions, channels)]`: the upper triangle of the Gram matrix, or the
        activations if they are fewer, divided by the largest. Each value is 127 times the signed
        root, because most values are far smaller than the largest.
    """
    x = at_least_float32(x)
    if _quantizes_gram(x.shape):
        positions, _ = _triangle(x.shape[-1])
        x = _gram(x).reshape(-1)[positions]
    x = _normalize(x)
    return jnp.rint(127 * jnp.sign(x) * jnp.sqrt(jnp.abs(x))).reshape(-1).astype(jnp.int8)


def _dequantize(quantized: Int8[Array, " size"]) -> Float[Array, " size"]:
    """Inverts `quantize` up to rounding and a factor, float32."""
    root = quantized.astype(jnp.float32) / 127
    return root * jnp.abs(root)


def similarity_to_quantized(
    x: Float[Array, "positions channels"], quantized: Int8[Array, " size"]
) -> Float[Array, ""]:
    """Computes `similarity` to a layer that was compressed by `quantize`.

    Args:
        x: Activations of a layer.
        quantized: Result of `quantize` for the other layer, of the same shape.

    Returns:
        Scalar, float32 at least. Quantization changes it by less than 1e-3.
    """
    y = _dequantize(quantized)
    if not _quantizes_gram(x.shape):
        return similarity(x, y.reshape(x.shape))
    _, index = _triangle(x.shape[-1])
    gram_x, gram_y = _normalize(_gram(at_least_float32(x))), y[index]
    return _cosine(jnp.sum(gram_x * gram_y), gram_x, gram_y)
