"""Multiplication tensors of the known algebras.

A multiplication tensor A is `[n, n, n]`. Entry `[i, a, b]` is component a of the product of unit i,
from the weight, and unit b, from the input. `W = Σ_i A_i ⊗ S_i` is the real matrix of the product
(Zhang et al., 2021).
"""

import numpy as np

REAL_MULTIPLICATION = np.ones([1, 1, 1], np.float32)

# From i² = -1.
COMPLEX_MULTIPLICATION = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]]], np.float32)

# From i² = j² = k² = ijk = -1.
QUATERNION_MULTIPLICATION = np.array(
    [
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]],
        [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]],
        [[0, 0, 0, -1], [0, 0, -1, 0], [0, 1, 0, 0], [1, 0, 0, 0]],
    ],
    np.float32,
)
