"""Random arrays and Hypothesis strategies shared by test modules."""

import numpy as np
from hypothesis import strategies as st


def normal(seed: int, *shape: int) -> np.ndarray:
    """Samples a float64 array of standard normal values."""
    return np.random.default_rng(seed).normal(size=shape)


@st.composite
def convolutions(draw, components, ranks=(1, 2, 3), transposed=False):
    """Generates input, kernel and options of a convolution with at least one output position.

    Args:
        draw: Hypothesis' draw function.
        components: Number of components of a hypercomplex value.
        ranks: Numbers of spatial axes to choose from.
        transposed: True for options of a transposed convolution.
    """
    rank = draw(st.sampled_from(ranks))

    def per_axis(values):
        return tuple(draw(values) for _ in range(rank))

    kernel_size = per_axis(st.integers(1, 3 if rank < 3 else 2))
    strides = per_axis(st.integers(1, 3))
    dilation = (1,) * rank if transposed else per_axis(st.integers(1, 2))
    groups = 1 if transposed else draw(st.sampled_from((1, 1, 2, 3)))
    space = tuple(
        (k - 1) * d + draw(st.integers(1, 4 if rank < 3 else 2))
        for k, d in zip(kernel_size, dilation, strict=True)
    )
    pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))
    padding = draw(
        st.one_of(st.sampled_from(("SAME", "VALID", "same")), st.integers(0, 2))
        if draw(st.booleans())
        else st.tuples(*[pairs] * rank)
    )
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    seed = draw(st.integers(0, 2**31))
    x = normal(seed, draw(st.integers(1, 2)), *space, components * inputs)
    kernel = normal(seed + 1, components, *kernel_size, inputs // groups, outputs)
    options = {"strides": strides, "padding": padding}
    return x, kernel, options if transposed else {**options, "dilation": dilation, "groups": groups}
