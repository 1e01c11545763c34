"""Quaternion kernels: each form compared with the real layer of the same size.

Forward pass and gradients of input and kernel. "real" is the real layer of the same input and
outputs. "block" is the form of other quaternion libraries, one real product of the whole size.
"eight" makes eight products of a quarter of the channels. "stacked" puts the input's components
into the batch axis. "default" is the form that the layers select. The shapes are those of VGG16's
layers after the RH-emo encoder, of its dense layers, and of wider networks; an input is batch x
rows x columns x channels. `--baselines` adds the block form in PyTorch: concatenated weights in
PyTorch's convolution, channels last, compiled, results and gradients checked.

GFLOP are the compiler's count before it optimizes, including additions and all iterations of loops.
The peak is that of a large matrix product. Temporaries are the memory in addition to arguments and
results. The error is the root mean square deviation of the forward result from the block form in
float64, relative to the root mean square of that form.
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
    fraction_of_peak,
    in_unit,
    quantity_columns,
    ratio_columns,
    time_interleaved,
)
from benchmarks.programs import Program, compile_program, with_random_signs
from benchmarks.settings import Cases, DotPlot, Rows, Settings
from serjax import quaternion
from serjax.quaternion.initializers import polar_initializer

TITLE = "Quaternion layers, forward and backward"
COLUMNS = {
    "layer": "layer",
    "input": "input",
    "outputs": "outputs",
    "form": "form",
    "ms": "ms",
    "time_vs_real": "time / real",
    "gflop": "GFLOP",
    "peak_fraction": "% of peak",
    "temporary_mib": "temporary MiB",
    "error": "relative error",
}
FIGURE = DotPlot(
    "time_vs_real",
    "time relative to the real layer",
    ("layer", "input", "outputs"),
    reference=1,
    reference_series="real",
)

# Batch, rows = columns, input channels, output channels; kernel size 3 x 3.
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
# Batch, rows = columns, input channels, output channels; kernel size 3 x 3, stride 2.
_TRANSPOSED = ((20, 64, 4, 4), (20, 16, 256, 256))

Function = Callable[..., jax.Array]


def _with_gradient(function: Function) -> Callable[..., Any]:
    """Makes the function `(x, kernel, cotangent) -> result, gradients of x and kernel`."""

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


def _layers() -> list[tuple[str, tuple[int, ...], tuple[int, ...], Function, Function]]:
    """Lists the layers to measure.

    Returns:
        Name of the layer, shape of the input, shape of the real kernel, the real and the quaternion
        function.
    """
    layers: list[Any] = []
    for batch, extent, inputs, outputs in _CONVOLUTIONS:
        x, kernel = (batch, extent, extent, inputs), (3, 3, inputs, outputs)
        layers.append(("conv 3 x 3", x, kernel, _real_conv, quaternion.conv))
    for examples, inputs, outputs in _DENSE:
        sizes = (examples, inputs), (inputs, outputs)
        layers.append(("dense", *sizes, jnp.matmul, quaternion.dense))
    transposed = functools.partial(quaternion.conv_transpose, strides=2)
    for batch, extent, inputs, outputs in _TRANSPOSED:
        x, kernel = (batch, extent, extent, inputs), (3, 3, inputs, outputs)
        layers.append(("conv transposed 3 x 3", x, kernel, _real_transposed, transposed))
    return layers


def _exact_result(function: Function, x: jax.Array, kernel: jax.Array) -> np.ndarray:
    """Computes the block form in float64."""
    with jax.enable_x64(True):
        arguments = jnp.asarray(x, jnp.float64), jnp.asarray(kernel, jnp.float64)
        return np.asarray(jax.jit(functools.partial(function, form="block"))(*arguments))


def _relative_error(result: jax.Array, exact: np.ndarray) -> float:
    """Computes the root mean square error relative to the root mean square of the exact result."""
    difference = np.asarray(result, np.float64) - exact
    return float(np.sqrt(np.mean(difference**2) / np.mean(exact**2)))


def _torch_layer(layer: str) -> Callable[..., Any]:
    """Makes the block form of a layer in PyTorch.

    Args:
        layer: Name of the layer.

    Returns:
        Function `(x, kernel) -> y`, channels on axis 1, kernel in the layout of serjax.
    """
    torch = baselines.import_torch()

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
        # PyTorch's is the gradient of a convolution, which flips the kernel.
        weight = block_matrix(kernel).flip(0, 1).permute(2, 3, 0, 1)
        return torch.nn.functional.conv_transpose2d(x, weight, stride=2)[:, :, :-1, :-1]

    return {"dense": dense, "conv 3 x 3": conv, "conv transposed 3 x 3": transposed}[layer]


def _torch_block_program(layer: str, block: Program, dtype: str) -> Program:
    """Makes the program of PyTorch's block form, and checks its result and gradients.

    Args:
        layer: Name of the layer.
        block: Program of the block form in serjax.
        dtype: Arithmetic, "float32" or "bfloat16".

    Raises:
        BaselineError: PyTorch is not installed, cannot compile the layer, or its results differ.
    """
    torch, device = baselines.import_torch(), baselines.torch_device()

    def to_tensor(array: jax.Array, is_image: bool) -> Any:
        tensor = torch.from_numpy(np.array(array, np.float32)).to(device, getattr(torch, dtype))
        return tensor.movedim(-1, 1) if is_image else tensor

    has_images = layer != "dense"
    x, kernel, cotangent = (
        to_tensor(array, has_images and index != 1) for index, array in enumerate(block.arguments)
    )
    x.requires_grad_()
    kernel.requires_grad_()
    forward = baselines.torch_compile(_torch_layer(layer))

    def call() -> Any:
        y = forward(x, kernel)
        return y, torch.autograd.grad(y, (x, kernel), cotangent)

    with baselines.wrap_errors(f"PyTorch, {layer}"):
        y, gradients = call()
    expected, expected_gradients = block.call(*block.arguments)
    tolerance = 1e-4 if dtype == "float32" else 0.05
    pairs = zip((y, *gradients), (expected, *expected_gradients), strict=True)
    for tensor, reference in pairs:
        tensor = tensor.movedim(1, -1) if has_images and tensor.ndim == 4 else tensor
        result = tensor.detach().float().cpu().numpy()
        baselines.check_agreement(f"PyTorch, {layer}", result, reference, tolerance)
    return baselines.torch_program(call, x, kernel, cotangent)


def _measure(
    settings: Settings,
    layer: str,
    x_shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    real: Function,
    function: Function,
) -> Rows:
    """Measures a layer; makes a row for each form."""
    rng = np.random.default_rng(0)
    peak = device_peaks.measured().operations_per_second(settings.dtype)
    *kernel_size, inputs, outputs = kernel_shape
    x = jnp.asarray(rng.normal(size=x_shape), settings.dtype)
    shape = (4, *kernel_size, inputs // 4, outputs // 4)
    kernel = polar_initializer()(jax.random.key(0), shape).astype(settings.dtype)
    real_kernel = jnp.asarray(rng.normal(size=kernel_shape) / np.sqrt(inputs), settings.dtype)
    y = jax.eval_shape(real, x, real_kernel)
    cotangent = jnp.asarray(rng.normal(size=y.shape), settings.dtype)

    functions = {"real": real, "default": function}
    for form in ("block", "eight", "stacked") if layer == "dense" else ("block", "eight"):
        functions[form] = functools.partial(function, form=form)
    programs = {
        name: with_random_signs(
            compile_program(
                _with_gradient(each), x, real_kernel if name == "real" else kernel, cotangent
            )
        )
        for name, each in functions.items()
    }
    if settings.baselines:
        with baselines.skip_unavailable():
            block = programs["block"]
            programs["PyTorch, block"] = _torch_block_program(layer, block, settings.dtype)
    seconds = time_interleaved(programs, settings.rounds)
    exact = _exact_result(function, x, kernel)
    rows = []
    for name, program in programs.items():
        error = None
        if name not in ("real", "PyTorch, block"):
            error = _relative_error(program.call(*program.arguments)[0], exact)
        rows.append(
            {
                "layer": layer,
                "input": " x ".join(map(str, x_shape)),
                "outputs": outputs,
                "form": name,
                **quantity_columns("ms", 1e3 * seconds[name]),
                **ratio_columns("time_vs_real", seconds[name] / seconds["real"]),
                "gflop": in_unit(program.operations, 1e9),
                "peak_fraction": fraction_of_peak(program.operations, seconds[name], peak),
                "temporary_mib": in_unit(program.temporary_bytes, 2**20),
                "error": error,
                "compile_s": program.compile_seconds,
            }
        )
    return rows


def cases(settings: Settings) -> Cases:
    """Returns a case for each layer and shape; for every other one if `quick`."""
    return {
        f"{layer}, {' x '.join(map(str, x_shape))}, {kernel_shape[-1]}": functools.partial(
            _measure, settings, layer, x_shape, kernel_shape, *functions
        )
        for layer, x_shape, kernel_shape, *functions in _layers()[:: 2 if settings.quick else 1]
    }
