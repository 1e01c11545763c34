"""Parameterized hypercomplex multiplication (PHM): products of values with any n components.

A layer's real weight matrix is a sum of Kronecker products, `W = Σ_i A_i ⊗ S_i`. The multiplication
tensor A, n matrices of n x n, defines how components multiply. The kernel S holds the weights, one
n-th of a real layer's. Zhang et al. (2021) learn A together with S; Grassucci et al. (2022) add the
convolution. A fixed A gives the layers of a known algebra. Channels are n equal blocks, one per
component.
"""

from serjax.hypercomplex.initializers import kernel_initializer, multiplication_initializer
from serjax.hypercomplex.linear import block_matrix, conv, conv_transpose, dense
from serjax.hypercomplex.multiplication import (
    COMPLEX_MULTIPLICATION,
    QUATERNION_MULTIPLICATION,
    REAL_MULTIPLICATION,
)

__all__ = [
    "COMPLEX_MULTIPLICATION",
    "QUATERNION_MULTIPLICATION",
    "REAL_MULTIPLICATION",
    "block_matrix",
    "conv",
    "conv_transpose",
    "dense",
    "kernel_initializer",
    "multiplication_initializer",
]
