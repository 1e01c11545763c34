import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import models
from serjax.errors import InputError
from tests.helpers.networks import random_variables

CASES = {
    "vgg16": ({"stages": ((4, 4), (8,)), "hidden": 16}, (16, 16, 1), "conv2"),
    "resnet18": ({"blocks": (1, 1), "channels": 4}, (32, 32, 1), "conv3"),
}


@pytest.mark.parametrize("name", CASES)
def test_values_equal_those_of_the_whole_network(name):
    options, shape, layer = CASES[name]
    model = models.create(name, 3, **options)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)), jnp.float32)
    variables = random_variables(model, x.shape)
    extract = models.features_up_to(model, layer)

    _, features = jax.jit(model.apply)(variables, x)
    np.testing.assert_allclose(extract(variables, x), features[layer], rtol=1e-5, atol=1e-6)


def test_the_program_contains_no_later_layer():
    model = models.create("vgg16", 3, stages=((8, 8), (16,)), hidden=16)
    x = jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)

    def two_layers(variables, x):
        for name in ("conv1", "conv2"):
            layer = variables["params"][name]
            order = ("NHWC", "HWIO", "NHWC")
            x = jax.lax.conv_general_dilated(
                x, layer["kernel"], (1, 1), "SAME", dimension_numbers=order
            )
            x = jax.nn.relu(x + layer["bias"][None, None, None])
        return x

    def cost(function):
        compiled = jax.jit(function).lower(variables, x).compile()
        arguments = compiled.memory_analysis().argument_size_in_bytes
        return compiled.cost_analysis()["flops"], arguments

    assert cost(models.features_up_to(model, "conv2")) == cost(two_layers)
    whole = cost(lambda variables, x: model.apply(variables, x)[0])
    assert all(total > partial for total, partial in zip(whole, cost(two_layers), strict=True))


def test_unknown_layers_are_refused():
    options, shape, *_ = CASES["vgg16"]
    model = models.create("vgg16", 3, **options)
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    with pytest.raises(InputError, match="unknown layer 'conv9': did you mean 'conv"):
        jax.eval_shape(models.features_up_to(model, "conv9"), variables, x)
