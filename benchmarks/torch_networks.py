"""Networks of torchvision as baselines, with the weights of the corresponding serjax networks."""

import contextlib
import sys
from typing import Any, Protocol

import flax.linen as nn
import jax
import numpy as np

from benchmarks.baselines import (
    BaselineError,
    check_agreement,
    import_module,
    import_torch,
    skip_unavailable,
    torch_compile,
    torch_device,
    torch_program,
    wrap_errors,
)
from benchmarks.programs import Program
from serjax.models.pretrained.convert import convert
from serjax.models.pretrained.families import FAMILIES

# Name of torchvision's network by the name of the serjax network.
TORCHVISION = {
    "vgg16": "vgg16",
    "alexnet": "alexnet",
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "wide_resnet50": "wide_resnet50_2",
    "squeezenet": "squeezenet1_1",
}


class _Network(Protocol):
    """A serjax network to compare with."""

    @property
    def model(self) -> nn.Module:
        """Flax module."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an input: frames, bins, channels."""


def import_torchvision_models() -> Any:
    """Imports the networks of torchvision.

    If torchvision was built for another PyTorch, its compiled operators are missing and it cannot
    be imported. No network uses them, so placeholders replace them.

    Raises:
        BaselineError: torchvision is not installed.
    """
    with contextlib.suppress(BaselineError):
        return import_module("torchvision.models", "torchvision")
    library = import_torch().library.Library("torchvision", "FRAGMENT")
    with contextlib.suppress(RuntimeError):
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for name in [each for each in sys.modules if each.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    models = import_module("torchvision.models", "torchvision")
    # The placeholders last as long as the library object.
    models.serjax_placeholders = library
    return models


class TorchNetwork:
    """A PyTorch network that is the baseline of a serjax network."""

    def __init__(self, network: Any, shape: tuple[int, ...], dtype: str, compiled: bool) -> None:
        """Prepares a network for measurements.

        Args:
            network: PyTorch network of inputs `[batch, channels, rows, columns]`.
            shape: Shape of a serjax input: rows, columns, channels.
            dtype: Arithmetic; "bfloat16" is automatic mixed precision.
            compiled: Compile the network with PyTorch's compiler.
        """
        torch = import_torch()
        self._device = torch_device()
        network = network.to(self._device).to(memory_format=torch.channels_last)
        self._network, self._shape, self._dtype = network, shape, getattr(torch, dtype)
        self._forward = torch_compile(network) if compiled else network
        self._optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def _inputs(self, batch: int) -> Any:
        torch = import_torch()
        rows, columns, channels = self._shape
        x = torch.randn(batch, channels, rows, columns, device=self._device)
        return x.to(memory_format=torch.channels_last)

    def _autocast(self) -> Any:
        torch = import_torch()
        is_mixed = self._dtype != torch.float32
        return torch.autocast(self._device, dtype=self._dtype, enabled=is_mixed)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Computes the logits of inputs `[batch, rows, columns, channels]` in evaluation mode."""
        torch = import_torch()
        self._network.eval()
        with torch.no_grad(), self._autocast():
            tensor = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(self._device)
            return self._forward(tensor).float().cpu().numpy()

    def inference_program(self, batch: int) -> Program:
        """Makes a program of the logits of a batch, in evaluation mode without gradients."""
        torch = import_torch()
        x = self._inputs(batch)

        def call() -> Any:
            self._network.eval()
            with torch.inference_mode(), self._autocast():
                return self._forward(x)

        return torch_program(call, x)

    def training_program(self, batch: int) -> Program:
        """Makes a program of a training step: loss, gradient and Adam's update."""
        torch = import_torch()
        x = self._inputs(batch)
        labels = torch.zeros(batch, dtype=torch.int64, device=self._device)

        def call() -> Any:
            self._network.train()
            self._optimizer.zero_grad(set_to_none=True)
            with self._autocast():
                logits = self._forward(x)
            loss = torch.nn.functional.cross_entropy(logits.float(), labels)
            loss.backward()
            self._optimizer.step()
            return loss.detach()

        return torch_program(call, x)


def torchvision_network(name: str, shape: tuple[int, ...], num_classes: int) -> Any:
    """Makes the torchvision network for the input shape of a serjax network.

    Its first convolution has the input's channels. The first dense layer of VGG takes all of the
    last feature map, as in serjax, because the papers' input size and serjax's give different sizes
    of that map.

    Args:
        name: Name of the serjax network.
        shape: Shape of an input: rows, columns, channels.
        num_classes: Number of classes.

    Raises:
        BaselineError: torchvision is not installed, or has no such network.
    """
    torch, torchvision_models = import_torch(), import_torchvision_models()
    if name not in TORCHVISION:
        raise BaselineError(f"torchvision has no {name}")
    rows, columns, channels = shape
    network = getattr(torchvision_models, TORCHVISION[name])(num_classes=num_classes)
    if name == "vgg16":
        network.avgpool = torch.nn.Identity()
        network.classifier[0] = torch.nn.Linear(512 * (rows // 32) * (columns // 32), 4096)
    parent, key = (network, "conv1") if "resnet" in name else (network.features, "0")
    old = getattr(parent, key)
    new = torch.nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,
        old.stride,
        old.padding,
        bias=old.bias is not None,
    )
    setattr(parent, key, new)
    return network


def convert_variables(name: str, model: nn.Module, network: Any, shape: tuple[int, ...]) -> Any:
    """Converts the weights of a torchvision network to the variables of the serjax network.

    Args:
        name: Name of the serjax network.
        model: Serjax network.
        network: Torchvision network.
        shape: Shape of an input: rows, columns, channels.
    """
    family = FAMILIES[name]
    flattened = dict(family.flattened(model))
    if name == "vgg16":
        flattened = {("dense1",): (512, shape[0] // 32, shape[1] // 32)}
    like = jax.eval_shape(
        model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *shape), np.float32)
    )
    like = {"params": like["params"], "batch_stats": like.get("batch_stats", {})}
    state = {key: value.detach().cpu().numpy() for key, value in network.state_dict().items()}
    return convert(state, like, family.names(model), flattened=flattened, unused=family.unused)


def torch_networks(name: str, network: _Network, dtype: str) -> dict[str, TorchNetwork]:
    """Makes PyTorch's forms of a real serjax network, and checks their logits.

    Args:
        name: Name of the network.
        network: Serjax network.
        dtype: Arithmetic; "bfloat16" is automatic mixed precision.

    Returns:
        The available forms, by name.
    """
    model: Any = network.model
    forms: dict[str, TorchNetwork] = {}
    for form, compiled in (("PyTorch", False), ("PyTorch, compiled", True)):
        with skip_unavailable():
            torch_module = torchvision_network(name, network.shape, model.num_classes)
            variables = convert_variables(name, model, torch_module, network.shape)
            x = np.random.default_rng(0).normal(size=(1, *network.shape)).astype(np.float32)
            expected = jax.jit(lambda variables, x: model.apply(variables, x)[0])(variables, x)
            with wrap_errors(f"{form}, {name}"):
                baseline = TorchNetwork(torch_module, network.shape, dtype, compiled)
                logits = baseline.logits(x)
            tolerance = 1e-3 if dtype == "float32" else 0.1
            check_agreement(f"{form}, {name}", logits, expected, tolerance)
            forms[form] = baseline
    return forms
