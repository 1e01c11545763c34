"""Global pooling, and the dense layer of Kapoor & Kumar before the last."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import models
from serjax.errors import InputError
from serjax.models.common import global_pool
from tests.helpers.networks import assert_close, normal, random_variables

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_only_valid_frames_are_pooled(pooling):
    x = normal(0, 3, 5, 4, 6) - 3  # all negative, so that masked zeros would be the maximum
    lengths = (5, 2, 0)
    mask = np.arange(5) < np.array(lengths)[:, None]
    pooled = np.asarray(global_pool(jnp.asarray(x), jnp.asarray(mask), pooling))
    for row, length in enumerate(lengths[:2]):
        expected = getattr(np, pooling)(x[row, :length], axis=(0, 1))
        np.testing.assert_allclose(pooled[row], expected, rtol=1e-5)
    np.testing.assert_array_equal(pooled[2], 0)
    whole = np.asarray(global_pool(jnp.asarray(x), None, pooling))
    np.testing.assert_allclose(whole, getattr(np, pooling)(x, axis=(1, 2)), rtol=1e-5)


def dense(layer, x):
    return x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"blocks": (1,), "channels": 8}),
        ("squeezenet", {"fires": (((4, 16),),), "dropout_rate": 0.0}),
    ],
)
def test_the_head_is_maximum_dense_and_dense(name, options):
    model = models.create(name, 3, pooling="max", hidden=5, **options)
    x = jnp.asarray(normal(1, 2, 33, 33, 1))
    variables = random_variables(model, x.shape)
    logits, features = model.apply(variables, x)
    last = 1 if name == "resnet18" else 2  # the two parallel convolutions of the fire module
    outputs = [np.asarray(features[each]) for each in list(features)[-last:]]
    pooled = np.concatenate(outputs, axis=-1).max(axis=(1, 2))
    params = variables["params"]
    hidden = np.maximum(dense(params["dense1"], pooled), 0)
    assert hidden.any()
    assert_close(logits, dense(params["head"], hidden))


def test_resnet_statistics_with_mean_pooling_is_mean_dense_and_dense():
    options = {"blocks": (1,), "channels": 4, "hidden": 5}
    model = models.create("resnet34_stats", 3, pooling="mean", **options)
    x = jnp.asarray(normal(1, 2, 24, 16, 1))
    variables = random_variables(model, x.shape)
    logits, features = model.apply(variables, x)
    params, statistics = variables["params"], variables["batch_stats"]["dense1_norm"]
    y = dense(params["dense1"], np.asarray(features[list(features)[-1]]).mean(axis=(1, 2)))
    norm, statistics = jax.tree.map(np.asarray, (params["dense1_norm"], statistics))
    y = (y - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5) * norm["scale"] + norm["bias"]
    y = np.where(y > 0, y, params["dense1_act"]["negative_slope"] * y)
    assert_close(logits, dense(params["head"], y))


def test_resnet_statistics_refuses_other_poolings():
    model = models.create("resnet34_stats", 3, pooling="max", blocks=(1,), channels=4)
    with pytest.raises(InputError, match="unknown pooling 'max'"):
        model.init(jax.random.key(0), jnp.zeros((1, 24, 16, 1)))


def test_unknown_poolings_are_refused():
    with pytest.raises(InputError, match="unknown pooling 'maxi': did you mean 'max'"):
        global_pool(jnp.zeros((1, 2, 2, 1)), None, "maxi")
