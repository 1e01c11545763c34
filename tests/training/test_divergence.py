"""Values that are not finite."""

import jax.numpy as jnp
import numpy as np
import pytest

from serjax.training.optimization.divergence import DivergedError, check_finite


def test_finite_values_pass():
    check_finite({}, "nothing")
    check_finite(1.0, "a number")
    check_finite({"a": np.array([1, 2]), "b": [jnp.bfloat16(3e38), True, np.float64(1e300)]}, "all")
    check_finite(np.full(10, np.finfo(np.float32).max), "large values, whose sum is not finite")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, jnp.bfloat16])
def test_others_are_named(value, dtype):
    array = np.ones((2, 3)).astype(dtype)
    array[1, 2] = value
    with pytest.raises(DivergedError, match=f"found {value} in params/head of the state; likely"):
        check_finite({"params": {"conv": np.ones(3), "head": array}}, "the state")
    with pytest.raises(DivergedError, match=f"found {value} in the predictions; likely cause"):
        check_finite(array, "the predictions")
