"""Rules of the known algebras, as data.

A rule is `[n, n, n]`: entry `[i, a, b]` is the part of component a in the product of unit i, from
the weight, with unit b, from the input. `W = Σ_i A_i ⊗ S_i` is the real matrix of the product
(Zhang et al. 2021).
"""

import numpy as np

REAL_RULE = np.ones([1, 1, 1], np.float32)

# From i² = -1.
COMPLEX_RULE = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]]], np.float32)

# From i² = j² = k² = ijk = -1.
QUATERNION_RULE = np.array(
    [
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]],
        [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]],
        [[0, 0, 0, -1], [0, 0, -1, 0], [0, 1, 0, 0], [1, 0, 0, 0]],
    ],
    np.float32,
)
