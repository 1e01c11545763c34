"""Flax layers of each algebra behind one interface, and pooling.

`REAL`, `QUATERNION` and `phm(n)` hold the same four kinds of layers, so an architecture is written
once and receives its algebra as a field.
"""

from serjax.layers.algebra import HEAD_INIT, QUATERNION, REAL, Algebra, phm
from serjax.layers.batch_norm import HypercomplexBatchNorm, QuaternionBatchNorm
from serjax.layers.hypercomplex import PHMConv, PHMConvTranspose, PHMDense
from serjax.layers.pooling import StatisticsPooling, adaptive_average_pool, average_pool, max_pool
from serjax.layers.quaternion import QuaternionConv, QuaternionConvTranspose, QuaternionDense
from serjax.layers.shifted_conv import shifted_conv
from serjax.layers.whitening import WhiteningBatchNorm

__all__ = [
    "HEAD_INIT",
    "QUATERNION",
    "REAL",
    "Algebra",
    "HypercomplexBatchNorm",
    "PHMConv",
    "PHMConvTranspose",
    "PHMDense",
    "QuaternionBatchNorm",
    "QuaternionConv",
    "QuaternionConvTranspose",
    "QuaternionDense",
    "StatisticsPooling",
    "WhiteningBatchNorm",
    "adaptive_average_pool",
    "average_pool",
    "max_pool",
    "phm",
    "shifted_conv",
]
