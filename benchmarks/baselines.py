"""What others use, at its best settings: checked to compute the same, then measured beside ours.

A peer that is not installed is left out, and one that computes something else is refused; either
is said in a line.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from benchmarks.measure import Program
from serjax.models.pretrained.convert import convert
from serjax.models.pretrained.families import FAMILIES

TORCHVISION = {
    "vgg16": "vgg16",
    "alexnet": "alexnet",
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "wide_resnet50": "wide_resnet50_2",
    "squeezenet": "squeezenet1_1",
}


_PACKAGES = ("torch", "torchvision", "torchaudio", "librosa")


class PeerError(Exception):
    """A peer that cannot be measured, and why."""


def check_same(name: str, found: Any, expected: Any, tolerance: float) -> None:
    """Refuses a peer whose result is another one.

    Args:
        name: Of the peer.
        found: Its result.
        expected: Ours.
        tolerance: Largest deviation, as a share of the largest magnitude of ours.

    Raises:
        PeerError: Shapes differ, or values by more than the tolerance, or they are not finite.
    """
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        raise PeerError(f"{name}: refused, expected shape {expected.shape}, found {found.shape}")
    scale = max(float(np.abs(expected).max()), np.finfo(np.float64).tiny)
    deviation = float(np.abs(found - expected).max()) / scale
    if not deviation <= tolerance:
        raise PeerError(
            f"{name}: refused, its result deviates by {deviation:.1e} of the largest value, "
            f"expected at most {tolerance:.0e}"
        )


@contextlib.contextmanager
def skipped() -> Iterator[None]:
    """Says in a line why a peer is left out, and goes on without it."""
    try:
        yield
    except PeerError as error:
        _say(f"peer skipped: {error}")


@functools.cache
def _say(line: str) -> None:
    """Each line once: a peer that is missing is missing in every case."""
    print(line, file=sys.stderr)


@contextlib.contextmanager
def refused(name: str) -> Iterator[None]:
    """Makes a PeerError of whatever a peer or its compiler raises, so that the others go on."""
    try:
        yield
    except PeerError:
        raise
    except Exception as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PeerError(f"{name}: {line}") from error


def module(name: str, package: str) -> Any:
    """An installed module.

    Raises:
        PeerError: It is not there, or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:
        raise PeerError(f"{package} cannot be imported: {error}") from error


def versions() -> dict[str, str]:
    """Versions of the peers that are installed."""
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def torch() -> Any:
    """PyTorch, or PeerError."""
    return module("torch", "PyTorch")


def torchvision_models() -> Any:
    """Networks of torchvision, or PeerError.

    torchvision built for another PyTorch lacks its compiled operators, which no network calls;
    placeholders stand in.
    """
    with contextlib.suppress(PeerError):
        return module("torchvision.models", "torchvision")
    library = torch().library.Library("torchvision", "FRAGMENT")
    with contextlib.suppress(RuntimeError):
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for name in [one for one in sys.modules if one.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    found = module("torchvision.models", "torchvision")
    # The placeholders last as long as the library object.
    found.serjax_placeholders = library
    return found


def compiled(function: Any) -> Any:
    """A function or network, compiled by PyTorch for each shape.

    What was compiled before is given up: of one source, PyTorch keeps a few compiled forms, and
    beyond them quietly compiles no more.
    """
    library = torch()
    library.compiler.reset()
    return library.compile(function, dynamic=False)


def program(call: Callable[[], Any], *inputs: Any) -> Program:
    """A peer's function, timed until the device is done; the first call compiles it.

    Args:
        call: The function, of no arguments.
        *inputs: Tensors that it reads, which take random signs before every round.
    """
    library = torch()

    def renew(number: int) -> tuple[()]:
        with library.no_grad():
            for tensor in inputs:
                tensor.mul_(2 * library.randint_like(tensor, 2) - 1)
        return ()

    def finished() -> Any:
        result = call()
        if library.cuda.is_available():
            library.cuda.synchronize()
        return result

    started = time.perf_counter()
    finished()
    return Program(finished, (), None, None, None, time.perf_counter() - started, renew)


class TorchNetwork:
    """torchvision's network with the weights of ours in its place."""

    def __init__(
        self, network: Any, shape: tuple[int, ...], dtype: str, with_compiler: bool
    ) -> None:
        """Takes a network of `[batch, channels, rows, columns]`, as `shape` orders ours."""
        library = torch()
        self._device = "cuda" if library.cuda.is_available() else "cpu"
        network = network.to(self._device).to(memory_format=library.channels_last)
        self._network, self._shape, self._dtype = network, shape, getattr(library, dtype)
        self._forward = compiled(network) if with_compiler else network
        self._optimizer = library.optim.Adam(network.parameters(), lr=1e-4)

    def _inputs(self, batch: int) -> Any:
        library = torch()
        rows, columns, channels = self._shape
        x = library.randn(batch, channels, rows, columns, device=self._device)
        return x.to(memory_format=library.channels_last)

    def _cast(self) -> Any:
        library = torch()
        mixed = self._dtype != library.float32
        return library.autocast(self._device, dtype=self._dtype, enabled=mixed)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Logits of `[batch, rows, columns, channels]`."""
        library = torch()
        self._network.eval()
        with library.no_grad(), self._cast():
            tensor = library.from_numpy(np.moveaxis(x, -1, 1).copy()).to(self._device)
            return self._forward(tensor).float().cpu().numpy()

    def inference(self, batch: int) -> Program:
        """Logits of a batch, in evaluation mode without gradients."""
        library = torch()
        x = self._inputs(batch)

        def call() -> Any:
            self._network.eval()
            with library.inference_mode(), self._cast():
                return self._forward(x)

        return program(call, x)

    def training(self, batch: int) -> Program:
        """Loss, gradient and Adam."""
        library = torch()
        x = self._inputs(batch)
        labels = library.zeros(batch, dtype=library.int64, device=self._device)

        def call() -> Any:
            self._network.train()
            self._optimizer.zero_grad(set_to_none=True)
            with self._cast():
                logits = self._forward(x)
            loss = library.nn.functional.cross_entropy(logits.float(), labels)
            loss.backward()
            self._optimizer.step()
            return loss.detach()

        return program(call, x)


def torchvision_network(name: str, shape: tuple[int, ...], classes: int) -> Any:
    """Network of torchvision for an input of our shape.

    Its first convolution has our channels. VGG has our first dense layer: all of the last image,
    which its papers' size and ours leave at other sizes.

    Raises:
        PeerError: torchvision is missing, or has no such network.
    """
    library, zoo = torch(), torchvision_models()
    if name not in TORCHVISION:
        raise PeerError(f"torchvision has no {name}")
    rows, columns, channels = shape
    network = getattr(zoo, TORCHVISION[name])(num_classes=classes)
    if name == "vgg16":
        network.avgpool = library.nn.Identity()
        network.classifier[0] = library.nn.Linear(512 * (rows // 32) * (columns // 32), 4096)
    parent, key = (network, "conv1") if "resnet" in name else (network.features, "0")
    old = getattr(parent, key)
    new = library.nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,
        old.stride,
        old.padding,
        bias=old.bias is not None,
    )
    setattr(parent, key, new)
    return network


def our_variables(name: str, model: Any, network: Any, shape: tuple[int, ...]) -> Any:
    """The variables with which our network computes what torchvision's does."""
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


def networks(name: str, ours: Any, dtype: str) -> dict[str, TorchNetwork]:
    """PyTorch's forms of one of our real networks, each checked against it.

    Args:
        name: Of the network.
        ours: It, with fields `model` and `shape` (frames, bins, channels).
        dtype: Of the arithmetic; bfloat16 is automatic mixed precision.
    """
    found: dict[str, TorchNetwork] = {}
    for form, with_compiler in (("PyTorch", False), ("PyTorch, compiled", True)):
        with skipped():
            network = torchvision_network(name, ours.shape, classes=ours.model.num_classes)
            variables = our_variables(name, ours.model, network, ours.shape)
            x = np.random.default_rng(0).normal(size=(1, *ours.shape)).astype(np.float32)
            expected = jax.jit(lambda v, x: ours.model.apply(v, x)[0])(variables, x)
            with refused(f"{form}, {name}"):
                peer = TorchNetwork(network, ours.shape, dtype, with_compiler)
                logits = peer.logits(x)
            check_same(f"{form}, {name}", logits, expected, 1e-3 if dtype == "float32" else 0.1)
            found[form] = peer
    return found
