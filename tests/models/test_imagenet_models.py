"""Comparison of VGG, AlexNet, SqueezeNet and Inception v3 with torchvision's networks."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import models
from serjax.errors import InputError
from serjax.models.pretrained import alexnet, inception, squeezenet, vgg
from tests.helpers.networks import count, variable_shapes

# Flax's own batch norm promotes implicitly.
pytestmark = pytest.mark.usefixtures("standard_promotion")

slow = pytest.mark.slow
CLASSES = 7
VGG_OPTIONS = {"pool": 7, "hidden": 32, "dropout_rate": 0.0}

# By name: torchvision's name, options, frames and bins of an input.
CASES = {
    "vgg11": ("vgg11", VGG_OPTIONS, (64, 96)),
    "vgg13": ("vgg13", VGG_OPTIONS, (64, 45)),
    "vgg16": ("vgg16", VGG_OPTIONS, (33, 64)),
    "vgg19": ("vgg19", VGG_OPTIONS, (64, 32)),
    "alexnet": ("alexnet", {"hidden": 32, "dropout_rate": 0.0}, (127, 95)),
    "squeezenet": ("squeezenet1_1", {"dropout_rate": 0.0}, (64, 37)),
    "inception_v3": ("inception_v3", {"dropout_rate": 0.0}, (139, 107)),
}


def names_of(model):
    """Returns a function from paths to torchvision's names, and the flattened images by path."""
    if isinstance(model, models.VGG):
        return vgg.names(model), vgg.flattened(model)
    if isinstance(model, models.AlexNet):
        return alexnet.torch_name, alexnet.flattened(model)
    if isinstance(model, models.SqueezeNet):
        return squeezenet.torch_name, {}
    return inception.torch_name, {}


def build(torchvision, name, seed=0, **options):
    """Creates torchvision's network with random weights and running statistics.

    Hidden dense layers are narrow; kernels preserve the variance of rectified signals.
    """
    import torch

    torch_name, jax_options, _ = CASES[name]
    if name == "inception_v3":
        options = {"aux_logits": False, "init_weights": False, **options}
    with torch.device("meta"):
        network = getattr(torchvision.models, torch_name)(
            num_classes=CLASSES, dropout=0.0, **options
        )
        if "hidden" in jax_options:
            dense = [i for i, layer in enumerate(network.classifier) if hasattr(layer, "weight")]
            widths = [
                network.classifier[dense[0]].in_features,
                *[jax_options["hidden"]] * 2,
                CLASSES,
            ]
            for index, shape in zip(dense, itertools.pairwise(widths), strict=True):
                network.classifier[index] = torch.nn.Linear(*shape)
    network = network.to_empty(device="cpu")
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            elif hasattr(module, "weight"):
                torch.nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    module.bias.normal_(0, 0.1)
    return network


def converted(network, model, like):
    """Converts torchvision's weights to variables."""
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    torch_name, flattened = names_of(model)
    leaves = {
        "kernel": "weight",
        "scale": "weight",
        "bias": "bias",
        "mean": "running_mean",
        "var": "running_var",
    }
    used = set()

    def take(keys, leaf):
        _, *path, kind = (key.key for key in keys)
        name = f"{torch_name(tuple(path))}.{leaves[kind]}"
        used.add(name)
        value = state[name]
        if tuple(path) in flattened and kind == "kernel":
            image = value.reshape(len(value), *flattened[tuple(path)])
            value = np.moveaxis(image, 1, -1).reshape(value.shape)
        if value.ndim > 1:
            value = np.moveaxis(value, (0, 1), (-1, -2))
        assert value.shape == leaf.shape
        return jnp.asarray(value)

    variables = jax.tree.map_with_path(take, like)
    assert used == {name for name in state if not name.endswith("num_batches_tracked")}
    return variables


def torch_results(network, x, weights):
    """Returns PyTorch's logits, concatenated, and the gradient of their weighted sum by x."""
    import torch

    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2)).requires_grad_()
    logits = network(tensor)
    logits = torch.cat(tuple(logits), -1) if isinstance(logits, tuple) else logits
    (logits * torch.from_numpy(weights)).sum().backward()
    return logits.detach().numpy(), tensor.grad.numpy().transpose(0, 2, 3, 1)


def jax_gradient(model, train):
    """Returns a compiled function to the same gradient and logits."""

    def weighted(x, variables, weights):
        (logits, features), _ = model.apply(variables, x, train=train, mutable=["batch_stats"])
        if "aux_logits" in features:
            logits = jnp.concatenate([logits, features["aux_logits"]], -1)
        return jnp.sum(logits * weights), logits

    gradient = jax.grad(weighted, has_aux=True)
    # Compilation takes most of the time, and less optimization changes results by rounding only.
    return jax.jit(gradient, compiler_options={"xla_backend_optimization_level": 0})


def relative_error(actual, expected):
    """Returns the largest difference as a fraction of the largest value."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max() / np.abs(expected).max()


def errors(network, name, options, shape, train, dtype, seeds):
    """Returns the errors of logits and input gradient for each seed."""
    network = network.to(getattr(__import__("torch"), dtype)).train(train)
    results = []
    with jax.enable_x64(dtype == "float64"):
        types = {"dtype": jnp.dtype(dtype), "param_dtype": jnp.dtype(dtype)}
        model = models.create(name, CLASSES, **{**CASES[name][1], **options, **types})
        like = variable_shapes(model, (1, *shape[1:]))
        variables = converted(network, model, like)
        apply = jax_gradient(model, train)
        for seed in seeds:
            rng = np.random.default_rng(seed)
            x = rng.normal(size=shape).astype(dtype)
            expected = torch_results(network, x, weights := rng.normal(size=CLASSES).astype(dtype))
            gradient, logits = apply(jnp.asarray(x), variables, jnp.asarray(weights))
            results.append(
                (relative_error(logits, expected[0]), relative_error(gradient, expected[1]))
            )
    return results


# --- Comparison with torchvision -----------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [n if n in ("alexnet", "squeezenet", "vgg11") else pytest.param(n, marks=slow) for n in CASES],
)
@pytest.mark.parametrize("train", [False, True])
def test_logits_and_input_gradient_equal_torchvisions(torchvision, name, train):
    """Allows one gradient of three to differ, as rounding may change the sign of a unit."""
    network = build(torchvision, name)
    results = errors(network, name, {}, (3, *CASES[name][2], 3), train, "float32", range(3))
    assert max(logits for logits, _ in results) < 1e-4
    assert np.median([gradient for _, gradient in results]) < 1e-4


@pytest.mark.parametrize("train", [False, True])
def test_one_inception_module_of_each_kind_equals_torchvisions(torchvision, train):
    """Compares with torchvision's modules, skipping those that `blocks` leaves out."""
    import torch

    network = build(torchvision, "inception_v3")
    for name in ("Mixed_5c", "Mixed_5d", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7c"):
        setattr(network, name, torch.nn.Identity())
    # Mixed_6a takes 288 channels from a skipped module, 256 from the remaining one.
    first, second = network.Mixed_6a, network.Mixed_6b
    for branch in (first.branch3x3, first.branch3x3dbl_1):
        branch.conv.weight = torch.nn.Parameter(branch.conv.weight[:, :256].clone())
    for branch in (second.branch1x1, second.branch7x7_1, second.branch7x7dbl_1, second.branch_pool):
        branch.conv.weight = torch.nn.Parameter(branch.conv.weight[:, :736].clone())
    options, shape = {"blocks": (1, 1, 1)}, (3, 139, 107, 3)
    # In float32, rounding changes the signs of a few of the many units.
    ((logits, gradient),) = errors(
        network, "inception_v3", options, shape, train, "float64", range(1)
    )
    assert logits < 1e-6  # logits are always float32
    assert gradient < 1e-6


@slow
def test_the_auxiliary_head_equals_torchvisions(torchvision):
    network = build(torchvision, "inception_v3", aux_logits=True)
    options, shape = {"auxiliary": True}, (4, 299, 299, 3)
    results = errors(network, "inception_v3", options, shape, True, "float32", range(1))
    assert results[0][0] < 1e-4


def test_the_auxiliary_head_has_logits_only_in_training():
    model = models.create("inception_v3", CLASSES, auxiliary=True, dropout_rate=0.0)
    x = jax.ShapeDtypeStruct((2, 299, 299, 1), jnp.float32)
    variables = variable_shapes(model, x.shape)

    def features(train):
        apply = functools.partial(model.apply, train=train, mutable=["batch_stats"])
        return jax.eval_shape(apply, variables, x)[0][1]

    trained, evaluated = features(True), features(False)
    assert trained.pop("aux_logits").shape == (2, CLASSES)
    assert set(trained) == set(evaluated) == {f"conv{i}" for i in range(1, 95)}


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        # https://docs.pytorch.org/vision/stable/models.html, 1000 classes.
        ("vgg11", {"pool": 7}, 132_863_336),
        ("vgg13", {"pool": 7}, 133_047_848),
        ("vgg16", {"pool": 7}, 138_357_544),
        ("vgg19", {"pool": 7}, 143_667_240),
        ("alexnet", {}, 61_100_840),
        ("squeezenet", {}, 1_235_496),
        ("inception_v3", {"auxiliary": True}, 27_161_264),
    ],
)
def test_the_number_of_parameters_equals_torchvisions(name, options, parameters):
    model = models.create(name, 1000, **options)
    assert count(variable_shapes(model, (1, 299, 299, 3))["params"]) == parameters


def test_published_weights_of_inception_take_a_standardized_image(torchvision):
    """Compares torchvision's `transform_input` with weights that absorb it, in its own network."""
    import torch

    network = build(torchvision, "inception_v3", transform_input=True).eval()
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 75, 75)).astype(np.float32))
    with torch.no_grad():
        expected = network(x)
        state = {name: value.numpy() for name, value in network.state_dict().items()}
        state = inception.absorb_transform_input(state)
        network.load_state_dict({n: torch.from_numpy(np.array(v)) for n, v in state.items()})
        network.transform_input = False
        assert relative_error(network(x), expected) < 1e-5
        network.transform_input = True
        assert relative_error(network(x), expected) > 1e-2


# --- Sizes and types -----------------------------------------------------------------------------

SMALLEST = {"vgg": 32, "alexnet": 63, "squeezenet": 17, "inception_v3": 75}
CONVOLUTIONS = {
    "vgg11": 8,
    "vgg13": 10,
    "vgg16": 13,
    "vgg19": 16,
    "alexnet": 5,
    "squeezenet": 26,
    "inception_v3": 94,
}
SIZES = [(64, 64), (128, 128), (224, 224), (512, 128)]


def smallest(name):
    return SMALLEST["vgg" if name.startswith("vgg") else name]


def create(prefix, name, **options):
    """Creates a network without encoder; returns it and the channels of its input."""
    if prefix:
        return models.create(prefix + name, 5, embedding=False, **options), 4
    return models.create(name, 5, **options), 1


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("prefix", ["", "quat_"])
def test_every_size_fits_or_is_refused(name, prefix):
    model, channels = create(prefix, name, dtype=jnp.bfloat16)
    for size in SIZES:
        x = jax.ShapeDtypeStruct((2, *size, channels), jnp.float32)
        if min(size) < smallest(name):
            with pytest.raises(InputError, match="at least 75 x 75, found 64 x 64"):
                jax.eval_shape(model.init, jax.random.key(0), x)
            continue
        (logits, features), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
        assert logits.shape == (2, 5)
        assert logits.dtype == jnp.float32
        assert set(features) == {f"conv{i}" for i in range(1, CONVOLUTIONS[name] + 1)}
        assert {f.dtype for f in features.values()} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("name", CASES)
def test_the_smallest_size_is_named_for_an_input_that_is_too_small(name):
    model, _ = create("", name)
    n = smallest(name)
    variable_shapes(model, (1, n, n, 1))
    for shape in ((1, n - 1, 200, 1), (1, 200, n - 1, 1)):
        message = f"at least {n} x {n}, found {shape[1]} x {shape[2]}"
        with pytest.raises(InputError, match=message):
            variable_shapes(model, shape)
    with pytest.raises(InputError, match=r"expected input \[batch, frames, bins, channels\]"):
        variable_shapes(model, (200, 200, 1))


def test_the_auxiliary_head_needs_the_published_size():
    model = models.create("inception_v3", 5, auxiliary=True)
    with pytest.raises(InputError, match=r"auxiliary head: .*at least 299 x 299, found 298 x 299"):
        variable_shapes(model, (1, 298, 299, 1))


def test_the_message_names_the_embedding_of_an_input_that_is_too_small():
    x = jax.ShapeDtypeStruct((1, 128, 128, 1), jnp.float32)
    message = "at least 63 x 63, found 16 x 64, the embedding of 128 x 128: its frames over 8, bins"
    with pytest.raises(InputError, match=message):
        jax.eval_shape(models.create("quat_alexnet", 4).init, jax.random.key(0), x)
