"""Agreement with public PyTorch layers, whose outputs are in tests/golden (see its README)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import hypercomplex, losses, models, quaternion
from serjax.layers import QuaternionBatchNorm

GOLDEN = Path(__file__).parent / "golden"


def wave(seed: int, *shape: int) -> np.ndarray:
    index = np.arange(np.prod(shape, dtype=int), dtype=np.float64)
    return np.sin(index**2 / 10 + seed).reshape(shape)


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def assert_golden(function, x, file, name):
    """Output and input gradient of `function` at PyTorch's `x` against those kept under a name."""
    golden = np.load(GOLDEN / file)
    expected, gradient = golden[name], golden[f"{name}_input_gradient"]
    weights = jnp.asarray(channels_last(wave(9, *expected.shape)))
    x = jnp.asarray(channels_last(x))
    found = function(x)
    np.testing.assert_allclose(found, channels_last(expected), rtol=0, atol=1e-12)
    found = jax.grad(lambda x: jnp.sum(weights * function(x)))(x)
    np.testing.assert_allclose(found, channels_last(gradient), rtol=0, atol=1e-12)


pytestmark = pytest.mark.usefixtures("float64")


def quaternion_weights(*shape: int) -> np.ndarray:
    return np.stack([wave(seed, *shape) for seed in (1, 2, 3, 4)])


@pytest.mark.parametrize("form", ["block", "eight"])
@pytest.mark.parametrize("name", ["QuaternionLinear", "QuaternionLinearAutograd"])
def test_quaternion_dense(name, form):
    kernel, bias = jnp.asarray(quaternion_weights(2, 3)), jnp.asarray(wave(5, 12))
    assert_golden(
        lambda x: quaternion.dense(x, kernel, bias, form=form), wave(0, 5, 8), "orkis.npz", name
    )


# Name, shapes of the input and of one component of the weight in PyTorch's order, options.
CONVOLUTIONS = [
    ("QuaternionConv_1d", (2, 8, 7), (3, 2, 3), {"strides": 2, "padding": 1}),
    (
        "QuaternionConv_2d",
        (2, 8, 7, 6),
        (3, 2, 3, 2),
        {"strides": (2, 1), "padding": (1, 0), "dilation": (1, 2)},
    ),
    ("QuaternionConv_3d", (1, 8, 4, 3, 3), (1, 2, 2, 2, 2), {"padding": 0}),
]


@pytest.mark.parametrize("form", ["block", "eight"])
@pytest.mark.parametrize(("name", "x_shape", "w_shape", "options"), CONVOLUTIONS)
def test_quaternion_conv(name, x_shape, w_shape, options, form):
    # [4, outputs, inputs, *window] to [4, *window, inputs, outputs].
    kernel = np.moveaxis(quaternion_weights(*w_shape), (1, 2), (-1, -2))
    bias = jnp.asarray(wave(5, 4 * w_shape[0]))
    assert_golden(
        lambda x: quaternion.conv(x, jnp.asarray(kernel), bias, form=form, **options),
        wave(0, *x_shape),
        "orkis.npz",
        name,
    )


@pytest.mark.parametrize("form", ["block", "eight"])
def test_quaternion_conv_transpose(form):
    # [4, inputs, outputs, rows, columns], conjugate and reversed.
    kernel = np.moveaxis(quaternion_weights(2, 3, 3, 3), (1, 2), (-2, -1))[:, ::-1, ::-1]
    kernel = kernel * np.array([1, -1, -1, -1]).reshape(4, 1, 1, 1, 1)
    # PyTorch's padding of 1 takes from the 2 that a window of 3 reaches over; its output padding
    # of (1, 0) adds at the end.
    padding, bias = ((1, 2), (1, 1)), jnp.asarray(wave(5, 12))
    assert_golden(
        lambda x: quaternion.conv_transpose(
            x, jnp.asarray(kernel), bias, strides=(2, 1), padding=padding, form=form
        ),
        wave(0, 2, 8, 3, 4),
        "orkis.npz",
        "QuaternionTransposeConv_2d",
    )


@pytest.mark.parametrize("n", [1, 3, 4])
def test_hypercomplex_dense(n):
    rule, bias = jnp.asarray(wave(1, n, n, n)), jnp.asarray(wave(3, 3 * n))
    kernel = jnp.asarray(wave(2, n, 3, 2).transpose(0, 2, 1))
    assert_golden(
        lambda x: hypercomplex.dense(x, rule, kernel, bias),
        wave(0, 5, 2 * n),
        "hypernets.npz",
        f"PHMLinear_{n}",
    )


@pytest.mark.parametrize(
    ("name", "n", "space", "window", "options"),
    [
        ("PHConv1D_3", 3, (8,), (3,), {"padding": 2, "dilation": 2}),
        *((f"PHConv2d_{n}", n, (5, 6), (3, 3), {"padding": 1, "strides": 2}) for n in (1, 3, 4)),
        ("PHConv3D_3", 3, (3, 3, 2), (2, 2, 2), {"padding": 0}),
    ],
)
def test_hypercomplex_conv(name, n, space, window, options):
    rule = jnp.asarray(wave(1, n, n, n))
    kernel = jnp.asarray(np.moveaxis(wave(2, n, 3, 2, *window), (1, 2), (-1, -2)))
    batch = 1 if len(space) == 3 else 2
    assert_golden(
        lambda x: hypercomplex.conv(x, rule, kernel, **options),
        wave(0, batch, 2 * n, *space),
        "hypernets.npz",
        name,
    )


def test_quaternion_batch_norm():
    layer = QuaternionBatchNorm(param_dtype=jnp.float64)
    params = {"scale": jnp.asarray(wave(1, 1)), "bias": jnp.asarray(wave(2, 4))}
    start = {"mean": jnp.zeros(4, jnp.float32), "var": jnp.ones(1, jnp.float32)}
    stats = {}

    def train(x):
        variables = {"params": params, "batch_stats": start}
        y, updates = layer.apply(variables, x, False, mutable=["batch_stats"])
        stats.update(updates["batch_stats"])
        return y

    x = 2 * wave(0, 3, 4, 5, 2) + 1
    train(jnp.asarray(channels_last(x)))
    golden = np.load(GOLDEN / "qgan.npz")
    # Running statistics are float32 here.
    np.testing.assert_allclose(stats["mean"], golden["moving_mean"], rtol=1e-6)
    np.testing.assert_allclose(stats["var"], golden["moving_var"], rtol=1e-6)
    x_eval = jnp.asarray(channels_last(wave(3, 3, 4, 5, 2)))
    y = layer.apply({"params": params, "batch_stats": dict(stats)}, x_eval, True)
    np.testing.assert_allclose(y, channels_last(golden["eval"]), rtol=0, atol=1e-6)
    assert_golden(train, x, "qgan.npz", "train")


# --- RH-emo --------------------------------------------------------------------------------------

# Its parameters in the order of their seeds, as serjax names them.
_HEADS = ("discrete", "valence", "arousal", "dominance")
RHEMO = [
    *(f"embedding conv{i} {leaf}" for i in (1, 2, 3) for leaf in ("kernel", "bias")),
    *(f"embedding norm{i} {leaf}" for i in (1, 2) for leaf in ("scale", "bias")),
    *(f"decoder conv{i} {leaf}" for i in (1, 2, 3) for leaf in ("r", "i", "j", "k", "bias")),
    *(f"decoder norm{i} {leaf}" for i in (1, 2) for leaf in ("scale", "bias")),
    *(
        f"{head} {layer} {leaf}"
        for head in _HEADS
        for layer in ("dense1", "dense2", "head")
        for leaf in ("kernel", "bias")
    ),
]


def rhemo_kernels(components):
    """The kernel of a transposed convolution of quaternions from PyTorch's four."""
    kernel = np.moveaxis(np.stack(components), (1, 2), (-2, -1))[:, ::-1, ::-1]
    return kernel * np.array([1, -1, -1, -1]).reshape(4, 1, 1, 1, 1)


def rhemo_params(abstract):
    """Each parameter is `wave(seed) / 2` in PyTorch's layout, a scale 1 more."""
    params = {}
    components = []
    for seed, name in enumerate(RHEMO, start=1):
        module, layer, leaf = name.split()
        place = params.setdefault(module, {}).setdefault(layer, {})
        expected = abstract[module][layer]
        if leaf in "rijk":
            components.append(wave(seed, 1, 1, 3, 3) / 2)
            if leaf == "k":
                place["kernel"] = jnp.asarray(rhemo_kernels(components))
                components = []
            continue
        value = wave(seed, *expected[leaf].shape[::-1]) / 2
        if leaf == "kernel" and layer.startswith("conv"):
            rows, columns, inputs, outputs = expected[leaf].shape
            value = wave(seed, outputs, inputs, rows, columns).transpose(2, 3, 1, 0) / 2
        elif leaf == "kernel":
            value = value.T
        place[leaf] = jnp.asarray(value + (leaf == "scale"))
    return params


@pytest.fixture(scope="module")
def rhemo(standard_promotion):
    """Golden values, the network, its parameters, and the start of its statistics."""
    with jax.enable_x64(True):
        model = models.create("rhemo", 5, hidden=8, dtype=jnp.float64, param_dtype=jnp.float64)
        shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 8, 1)))
        stats = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes["batch_stats"])
        for norms in stats.values():
            for norm in norms.values():
                norm["var"] += 1
        return np.load(GOLDEN / "rhemo.npz"), model, rhemo_params(shapes["params"]), stats


def spectrograms(seed):
    return jnp.asarray((wave(seed, 3, 1, 32, 8) + 1) / 2).transpose(0, 2, 3, 1)


def assert_rhemo(golden, logits, features, prefix="", tolerance=1e-12):
    dimensions = [jax.nn.sigmoid(features[name]) for name in _HEADS[1:]]
    found = dict(zip(_HEADS, (logits, *dimensions), strict=True))
    found["decoded"] = jnp.moveaxis(features["conv6"], -1, 1)
    for name, value in found.items():
        # Logits are float32, whatever is computed with.
        bound = tolerance if name == "decoded" else 3e-7
        np.testing.assert_allclose(value, golden[prefix + name], atol=bound, rtol=bound)


def test_rhemo_in_training(rhemo):
    golden, model, params, stats = rhemo
    x, target = spectrograms(0), spectrograms(0)

    def loss(params, x):
        (logits, features), updates = model.apply(
            {"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"]
        )
        labels, truth = jnp.array([0, 3, 4]), jnp.array([[1, 0, 1], [0, 0, 1], [1, 1, 0]])
        dimensions = jnp.stack([features[name] for name in _HEADS[1:]], axis=-1)
        each = losses.binary_cross_entropy(
            features["reconstruction_logits"], target
        ) + losses.emotion_loss(logits, dimensions, labels, truth.astype(jnp.float64))
        return jnp.mean(each), (logits, features, updates["batch_stats"])

    differentiated = jax.jit(
        jax.value_and_grad(loss, argnums=(0, 1), has_aux=True),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    (total, (logits, features, moved)), gradients = differentiated(params, x)
    assert_rhemo(golden, logits, features)
    np.testing.assert_allclose(total, golden["loss"], rtol=1e-6)
    of_params, of_x = gradients
    found = {
        "input_gradient": jnp.moveaxis(of_x, -1, 1),
        "gradient_conv1.weight": of_params["embedding"]["conv1"]["kernel"].transpose(3, 2, 0, 1),
        "gradient_t_conv3.r_weight": of_params["decoder"]["conv3"]["kernel"][0, ::-1, ::-1, 0, 0],
        "gradient_t_conv1.k_weight": -of_params["decoder"]["conv1"]["kernel"][3, ::-1, ::-1, 0, 0],
        "gradient_tconv1_bn.gamma": of_params["decoder"]["norm1"]["scale"],
        "gradient_classifier_arousal.3.weight": of_params["arousal"]["dense2"]["kernel"].T,
    }
    for name, value in found.items():
        expected = golden[name].reshape(value.shape)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7, err_msg=name)
    count = {"norm1": 3 * 16 * 4, "norm2": 3 * 8 * 4}
    for name, norm in moved["embedding"].items():
        theirs = {k: golden[f"stats_conv{name[-1]}_bn.running_{k}"] for k in ("mean", "var")}
        np.testing.assert_allclose(norm["mean"], theirs["mean"], atol=1e-7)
        # PyTorch's running variance is the unbiased one.
        unbiased = 0.9 + (norm["var"] - 0.9) * count[name] / (count[name] - 1)
        np.testing.assert_allclose(unbiased, theirs["var"], rtol=1e-6)
    for name, norm in moved["decoder"].items():
        theirs = {k: golden[f"stats_t{name.replace('norm', 'conv')}_bn.moving_{k}"] for k in norm}
        for k, value in norm.items():
            np.testing.assert_allclose(value, theirs[k], rtol=1e-6, atol=1e-7)


def test_rhemo_in_evaluation(rhemo):
    golden, model, params, stats = rhemo
    x = spectrograms(0)
    _, updates = model.apply(
        {"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"]
    )
    stats = updates["batch_stats"]
    for i in (1, 2):
        stats["embedding"][f"norm{i}"]["var"] = jnp.asarray(golden[f"stats_conv{i}_bn.running_var"])
    variables = {"params": params, "batch_stats": stats}
    logits, features = model.apply(variables, spectrograms(60), train=False)
    # So are running statistics.
    assert_rhemo(golden, logits, features, "eval_", 1e-6)
    embedding = jnp.moveaxis(features["embedding"], -1, 1)
    np.testing.assert_allclose(embedding, golden["eval_embedding"], rtol=1e-6, atol=1e-7)
