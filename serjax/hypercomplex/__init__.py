"""Parameterized hypercomplex multiplication: products of numbers of any n components.

A layer's real weight matrix is a sum of Kronecker products, `W = Σ_i A_i ⊗ S_i`: the rule A, n
matrices of n x n, says how components multiply, and the kernel S holds the weights, one n-th of
a real layer's. A learnt rule is Zhang et al., Beyond Fully-Connected Layers with Quaternions,
ICLR 2021; its convolution is Grassucci et al., PHNNs: Lightweight Neural Networks via Parameterized
Hypercomplex Convolutions, IEEE TNNLS 2022. A fixed rule makes the layer one of a known algebra.
Channels are n equal blocks, one per component.
"""

from serjax.hypercomplex.initializers import kernel_initializer, rule_initializer
from serjax.hypercomplex.linear import block_matrix, conv, conv_transpose, dense
from serjax.hypercomplex.multiplication import COMPLEX_RULE, QUATERNION_RULE, REAL_RULE

__all__ = [
    "COMPLEX_RULE",
    "QUATERNION_RULE",
    "REAL_RULE",
    "block_matrix",
    "conv",
    "conv_transpose",
    "dense",
    "kernel_initializer",
    "rule_initializer",
]
