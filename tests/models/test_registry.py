"""Registration of a user's own networks."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import models
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.layers import REAL, Algebra


@pytest.fixture(autouse=True)
def restore_registry():
    """Removes the models that a test registers."""
    before = set(models.names())
    yield
    for name in models.names():
        # Variants disappear with their network.
        if name not in before and name in models.names():
            models.unregister(name)
    assert set(models.names()) == before


class MeanNet(nn.Module):
    """User's network: mean over positions, and a dense layer."""

    num_classes: int
    hidden: int = 8
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, x, *, train=False, mask=None):
        features = {"dense1": nn.relu(nn.Dense(self.hidden)(x.mean(axis=(1, 2))))}
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(features["dense1"])
        return nn.Dense(self.num_classes)(x), features


class AlgebraNet(nn.Module):
    """User's network over any algebra."""

    num_classes: int
    algebra: Algebra = REAL
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, *, train=False, mask=None):
        x = nn.relu(self.algebra.conv(8, 3, strides=2, padding=1, dtype=self.dtype)(x))
        return REAL.dense(self.num_classes)(x.mean(axis=(1, 2))), {"conv1": x}


def test_a_network_needs_only_a_name():
    before = models.names()
    assert models.register("mean_net")(MeanNet) is MeanNet
    assert models.names() == (*before, "mean_net")
    model = models.create("mean_net", 5, hidden=4)
    assert model == MeanNet(5, hidden=4)
    assert models.front_end("mean_net") == front_ends.DEEPIKA
    defaults = models.training_defaults("mean_net")
    assert defaults.learning_rate > 0
    assert min(defaults.batch_size, defaults.epochs, defaults.bundled_epochs) >= 1
    assert defaults.model_options == {}


def test_a_decorator_takes_all_settings():
    @models.register(
        "small-net",
        front_end="tiwari",
        learning_rate=0.01,
        batch_size=8,
        epochs=12,
        bundled_epochs=3,
        paper="Nobody (2026)",
        options={"hidden": 6},
        model_options={"dropout_rate": 0.5},
    )
    class SmallNet(MeanNet):
        pass

    assert models.create("small-net", 3) == SmallNet(3, hidden=6)
    assert models.front_end("small-net") == front_ends.TIWARI
    assert dataclasses.astuple(models.training_defaults("small-net")) == (
        *(0.01, 8, 12, 3),
        {"dropout_rate": 0.5},
    )
    info = models.describe("small-net", 3)
    assert info.paper == "Nobody (2026)"
    assert info.parameters == 1 * 6 + 6 + 6 * 3 + 3
    assert info.input_shape == (256, 128, 1)
    assert info.operations > 0


def test_a_front_end_may_be_the_users():
    front_end = dataclasses.replace(front_ends.DEEPIKA, bins=40, image_size=(64, 40))
    models.register("mean_net", front_end=front_end)(MeanNet)
    assert models.front_end("mean_net") == front_end


def test_a_network_with_an_algebra_has_variants():
    models.register("algebra_net")(AlgebraNet)
    prefixes = ("", "quat_", "phm2_", "phm4_")
    assert models.names()[-4:] == tuple(f"{prefix}algebra_net" for prefix in prefixes)
    assert models.front_end("quat_algebra_net") == front_ends.GUIZZO_QUATERNION
    model = models.create("quat_algebra_net", 3)
    assert isinstance(model, models.Embedded)
    logits, variables = jax.eval_shape(
        model.init_with_output, jax.random.key(0), jnp.zeros((2, 64, 16, 1))
    )
    assert logits[0].shape == (2, 3)
    assert set(logits[1]) == {"embedding", "conv1"}
    assert variables["params"]["classifier"]["QuaternionConv_0"]["kernel"].shape[0] == 4
    assert models.create("phm2_algebra_net", 3, embedding=False).algebra.name == "phm2"


def test_a_registered_network_trains(standard_promotion):
    models.register("mean_net")(MeanNet)
    model = models.create("mean_net", 3, dropout_rate=0.5)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 8, 1)), jnp.float32)
    variables = model.init(jax.random.key(0), x)

    def loss(params):
        logits, _ = model.apply(
            {"params": params}, x, train=True, rngs={"dropout": jax.random.key(1)}
        )
        return jnp.sum(jnp.square(logits))

    assert any(jnp.any(leaf != 0) for leaf in jax.tree.leaves(jax.grad(loss)(variables["params"])))


def test_a_removed_network_can_be_registered_again():
    models.register("algebra_net")(AlgebraNet)
    models.unregister("algebra_net")
    assert not any(name.endswith("algebra_net") for name in models.names())
    models.register("algebra_net")(MeanNet)
    assert models.names()[-1] == "algebra_net"


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mean_net", "vgg16", "quat_vgg16"])
def test_a_name_is_registered_once(name):
    models.register("mean_net")(MeanNet)
    with pytest.raises(InputError, match=f"model '{name}': expected a new name, found a regist"):
        models.register(name)(MeanNet)


def test_a_variant_may_not_take_the_name_of_another_network():
    models.register("quat_net")(MeanNet)
    with pytest.raises(InputError, match="model 'quat_net': expected a new name"):
        models.register("net")(AlgebraNet)
    assert "net" not in models.names()


class WithoutClasses(nn.Module):
    hidden: int = 3


class WithoutDefault(nn.Module):
    num_classes: int
    hidden: int


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (dict, "expected a subclass of flax.linen.Module, found dict"),
        (MeanNet(3), "expected a subclass of flax.linen.Module, found MeanNet"),
        (WithoutClasses, "expected a field num_classes, found the fields hidden of WithoutClasses"),
        (WithoutDefault, "expected a default for each field, found none for hidden"),
    ],
)
def test_classes_that_are_no_networks_are_refused(network, message):
    with pytest.raises(InputError, match=f"model 'net': {message}"):
        models.register("net")(network)
    assert "net" not in models.names()


def test_an_option_without_default_may_be_set_at_registration():
    models.register("net", options={"hidden": 3})(WithoutDefault)
    assert "net" in models.names()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("", {}, 'model name: expected letters, digits, "_" and "-", found \'\''),
        ("my net", {}, "model name: .*found 'my net'"),
        ("../net", {}, "model name: .*found '../net'"),
        ("net", {"front_end": "deepica"}, "unknown front end 'deepica': did you mean 'deepika'"),
        ("net", {"learning_rate": 0.0}, "model 'net', learning_rate: expected above 0, found 0.0"),
        ("net", {"batch_size": 0}, "model 'net', batch_size: expected above 0, found 0"),
        ("net", {"epochs": -1}, "model 'net', epochs: expected above 0, found -1"),
        ("net", {"options": {"hiden": 3}}, "unknown option of net 'hiden': did you mean 'hidden'"),
        ("net", {"model_options": {"rate": 3}}, "unknown option of net 'rate'"),
    ],
)
def test_invalid_settings_are_refused(name, settings, message):
    with pytest.raises(InputError, match=message):
        models.register(name, **settings)(MeanNet)
    assert name not in models.names()


def returns(outputs):
    """Makes a network that returns other outputs."""

    class Net(nn.Module):
        num_classes: int

        @nn.compact
        def __call__(self, x, *, train=False, mask=None):
            return outputs(nn.Dense(self.num_classes)(x.mean(axis=(1, 2))))

    return Net


class OnlyInput(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.num_classes)(x.mean(axis=(1, 2))), {}


PAIR = r"expected apply to return \(logits, features\), features a dictionary, found"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (returns(lambda y: y), rf"{PAIR} an array of shape \(2, 3\)"),
        (returns(lambda y: (y, y)), rf"{PAIR} \(an array of .*, an array of shape \(2, 3\)\)"),
        (returns(lambda y: (y, {}, y)), rf"{PAIR} \(an array of shape \(2, 3\), dict, an array"),
        (returns(lambda y: ({}, {})), r"expected logits of shape \(2, 3\), found dict"),
        (
            returns(lambda y: (y[:, :1], {})),
            r"expected logits of shape \(2, 3\), found an array of shape \(2, 1\)",
        ),
        (OnlyInput, r"cannot be applied to an input of shape \(2, 128, 128, 1\) with train and"),
    ],
)
def test_networks_without_logits_and_features_are_refused(network, message):
    models.register("net")(network)
    with pytest.raises(InputError, match=f"model 'net': {message}"):
        models.create("net", 4)


def test_unknown_names_are_refused():
    models.register("mean_net")(MeanNet)
    with pytest.raises(InputError, match="unknown model 'mean_nett': did you mean 'mean_net'"):
        models.create("mean_nett", 4)
    with pytest.raises(InputError, match="unknown model 'mean_nett': did you mean 'mean_net'"):
        models.unregister("mean_nett")
    with pytest.raises(InputError, match="unknown option of mean_net 'hiden'"):
        models.create("mean_net", 4, hiden=3)
    with pytest.raises(InputError, match="hidden of mean_net: expected a whole number, found 'x'"):
        models.create("mean_net", 4, hidden="x")
