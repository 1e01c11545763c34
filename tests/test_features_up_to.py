import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import models
from serjax.errors import InputError

CASES = {
    "vgg16": ({"stages": ((4, 4), (8,)), "hidden": 16}, (16, 16, 1), "conv2"),
    "resnet18": ({"blocks": (1, 1), "channels": 4}, (32, 32, 1), "conv3"),
}


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_whole_network(name):
    options, shape, layer = CASES[name]
    model = models.create(name, 3, **options)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)), jnp.float32)
    variables = model.init(jax.random.key(0), x)
    up_to = models.features_up_to(model, layer)

    _, features = model.apply(variables, x)
    np.testing.assert_allclose(up_to(variables, x), features[layer], rtol=1e-5, atol=1e-6)


def test_nothing_past_the_layer_is_in_the_program():
    options, shape, layer = CASES["vgg16"]
    model = models.create("vgg16", 3, **options)
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)

    def operations(function):
        return jax.jit(function).lower(variables, x).cost_analysis()["flops"]

    # Two multiply-adds of 3 x 3 windows on 16 x 16, padding's zeros not counted; biases, ReLUs.
    seen = (3 * 16 - 2) ** 2
    by_hand = 2 * seen * (1 * 4 + 4 * 4) + 2 * 2 * 16 * 16 * 4
    assert operations(models.features_up_to(model, layer)) == pytest.approx(by_hand, rel=0.05)
    assert operations(lambda variables, x: model.apply(variables, x)[0]) > 1.2 * by_hand


def test_an_unknown_layer_is_told():
    options, shape, *_ = CASES["vgg16"]
    model = models.create("vgg16", 3, **options)
    x = jnp.zeros((1, *shape))
    variables = model.init(jax.random.key(0), x)
    with pytest.raises(InputError, match="unknown layer 'conv9': did you mean 'conv"):
        models.features_up_to(model, "conv9")(variables, x)
