"""Measured peaks of the device, the basis of the fractions that the suites report.

Operations per second are those of a large matrix product. Bytes per second are those of a large
copy, which reads and writes each byte. Each peak is the fastest of several calls.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from benchmarks.measure import time_interleaved
from benchmarks.programs import compile_program

_CALLS = 10
# Large enough to occupy the whole device, and larger than its caches.
_PRODUCT_SIZE = {"cpu": 2048, "gpu": 8192}
_COPY_MIB = {"cpu": 256, "gpu": 1024}


@dataclasses.dataclass(frozen=True)
class DevicePeaks:
    """The highest measured rates of a device.

    Attributes:
        float32: Floating-point operations per second of a product of float32 matrices, in the
            precision that networks have by default.
        bfloat16: Floating-point operations per second of a product of bfloat16 matrices.
        copy: Bytes per second that a copy reads and writes.
    """

    float32: float
    bfloat16: float
    copy: float

    def operations_per_second(self, dtype: str) -> float:
        """Returns the peak of a matrix product in "float32" or "bfloat16"."""
        return {"float32": self.float32, "bfloat16": self.bfloat16}[dtype]

    def describe(self) -> str:
        """Formats the three peaks as a line of text."""
        return (
            f"matrix product {self.float32 / 1e9:.4g} GFLOP/s in float32, "
            f"{self.bfloat16 / 1e9:.4g} in bfloat16; copy {self.copy / 1e9:.3g} GB/s"
        )


def measure(product_size: int, copy_mib: int) -> DevicePeaks:
    """Measures the peaks of the default device.

    Args:
        product_size: Rows and columns of the square matrices.
        copy_mib: Size of the copied array in MiB.
    """
    programs, amounts = {}, {}
    for dtype in ("float32", "bfloat16"):
        keys = jax.random.split(jax.random.key(0))
        x, y = (jax.random.normal(key, (product_size, product_size), dtype) for key in keys)
        programs[dtype], amounts[dtype] = compile_program(jnp.matmul, x, y), 2 * product_size**3
    large = jnp.ones(copy_mib * 2**18, jnp.float32)
    programs["copy"], amounts["copy"] = compile_program(jnp.copy, large), 2 * large.nbytes
    seconds = time_interleaved(programs, _CALLS)
    return DevicePeaks(**{name: amounts[name] / float(seconds[name].min()) for name in programs})


@functools.cache
def measured() -> DevicePeaks:
    """Returns the peaks of this process's device, which are measured on the first call."""
    platform = jax.devices()[0].platform
    known = platform if platform in _PRODUCT_SIZE else "gpu"
    return measure(_PRODUCT_SIZE[known], _COPY_MIB[known])
