"""Quaternion kernels: each form against the real layer of the same size and the block form.

Forward and backward, to input and kernel. "real" is the real layer of the same input and outputs.
"block" is what quaternion libraries do, one real product of the whole size; "eight" makes eight
products of a quarter of the channels; "stacked" takes the input's components as further examples;
"chosen" is what the layers take. Shapes are those of VGG16's layers behind the RH-emo encoder, of
its dense layers, and of wider networks, inputs batch x rows x columns x channels. With peers, the
block form in PyTorch too: concatenated weights in its own convolution, channels last, compiled,
results and gradients checked.

GFLOP are the compiler's count before it optimizes, additions and all rounds of loops included; the
ceiling is a large matrix product. Temporaries are the memory beside arguments and results. The
error is the root mean square of the forward result's deviation from the block form in float64,
relative to that result's.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks import baselines, device_peaks
from benchmarks.measure import (
    Program,
    comparison,
    compile_program,
    of_peak,
    renewed,
    scaled,
    summary,
    time_together,
)
from benchmarks.settings import Cases, Figure, Settings
from serjax import quaternion
from serjax.quaternion.initializers import polar_initializer

TITLE = "Quaternion layers, forward and backward"
COLUMNS = {
    "layer": "layer",
    "input": "input",
    "outputs": "outputs",
    "form": "form",
    "ms": "ms",
    "of_real": "time of real",
    "gflop": "GFLOP",
    "of_peak": "% of ceiling",
    "temporary_mib": "temporary MiB",
    "error": "relative error",
}
FIGURE = Figure(
    "of_real", "time of the real layer", ("layer", "input", "outputs"), reference=1, of="real"
)

# Batch, rows = columns, input channels, output channels; windows of 3 x 3.
_CONVOLUTIONS = (
    (20, 64, 4, 64),
    (20, 64, 64, 64),
    (20, 32, 64, 128),
    (20, 32, 128, 128),
    (20, 16, 256, 256),
    (20, 8, 512, 512),
    (20, 4, 512, 512),
    (20, 16, 1024, 1024),
)
# Examples, inputs, outputs.
_DENSE = ((4, 4096, 4096), (20, 2048, 4096), (64, 4096, 4096), (1024, 4096, 4096), (1024, 256, 256))
# Batch, rows = columns, input channels, output channels; windows of 3 x 3, stride 2.
_TRANSPOSED = ((20, 64, 4, 4), (20, 16, 256, 256))

Function = Callable[..., jax.Array]


def _with_gradient(function: Function) -> Callable[..., Any]:
    """`(x, kernel, cotangent) -> result, gradients of both`."""

    def result_and_gradients(x: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> Any:
        y, pull = jax.vjp(function, x, kernel)
        return y, pull(cotangent)

    return result_and_gradients


def _real_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _real_transposed(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _cases() -> list[tuple[str, tuple[int, ...], tuple[int, ...], Function, Function]]:
    """Layer, shape of the input and of the real kernel, the real and the quaternion function."""
    cases: list[Any] = []
    for batch, extent, inputs, outputs in _CONVOLUTIONS:
        x, kernel = (batch, extent, extent, inputs), (3, 3, inputs, outputs)
        cases.append(("conv 3 x 3", x, kernel, _real_conv, quaternion.conv))
    for examples, inputs, outputs in _DENSE:
        sizes = (examples, inputs), (inputs, outputs)
        cases.append(("dense", *sizes, jnp.matmul, quaternion.dense))
    transposed = functools.partial(quaternion.conv_transpose, strides=2)
    for batch, extent, inputs, outputs in _TRANSPOSED:
        x, kernel = (batch, extent, extent, inputs), (3, 3, inputs, outputs)
        cases.append(("conv transposed 3 x 3", x, kernel, _real_transposed, transposed))
    return cases


def _exact(function: Function, x: jax.Array, kernel: jax.Array) -> np.ndarray:
    """The block form in float64."""
    with jax.enable_x64(True):
        arguments = jnp.asarray(x, jnp.float64), jnp.asarray(kernel, jnp.float64)
        return np.asarray(jax.jit(functools.partial(function, form="block"))(*arguments))


def _error(found: jax.Array, exact: np.ndarray) -> float:
    """Root mean square error relative to the root mean square of the exact result."""
    difference = np.asarray(found, np.float64) - exact
    return float(np.sqrt(np.mean(difference**2) / np.mean(exact**2)))


def _torch_layer(layer: str) -> Callable[..., Any]:
    """The block form in PyTorch: `(x, kernel) -> y`, channels second, kernel as ours."""
    torch = baselines.torch()

    def block_matrix(kernel: Any) -> Any:
        r, i, j, k = kernel
        rows = ((r, i, j, k), (-i, r, k, -j), (-j, -k, r, i), (-k, j, -i, r))
        return torch.cat([torch.cat(row, dim=-1) for row in rows], dim=-2)

    def dense(x: Any, kernel: Any) -> Any:
        return x @ block_matrix(kernel)

    def conv(x: Any, kernel: Any) -> Any:
        weight = block_matrix(kernel).permute(3, 2, 0, 1)
        return torch.nn.functional.conv2d(x, weight, padding="same")

    def transposed(x: Any, kernel: Any) -> Any:
        # PyTorch's is the gradient of a convolution, which turns the window around.
        weight = block_matrix(kernel).flip(0, 1).permute(2, 3, 0, 1)
        return torch.nn.functional.conv_transpose2d(x, weight, stride=2)[:, :, :-1, :-1]

    return {"dense": dense, "conv 3 x 3": conv, "conv transposed 3 x 3": transposed}[layer]


def _torch_block(layer: str, ours: Program, dtype: str) -> Program:
    """PyTorch's block form as a program, its result and gradients those of ours.

    Raises:
        PeerError: PyTorch is missing, cannot compile it, or computes something else.
    """
    torch = baselines.torch()
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def tensor(array: jax.Array, image: bool) -> Any:
        found = torch.from_numpy(np.array(array, np.float32)).to(device, getattr(torch, dtype))
        return found.movedim(-1, 1) if image else found

    image = layer != "dense"
    x, kernel, cotangent = (
        tensor(array, image and index != 1) for index, array in enumerate(ours.arguments)
    )
    x.requires_grad_()
    kernel.requires_grad_()
    forward = baselines.compiled(_torch_layer(layer))

    def call() -> Any:
        y = forward(x, kernel)
        return y, torch.autograd.grad(y, (x, kernel), cotangent)

    with baselines.refused(f"PyTorch, {layer}"):
        y, gradients = call()
    expected, expected_gradients = ours.call(*ours.arguments)
    tolerance = 1e-4 if dtype == "float32" else 0.05
    for found, exact in zip((y, *gradients), (expected, *expected_gradients), strict=True):
        found = found.movedim(1, -1) if image and found.ndim == 4 else found
        found = found.detach().float().cpu().numpy()
        baselines.check_same(f"PyTorch, {layer}", found, exact, tolerance)
    return baselines.program(call, x, kernel, cotangent)


def _measured(
    settings: Settings,
    layer: str,
    x_shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    real: Function,
    function: Function,
) -> list[dict[str, Any]]:
    """A row for each form."""
    rng, peak = np.random.default_rng(0), device_peaks.measured().flops(settings.dtype)
    *window, inputs, outputs = kernel_shape
    x = jnp.asarray(rng.normal(size=x_shape), settings.dtype)
    shape = (4, *window, inputs // 4, outputs // 4)
    kernel = polar_initializer()(jax.random.key(0), shape).astype(settings.dtype)
    real_kernel = jnp.asarray(rng.normal(size=kernel_shape) / np.sqrt(inputs), settings.dtype)
    y = jax.eval_shape(real, x, real_kernel)
    cotangent = jnp.asarray(rng.normal(size=y.shape), settings.dtype)

    functions = {"real": real, "chosen": function}
    for form in ("block", "eight", "stacked") if layer == "dense" else ("block", "eight"):
        functions[form] = functools.partial(function, form=form)
    programs = {
        name: renewed(
            compile_program(
                _with_gradient(one), x, real_kernel if name == "real" else kernel, cotangent
            )
        )
        for name, one in functions.items()
    }
    if settings.peers:
        with baselines.skipped():
            programs["PyTorch, block"] = _torch_block(layer, programs["block"], settings.dtype)
    seconds = time_together(programs, settings.rounds)
    exact = _exact(function, x, kernel)
    rows = []
    for name, program in programs.items():
        ours = name not in ("real", "PyTorch, block")
        found = program.call(*program.arguments)[0] if ours else None
        rows.append(
            {
                "layer": layer,
                "input": " x ".join(map(str, x_shape)),
                "outputs": outputs,
                "form": name,
                **summary("ms", 1e3 * seconds[name]),
                **comparison("of_real", seconds[name] / seconds["real"]),
                "gflop": scaled(program.operations, 1e9),
                "of_peak": of_peak(program.operations, seconds[name], peak),
                "temporary_mib": scaled(program.temporary_bytes, 2**20),
                "error": None if found is None else _error(found, exact),
                "compile_s": program.compile_seconds,
            }
        )
    return rows


def cases(settings: Settings) -> Cases:
    """Every shape, or every other one."""
    return {
        f"{case[0]}, {' x '.join(map(str, case[1]))}, {case[2][-1]}": functools.partial(
            _measured, settings, *case
        )
        for case in _cases()[:: 2 if settings.quick else 1]
    }
