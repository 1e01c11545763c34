"""Forward and backward passes of every network in every algebra, at common input sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import models
from serjax.errors import InputError
from tests.helpers.networks import random_variables, variable_shapes

SIZES = [(64, 64), (128, 128), (224, 224), (512, 128)]
# All other networks accept the smallest of these sizes.
SMALLEST = {"inception_v3": 75}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", models.names())
def test_forward_and_backward(name, size, dtype, standard_promotion):
    network = name.partition("_")[2] if name.startswith(("quat_", "phm")) else name
    options = {"embedding": False} if network not in (name, "rhemo") else {}
    channels = 4 if options else 1
    model = models.create(name, 5, dtype=dtype, **options)
    if min(size) < SMALLEST.get(network, 0):
        with pytest.raises(InputError, match=f"at least {SMALLEST[network]} x {SMALLEST[network]}"):
            variable_shapes(model, (2, *size, channels))
        return

    def loss(params, others, x):
        variables = {"params": params, **others}
        (logits, features), updates = model.apply(
            variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
        )
        # Features other than convolutions and the embedding are further results.
        results = [features[n] for n in features if n[:4] != "conv" and n != "embedding"]
        total = sum(jnp.sum(jnp.square(result)) for result in (logits, *results))
        return total, (logits, updates)

    others = random_variables(model, (1, *size, channels))
    params = others.pop("params")
    x = np.abs(np.random.default_rng(1).normal(size=(2, *size, channels))).astype(np.float32)
    # Compilation takes most of the time, and less optimization changes results by rounding only.
    options = {"xla_backend_optimization_level": 0}
    gradient = jax.jit(jax.grad(loss, has_aux=True), compiler_options=options)
    # The checks below run on the host, without compilation.
    gradients, (logits, updates) = jax.device_get(gradient(params, others, jnp.asarray(x)))
    assert logits.shape == (2, 5)
    assert logits.dtype == np.float32
    for leaf in jax.tree.leaves((gradients, logits, updates)):
        assert np.all(np.isfinite(leaf))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(gradients))
