"""VGG, AlexNet, SqueezeNet and Inception v3 beside torchvision's, whose weights they take."""

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

# Our name: torchvision's, our options, rows and columns of an input.
BESIDE = {
    "vgg11": ("vgg11", VGG_OPTIONS, (64, 96)),
    "vgg13": ("vgg13", VGG_OPTIONS, (64, 45)),
    "vgg16": ("vgg16", VGG_OPTIONS, (33, 64)),
    "vgg19": ("vgg19", VGG_OPTIONS, (64, 32)),
    "alexnet": ("alexnet", {"hidden": 32, "dropout_rate": 0.0}, (127, 95)),
    "squeezenet": ("squeezenet1_1", {"dropout_rate": 0.0}, (64, 37)),
    "inception_v3": ("inception_v3", {"dropout_rate": 0.0}, (139, 107)),
}


def names_of(model):
    """From our paths to torchvision's names, and what was flattened there, by path."""
    if isinstance(model, models.VGG):
        return vgg.names(model), vgg.flattened(model)
    if isinstance(model, models.AlexNet):
        return alexnet.torch_name, alexnet.flattened(model)
    if isinstance(model, models.SqueezeNet):
        return squeezenet.torch_name, {}
    return inception.torch_name, {}


def build(torchvision, name, seed=0, **options):
    """torchvision's network, its weights and running statistics drawn at random.

    Hidden dense layers are narrow; kernels keep the variance of rectified signals.
    """
    import torch

    theirs, ours, _ = BESIDE[name]
    if name == "inception_v3":
        options = {"aux_logits": False, "init_weights": False, **options}
    with torch.device("meta"):
        network = getattr(torchvision.models, theirs)(num_classes=CLASSES, dropout=0.0, **options)
        if "hidden" in ours:
            dense = [i for i, layer in enumerate(network.classifier) if hasattr(layer, "weight")]
            widths = [network.classifier[dense[0]].in_features, *[ours["hidden"]] * 2, CLASSES]
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
    """torchvision's weights in the place of ours."""
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


def theirs(network, x, weights):
    """PyTorch's logits, one behind the other, and the gradient of their weighted sum by x."""
    import torch

    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2)).requires_grad_()
    logits = network(tensor)
    logits = torch.cat(tuple(logits), -1) if isinstance(logits, tuple) else logits
    (logits * torch.from_numpy(weights)).sum().backward()
    return logits.detach().numpy(), tensor.grad.numpy().transpose(0, 2, 3, 1)


def ours(model, train):
    """The same of our network, compiled."""

    def weighted(x, variables, weights):
        (logits, features), _ = model.apply(variables, x, train=train, mutable=["batch_stats"])
        if "aux_logits" in features:
            logits = jnp.concatenate([logits, features["aux_logits"]], -1)
        return jnp.sum(logits * weights), logits

    gradient = jax.grad(weighted, has_aux=True)
    # Most of a test's time is compilation, and less of it changes no result by more than rounding.
    return jax.jit(gradient, compiler_options={"xla_backend_optimization_level": 0})


def error(found, expected):
    """Largest difference, as a part of the largest value."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected).max()


def errors(network, name, options, shape, train, dtype, seeds):
    """For each seed the errors of logits and input gradient."""
    network = network.to(getattr(__import__("torch"), dtype)).train(train)
    found = []
    with jax.enable_x64(dtype == "float64"):
        types = {"dtype": jnp.dtype(dtype), "param_dtype": jnp.dtype(dtype)}
        model = models.create(name, CLASSES, **{**BESIDE[name][1], **options, **types})
        like = variable_shapes(model, (1, *shape[1:]))
        variables = converted(network, model, like)
        apply = ours(model, train)
        for seed in seeds:
            rng = np.random.default_rng(seed)
            x = rng.normal(size=shape).astype(dtype)
            expected = theirs(network, x, weights := rng.normal(size=CLASSES).astype(dtype))
            gradient, logits = apply(jnp.asarray(x), variables, jnp.asarray(weights))
            found.append((error(logits, expected[0]), error(gradient, expected[1])))
    return found


# --- Beside torchvision --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [n if n in ("alexnet", "squeezenet", "vgg11") else pytest.param(n, marks=slow) for n in BESIDE],
)
@pytest.mark.parametrize("train", [False, True])
def test_logits_and_input_gradient_are_torchvisions(torchvision, name, train):
    """A unit that rounding puts on the other side of zero may spoil one gradient of three."""
    network = build(torchvision, name)
    found = errors(network, name, {}, (3, *BESIDE[name][2], 3), train, "float32", range(3))
    assert max(logits for logits, _ in found) < 1e-4
    assert np.median([gradient for _, gradient in found]) < 1e-4


@pytest.mark.parametrize("train", [False, True])
def test_one_inception_module_of_each_kind_is_torchvisions(torchvision, train):
    """torchvision's own modules, of which those that `blocks` leaves out are passed by."""
    import torch

    network = build(torchvision, "inception_v3")
    for name in ("Mixed_5c", "Mixed_5d", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7c"):
        setattr(network, name, torch.nn.Identity())
    # Mixed_6a takes 288 channels from what is left out, 256 from what stays, which it hands on.
    first, second = network.Mixed_6a, network.Mixed_6b
    for branch in (first.branch3x3, first.branch3x3dbl_1):
        branch.conv.weight = torch.nn.Parameter(branch.conv.weight[:, :256].clone())
    for branch in (second.branch1x1, second.branch7x7_1, second.branch7x7dbl_1, second.branch_pool):
        branch.conv.weight = torch.nn.Parameter(branch.conv.weight[:, :736].clone())
    options, shape = {"blocks": (1, 1, 1)}, (3, 139, 107, 3)
    # In float32 rounding puts some of so many units on the other side of zero.
    ((logits, gradient),) = errors(
        network, "inception_v3", options, shape, train, "float64", range(1)
    )
    assert logits < 1e-6  # these are float32 always
    assert gradient < 1e-6


@slow
def test_the_auxiliary_head_is_torchvisions(torchvision):
    network = build(torchvision, "inception_v3", aux_logits=True)
    options, shape = {"auxiliary": True}, (4, 299, 299, 3)
    found = errors(network, "inception_v3", options, shape, True, "float32", range(1))
    assert found[0][0] < 1e-4


def test_the_auxiliary_head_speaks_in_training_alone():
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
def test_parameters_are_as_many_as_torchvisions(name, options, parameters):
    model = models.create(name, 1000, **options)
    assert count(variable_shapes(model, (1, 299, 299, 3))["params"]) == parameters


def test_published_weights_of_inception_take_a_standardized_image(torchvision):
    """torchvision's `transform_input` before its weights, and absorbed into them: its own code."""
    import torch

    network = build(torchvision, "inception_v3", transform_input=True).eval()
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 75, 75)).astype(np.float32))
    with torch.no_grad():
        expected = network(x)
        state = {name: value.numpy() for name, value in network.state_dict().items()}
        state = inception.absorb_transform_input(state)
        network.load_state_dict({n: torch.from_numpy(np.array(v)) for n, v in state.items()})
        network.transform_input = False
        assert error(network(x), expected) < 1e-5
        network.transform_input = True
        assert error(network(x), expected) > 1e-2


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
    """A network without embedding, and the channels that it then takes."""
    if prefix:
        return models.create(prefix + name, 5, embedding=False, **options), 4
    return models.create(name, 5, **options), 1


@pytest.mark.parametrize("name", BESIDE)
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


@pytest.mark.parametrize("name", BESIDE)
def test_an_input_that_is_too_small_is_answered_with_the_smallest(name):
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


def test_behind_the_embedding_the_message_tells_of_it():
    x = jax.ShapeDtypeStruct((1, 128, 128, 1), jnp.float32)
    message = "at least 63 x 63, found 16 x 64, the embedding of 128 x 128: its frames over 8, bins"
    with pytest.raises(InputError, match=message):
        jax.eval_shape(models.create("quat_alexnet", 4).init, jax.random.key(0), x)
