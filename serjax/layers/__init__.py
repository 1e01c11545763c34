"""Flax layers of each algebra behind one interface, and pooling.

`REAL` and `QUATERNION` hold the same four kinds of layer, so that an architecture is written once
and receives its algebra as a field.
"""

from serjax.layers.algebra import HEAD_INIT, QUATERNION, REAL, Algebra
from serjax.layers.batch_norm import QuaternionBatchNorm
from serjax.layers.pooling import (
    StatisticsPooling,
    adaptive_average_pool,
    average_pool,
    max_pool,
)
from serjax.layers.quaternion import QuaternionConv, QuaternionConvTranspose, QuaternionDense
from serjax.layers.shifted_conv import shifted_conv

__all__ = [
    "HEAD_INIT",
    "QUATERNION",
    "REAL",
    "Algebra",
    "QuaternionBatchNorm",
    "QuaternionConv",
    "QuaternionConvTranspose",
    "QuaternionDense",
    "StatisticsPooling",
    "adaptive_average_pool",
    "average_pool",
    "max_pool",
    "shifted_conv",
]
