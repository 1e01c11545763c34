"""Quaternion algebra on arrays whose channels are four equal blocks: r, i, j, k.

A quaternion layer multiplies each input quaternion by a weight quaternion from the left,
`w * x` (Hamilton product), and sums over the inputs.
"""

from serjax.ops.convolution import Padding
from serjax.quaternion.algebra import check_channels, conjugate, hamilton_product, modulus
from serjax.quaternion.initializers import Initializer, polar_initializer
from serjax.quaternion.linear import conv, conv_transpose, dense
from serjax.quaternion.products import block_matrix

__all__ = [
    "Initializer",
    "Padding",
    "block_matrix",
    "check_channels",
    "conjugate",
    "conv",
    "conv_transpose",
    "dense",
    "hamilton_product",
    "modulus",
    "polar_initializer",
]
