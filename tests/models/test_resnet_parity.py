"""Comparison of ResNets with torchvision's, whose weights `serjax.pretrained.load` reads."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import models
from serjax.models import pretrained
from serjax.training.optimization import freeze

# Flax's own batch norm promotes implicitly.
pytestmark = pytest.mark.usefixtures("standard_promotion")

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "wide_resnet50": "wide_resnet50_2",
}


def all_names(*quick):
    """Returns all four names; those that are not quick are marked as slow."""
    return [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in TORCHVISION]


def create(torchvision, name, biases):
    """Creates torchvision's network with random weights and norms, all different."""
    import torch

    torch.manual_seed(0)
    network = getattr(torchvision.models, TORCHVISION[name])(num_classes=7)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1)
                module.bias.uniform_(*biases)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network


def settle(network, size):
    """Sets the running statistics to those of a batch, so that evaluation normalizes too."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.from_numpy(batch(9, 4, size)[0].transpose(0, 3, 1, 2)))


def converted(network, name, folder, **options):
    """Loads torchvision's weights through both kinds of file; returns model and variables."""
    import torch
    from safetensors.torch import save_file

    torch.save(network.state_dict(), folder / "weights.pth")
    save_file(network.state_dict(), folder / "weights.safetensors")
    model, variables = pretrained.load(name, folder / "weights.pth", input_channels=3, **options)
    _, same = pretrained.load(name, folder / "weights.safetensors", input_channels=3, **options)
    jax.tree.map(np.testing.assert_array_equal, variables, same)
    return model, variables


def batch(seed, count, size):
    """Samples images, and the weights by which a loss sums their logits."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, size, size, 3)).astype(np.float32)
    return x, rng.normal(size=(count, 7)).astype(np.float32)


def torch_results(network, x, weights, dtype="float32"):
    """Returns PyTorch's logits and input gradient, without changing running statistics."""
    import torch

    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(dtype)).requires_grad_()
    logits = network(tensor)
    network.zero_grad()
    (logits * torch.from_numpy(weights.astype(dtype))).sum().backward()
    for name, buffer in network.named_buffers():
        buffer.copy_(before[name])
    return logits.detach().numpy(), tensor.grad.numpy().transpose(0, 2, 3, 1)


def jax_results(apply):
    """Compiles `(variables, x, weights) -> logits, gradients by x and parameters, statistics`."""

    def weighted(x, params, variables, weights):
        variables = {**variables, "params": params}
        (logits, _), updates = apply(variables, x, mutable=["batch_stats"])
        return jnp.sum(logits * weights), (logits, updates["batch_stats"])

    @jax.jit
    def logits_and_gradients(variables, x, weights):
        gradient = jax.grad(weighted, argnums=(0, 1), has_aux=True)
        (by_x, by_params), (logits, stats) = gradient(x, variables["params"], variables, weights)
        return logits, by_x, by_params, stats

    return logits_and_gradients


def relative_error(actual, expected):
    """Returns the largest difference as a fraction of the largest value."""
    assert actual.shape == expected.shape
    difference = np.abs(np.asarray(actual, np.float64) - np.asarray(expected, np.float64))
    return difference.max() / np.abs(expected).max()


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_number_of_parameters_equals_torchvisions(torchvision, name):
    import torch

    with torch.device("meta"):
        network = getattr(torchvision.models, TORCHVISION[name])()
    x = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(models.create(name, 1000).init, jax.random.key(0), x)
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    assert parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", all_names("resnet18", "resnet50"))
@pytest.mark.parametrize("train", [False, True])
def test_the_function_equals_torchvisions(torchvision, tmp_path, name, train):
    """Compares in float64, where rounding does not change the sign of a ReLU's input."""
    network = create(torchvision, name, (-0.1, 0.1))
    with jax.enable_x64(True):
        types = {"dtype": jnp.float64, "param_dtype": jnp.float64}
        model, variables = converted(network, name, tmp_path, **types)
        x, weights = batch(1, 2, 64)
        expected = torch_results(network.double().train(train), x, weights, "float64")
        apply = jax_results(functools.partial(model.apply, train=train))
        logits, gradient, _, _ = apply(variables, jnp.asarray(x, jnp.float64), weights)
        assert gradient.dtype == jnp.float64
    # Logits and running statistics are float32 in every type of arithmetic.
    assert relative_error(logits, expected[0]) < 1e-6
    assert relative_error(gradient, expected[1]) < 1e-6


@pytest.mark.parametrize("name", all_names("resnet18", "resnet50"))
@pytest.mark.parametrize("train", [False, True])
def test_float32_agrees_to_four_digits(torchvision, tmp_path, name, train):
    """Compares logits and input gradient with PyTorch's in float32, within 1e-4.

    If rounding changes the sign of a unit, the gradient changes by the unit's contribution, in any
    two programs. Therefore biases move units away from zero, and one of three batches may differ;
    a wrong network would fail in all.
    """
    network = create(torchvision, name, (3, 4))
    settle(network, 96)
    model, variables = converted(network, name, tmp_path)
    apply = jax_results(functools.partial(model.apply, train=train))
    network.train(train)
    gradient_errors = []
    for seed in range(3):
        x, weights = batch(seed, 2, 96)
        expected = torch_results(network, x, weights)
        logits, gradient, _, _ = apply(variables, jnp.asarray(x), weights)
        assert relative_error(logits, expected[0]) < 1e-4
        gradient_errors.append(relative_error(gradient, expected[1]))
    assert np.median(gradient_errors) < 1e-4


def test_frozen_layers_equal_torchvisions_in_evaluation_mode(torchvision, tmp_path):
    """Compares a training step with torchvision's after `eval()` on its first stages."""
    network = create(torchvision, "resnet18", (-0.1, 0.1))
    frozen = {"stem_.*|stage[12]_.*": None}
    with jax.enable_x64(True):
        types = {"dtype": jnp.float64, "param_dtype": jnp.float64}
        model, variables = converted(network, "resnet18", tmp_path, **types)
        network.double().train()
        for module in (network.bn1, network.layer1, network.layer2):
            module.eval()
        x, weights = batch(1, 2, 64)
        expected = torch_results(network, x, weights, "float64")
        apply = jax_results(
            functools.partial(freeze.apply, model, frozen=frozen, step=0, train=True)
        )
        logits, gradient, by_params, stats = apply(variables, jnp.asarray(x, jnp.float64), weights)
    assert relative_error(logits, expected[0]) < 1e-6
    assert relative_error(gradient, expected[1]) < 1e-6
    trained = by_params["stage3_block1"]["conv1"]["kernel"]
    torch_gradient = network.layer3[0].conv1.weight.grad.numpy().transpose(2, 3, 1, 0)
    assert relative_error(trained, torch_gradient) < 1e-6
    for name, before in variables["batch_stats"].items():
        is_frozen = name.startswith(("stem_", "stage1_", "stage2_"))
        for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(stats[name]), strict=True):
            assert np.array_equal(old, new) == is_frozen
        if is_frozen and name in by_params:
            assert not any(np.any(leaf) for leaf in jax.tree.leaves(by_params[name]))


# --- Sizes and types -----------------------------------------------------------------------------


def small_input(name, dtype):
    """Creates a network without encoder; returns it and the channels of its input."""
    if name.startswith("quat_"):
        return models.create(name, 5, dtype=dtype, embedding=False), 4
    return models.create(name, 5, dtype=dtype), 1


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("prefix", ["", "quat_"])
def test_every_size_fits(prefix, name):
    model, channels = small_input(prefix + name, jnp.bfloat16)
    for rows, columns in ((128, 128), (224, 224), (512, 128)):
        x = jax.ShapeDtypeStruct((2, rows, columns, channels), jnp.float32)
        (logits, features), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
        assert logits.shape == (2, 5)
        assert {f.dtype for f in features.values()} == {jnp.dtype(jnp.bfloat16)}
        assert features[f"conv{len(features)}"].shape[1:3] == (rows // 32, columns // 32)
