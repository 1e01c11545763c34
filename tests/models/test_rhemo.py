"""Tests of the RH-emo autoencoder: its shapes, and its outputs against PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import losses, models
from serjax.errors import InputError
from serjax.features import front_ends
from tests.helpers.networks import count, random_variables

DIMENSIONS = ("valence", "arousal", "dominance")


def abstract(name, x_shape=(2, 512, 128, 1), classes=5):
    """A network, the shapes of its variables, and those of (logits, features)."""
    model = models.create(name, classes)
    x = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    return model, variables, jax.eval_shape(model.apply, variables, x)


def small(name="rhemo", rows=32, columns=8, classes=3, **options):
    """A small network with its variables and a jitted call."""
    model = models.create(name, classes, hidden=12, **options)
    x = jax.ShapeDtypeStruct((1, rows, columns, 1), jnp.float32)
    variables = random_variables(model, x.shape)
    return variables, jax.jit(model.apply)


def spectrograms(seed, *shape):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


# --- Published shapes and sizes ------------------------------------------------------------------


def test_the_published_network_has_the_parameters_counted_by_hand():
    _, variables, _ = abstract("rhemo")
    params = variables["params"]
    # 3 x 3 weights and biases of 1 -> 2 -> 4 -> 4 channels; scale and bias of two norms.
    assert count(params["embedding"]) == (9 * 2 + 2) + (9 * 8 + 4) + (9 * 16 + 4) + 4 + 8 == 256
    # One quaternion to one: 9 quaternion weights and a bias; norms with 1 scale and 4 biases.
    assert count(params["decoder"]) == 3 * (9 * 4 + 4) + 2 * (1 + 4) == 130
    hidden = 2 * (4096 * 4096 + 4096)
    assert count(params["discrete"]) == hidden + 4096 * 5 + 5
    for name in DIMENSIONS:
        assert count(params[name]) == hidden + 4096 + 1
    assert count(params) == 134_283_658


def test_shapes_are_the_published_ones():
    _, _, (logits, features) = abstract("rhemo")
    assert logits.shape == (2, 5)
    assert {name: leaf.shape[1:] for name, leaf in features.items()} == {
        "conv1": (512, 128, 2),
        "conv2": (256, 64, 4),
        "conv3": (128, 64, 4),
        "embedding": (64, 64, 4),
        "conv4": (128, 64, 4),
        "conv5": (256, 64, 4),
        "conv6": (512, 128, 4),
        "reconstruction": (512, 128, 1),
        "reconstruction_logits": (512, 128, 1),
        "valence": (),
        "arousal": (),
        "dominance": (),
    }


def test_only_the_encoder_has_the_algebra_of_the_name():
    published = abstract("rhemo")[1]["params"]
    quaternion = abstract("quat_rhemo")[1]["params"]
    # Three layers of one quaternion to one and two quaternion norms, as in the decoder.
    assert count(quaternion["embedding"]) == count(quaternion["decoder"]) == 130
    for name in ("decoder", "discrete", *DIMENSIONS):
        assert jax.tree.map(jnp.shape, quaternion[name]) == jax.tree.map(jnp.shape, published[name])


def test_the_encoder_is_that_of_networks_with_an_encoder():
    own = abstract("rhemo")[1]
    behind = abstract("quat_dscnn")[1]
    for collection in ("params", "batch_stats"):
        assert own[collection]["embedding"] == behind[collection]["embedding"]
    assert models.front_end("rhemo") == models.front_end("quat_rhemo")
    assert models.front_end("rhemo") == front_ends.GUIZZO_QUATERNION


# --- Compared with PyTorch ------------------------------------------------------------------------


@pytest.mark.parametrize("train", [True, False])
def test_the_network_equals_pytorch(train):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    layers = torch.nn.functional
    variables, _ = small(rows=32, columns=8)
    params, stats = variables["params"], variables["batch_stats"]
    x = spectrograms(1, 3, 32, 8, 1)

    def tensor(values):
        return torch.from_numpy(np.array(values))

    def real_norm(y, name):
        p, s = params["embedding"][name], stats["embedding"][name]
        moments = tensor(s["mean"]), tensor(s["var"])
        return layers.batch_norm(y, *moments, tensor(p["scale"]), tensor(p["bias"]), train)

    def quaternion_norm(y, name):
        # One variance for all four components of a quaternion, each with its own mean.
        p, s = params["decoder"][name], stats["decoder"][name]
        mean = y.mean((0, 2, 3)) if train else tensor(s["mean"])
        y = y - mean[:, None, None]
        var = (y**2).sum(1).mean() if train else tensor(s["var"])
        return y * (tensor(p["scale"]) / torch.sqrt(var + 1e-5)) + tensor(p["bias"])[:, None, None]

    def hamilton(kernel):
        # Kernel [4, 3, 3, 1, 1] as the real matrix [3, 3, inputs, outputs] of w -> k w.
        a, b, c, d = np.asarray(kernel)[:, :, :, 0, 0]
        rows = [[a, -b, -c, -d], [b, a, -d, c], [c, d, a, -b], [d, -c, b, a]]
        return np.array(rows).transpose(2, 3, 1, 0)

    y = tensor(x.transpose(0, 3, 1, 2))
    for index, pool in enumerate([(2, 2), (2, 1), (2, 1)], start=1):
        p = params["embedding"][f"conv{index}"]
        weight = tensor(np.asarray(p["kernel"]).transpose(3, 2, 0, 1))
        y = layers.max_pool2d(
            layers.relu(layers.conv2d(y, weight, tensor(p["bias"]), padding=1)), pool
        )
        if index < 3:
            y = real_norm(y, f"norm{index}")
    embedding = y
    for index, strides in enumerate([(2, 1), (2, 1), (2, 2)], start=1):
        p = params["decoder"][f"conv{index}"]
        # PyTorch's transposed convolution turns the window around.
        weight = tensor(hamilton(p["kernel"])[::-1, ::-1].transpose(2, 3, 0, 1).copy())
        after = tuple(stride - 1 for stride in strides)
        y = layers.conv_transpose2d(y, weight, tensor(p["bias"]), strides, 1, after)
        if index < 3:
            y = quaternion_norm(layers.relu(y), f"norm{index}")
    reconstruction = torch.sigmoid(y).mean(1)

    def head(component, name):
        z = embedding[:, component].flatten(1)
        for layer in ("dense1", "dense2", "head"):
            p = params[name][layer]
            z = layers.linear(z, tensor(p["kernel"]).T, tensor(p["bias"]))
            z = z if layer == "head" else layers.relu(z)
        return z.numpy()

    model = models.create("rhemo", 3, hidden=12)
    run = jax.jit(lambda v, x: model.apply(v, x, train=train, mutable=["batch_stats"])[0])
    logits, features = run(variables, jnp.asarray(x))
    np.testing.assert_allclose(
        features["embedding"], embedding.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        features["reconstruction"][..., 0], reconstruction, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(logits, head(0, "discrete"), rtol=1e-4, atol=1e-5)
    for component, name in enumerate(DIMENSIONS, start=1):
        np.testing.assert_allclose(
            features[name], head(component, name)[:, 0], rtol=1e-4, atol=1e-5
        )


# --- What the network computes -------------------------------------------------------------------


def test_a_quaternion_encoder_has_the_spectrogram_as_real_part():
    # Of k (x + 0 i + 0 j + 0 k) every component is x times that of k: four real convolutions.
    variables, apply = small("quat_rhemo")
    x = spectrograms(1, 2, 32, 8, 1)
    _, features = apply(variables, jnp.asarray(x))
    layer = variables["params"]["embedding"]["conv1"]
    padded = np.pad(x[..., 0], ((0, 0), (1, 1), (1, 1))).astype(np.float64)
    for component in range(4):
        kernel = np.asarray(layer["kernel"], np.float64)[component, :, :, 0, 0]
        expected = sum(
            kernel[i, j] * padded[:, i : i + 32, j : j + 8] for i in range(3) for j in range(3)
        )
        expected = np.maximum(expected + np.asarray(layer["bias"])[component], 0)
        np.testing.assert_allclose(features["conv1"][..., component], expected, atol=1e-5)


def test_each_classifier_reads_one_component():
    variables, apply = small()
    embedded = apply(variables, jnp.asarray(spectrograms(1, 2, 32, 8, 1)))[1]["embedding"]
    assert embedded.shape == (2, 4, 4, 4)
    # A channel of the encoder's last convolution that is shut leaves a classifier its biases.
    for shut, changed in enumerate(("discrete", *DIMENSIONS)):
        last = dict(variables["params"]["embedding"]["conv3"])
        last["kernel"] = last["kernel"].at[..., shut].set(0)
        last["bias"] = last["bias"].at[shut].set(-1)
        embedding = {**variables["params"]["embedding"], "conv3": last}
        changed_params = {**variables["params"], "embedding": embedding}
        results = []
        for params in (variables["params"], changed_params):
            logits, features = apply(
                {**variables, "params": params}, jnp.asarray(spectrograms(1, 2, 32, 8, 1))
            )
            results.append({"discrete": logits, **{name: features[name] for name in DIMENSIONS}})
        differing = {n for n in results[0] if not np.array_equal(results[0][n], results[1][n])}
        assert differing == {changed}


def test_the_log_odds_are_those_of_the_reconstruction():
    variables, apply = small()
    _, features = apply(variables, jnp.asarray(spectrograms(1, 2, 32, 8, 1)))
    p = np.asarray(features["reconstruction"], np.float64)
    np.testing.assert_allclose(p[..., 0], np.asarray(features["conv6"], np.float64).mean(-1), 1e-6)
    np.testing.assert_allclose(features["reconstruction_logits"], np.log(p / (1 - p)), atol=1e-5)


def test_the_loss_of_a_reconstruction_that_rounds_to_0_or_1_is_exact():
    variables, _ = small()
    model = models.create("rhemo", 3, hidden=12)
    x = jnp.full((1, 32, 8, 1), 0.25, jnp.float32)

    @jax.jit
    @jax.value_and_grad
    def loss(bias):
        # The last layer is only its bias, so all four channels are equal.
        last = variables["params"]["decoder"]["conv3"]
        last = {"kernel": jnp.zeros_like(last["kernel"]), "bias": bias}
        decoder = {**variables["params"]["decoder"], "conv3": last}
        params = {**variables["params"], "decoder": decoder}
        _, features = model.apply({**variables, "params": params}, x)
        return losses.binary_cross_entropy(features["reconstruction_logits"], x)[0]

    # log p or log (1 - p) is -size to rounding; by the log-odds the gradient is sigmoid - target,
    # of which each channel has a quarter.
    for size in (1e3, 3e4):
        for sign, weight in ((1, 0.75), (-1, 0.25)):
            value, gradient = loss(jnp.full(4, sign * size, jnp.float32))
            assert value == pytest.approx(size * weight, rel=1e-5)
            np.testing.assert_allclose(gradient, sign * weight / 4, rtol=1e-4)


@pytest.mark.usefixtures("standard_promotion")
def test_both_stages_of_training_lower_their_losses():
    import optax

    model = models.create("rhemo", 3, hidden=12)
    variables, _ = small()
    x = jnp.asarray(spectrograms(1, 4, 32, 8, 1))
    labels, targets = jnp.array([0, 1, 2, 1]), jnp.asarray(spectrograms(2, 4, 3).round())
    optimizer = optax.adam(1e-2)

    def terms(params):
        (logits, features), _ = model.apply(
            {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
        )
        dimensions = jnp.stack([features[name] for name in DIMENSIONS], axis=-1)
        return {
            "reconstruction": losses.binary_cross_entropy(features["reconstruction_logits"], x),
            "emotion": losses.emotion_loss(logits, dimensions, labels, targets),
        }

    @jax.jit
    def step(params, state):
        def loss(params):
            each = terms(params)
            return sum(value.mean() for value in each.values()), each

        gradients, each = jax.grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, each

    params, history = variables["params"], []
    state = optimizer.init(params)
    for _ in range(30):
        params, state, each = step(params, state)
        history.append({name: float(value.mean()) for name, value in each.items()})
    for name in ("reconstruction", "emotion"):
        assert history[-1][name] < 0.98 * history[0][name]


@pytest.mark.parametrize("shape", [(1, 30, 8, 1), (1, 32, 7, 1), (1, 32, 8, 4), (32, 8, 1)])
def test_a_size_that_the_decoder_cannot_restore_is_an_error(shape):
    model = models.create("rhemo", 3, hidden=12)
    message = "RHEmo, input: expected .*multiple of 8 .*bins of 2, found"
    with pytest.raises(InputError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
