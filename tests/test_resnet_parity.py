"""ResNets beside torchvision's, whose weights go through a file and `serjax.pretrained.load`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import pretrained

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "wide_resnet50": "wide_resnet50_2",
}
SLOW = ("resnet34", "wide_resnet50")
NAMES = [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in TORCHVISION]


def perturbed(torchvision, name, num_classes):
    """torchvision's network, its norms such that exchanging any two of their vectors shows."""
    import torch

    torch.manual_seed(0)
    network = getattr(torchvision.models, TORCHVISION[name])(num_classes=num_classes)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network


@pytest.fixture(scope="module", params=NAMES)
def pair(request, torchvision, tmp_path_factory):
    """A network of torchvision and ours, loaded from its file."""
    import torch
    from safetensors.torch import save_file

    network = perturbed(torchvision, request.param, 7)
    folder = tmp_path_factory.mktemp(request.param)
    torch.save(network.state_dict(), folder / "weights.pth")
    save_file(network.state_dict(), folder / "weights.safetensors")
    model, variables = pretrained.load(request.param, folder / "weights.pth", channels=3)
    _, same = pretrained.load(request.param, folder / "weights.safetensors", channels=3)
    jax.tree.map(np.testing.assert_array_equal, variables, same)
    return network, model, variables


def images(count):
    return np.random.default_rng(1).normal(size=(count, 64, 64, 3)).astype(np.float32)


def torch_logits_and_gradient(network, x, weights):
    """Logits, and the gradient by the input of their weighted sum."""
    import torch

    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2)).requires_grad_()
    logits = network(tensor)
    (logits * torch.from_numpy(weights)).sum().backward()
    return logits.detach().numpy(), tensor.grad.numpy().transpose(0, 2, 3, 1)


def our_logits_and_gradient(apply, variables, x, weights):
    def weighted(x):
        (logits, _), updates = apply(variables, x, mutable=["batch_stats"])
        return jnp.sum(logits * weights), (logits, updates["batch_stats"])

    gradient, (logits, stats) = jax.jit(jax.grad(weighted, has_aux=True))(jnp.asarray(x))
    return logits, gradient, stats


def assert_close(found, expected, tolerance=1e-4):
    """Within a part of the largest value."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("train", [False, True])
def test_logits_and_input_gradient_equal_torchvisions(pair, train):
    network, model, variables = pair
    x, weights = images(4), np.random.default_rng(2).normal(size=(4, 7)).astype(np.float32)
    before = {n: b.clone() for n, b in network.named_buffers()}
    expected = torch_logits_and_gradient(network.train(train), x, weights)
    mean = network.layer4[1].bn2.running_mean.numpy().copy()
    for name, buffer in network.named_buffers():
        buffer.copy_(before[name])
    logits, gradient, stats = our_logits_and_gradient(
        functools.partial(model.apply, train=train), variables, x, weights
    )
    assert_close(logits, expected[0])
    assert_close(gradient, expected[1])
    assert_close(stats["stage4_block2"]["norm2"]["mean"], mean)
