"""What the device does at most: the ceilings of which the suites' figures are given as shares.

Operations per second are those of a large matrix product, bytes per second those of a large copy,
which reads and writes each of them; the fastest of some calls.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from benchmarks.measure import compile_program, time_together

_CALLS = 10
# Large enough to fill the device, and more than caches hold.
_PRODUCT_SIZE = {"cpu": 2048, "gpu": 8192}
_COPY_MIB = {"cpu": 256, "gpu": 1024}


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """The highest rates that were measured.

    Attributes:
        float32: Floating-point operations per second of a product of float32 matrices, in the
            precision that networks have by default.
        bfloat16: The same of bfloat16 matrices.
        copy: Bytes per second that a copy reads and writes.
    """

    float32: float
    bfloat16: float
    copy: float

    def flops(self, dtype: str) -> float:
        """Operations per second in an arithmetic, "float32" or "bfloat16"."""
        return {"float32": self.float32, "bfloat16": self.bfloat16}[dtype]

    def describe(self) -> str:
        """All three in a line."""
        return (
            f"matrix product {self.float32 / 1e9:.4g} GFLOP/s in float32, "
            f"{self.bfloat16 / 1e9:.4g} in bfloat16; copy {self.copy / 1e9:.3g} GB/s"
        )


def measure(product_size: int, copy_mib: int) -> Ceilings:
    """Measures products of square matrices of a size, and copies of so many MiB."""
    programs, done = {}, {}
    for dtype in ("float32", "bfloat16"):
        keys = jax.random.split(jax.random.key(0))
        x, y = (jax.random.normal(key, (product_size, product_size), dtype) for key in keys)
        programs[dtype], done[dtype] = compile_program(jnp.matmul, x, y), 2 * product_size**3
    large = jnp.ones(copy_mib * 2**18, jnp.float32)
    programs["copy"], done["copy"] = compile_program(jnp.copy, large), 2 * large.nbytes
    seconds = time_together(programs, _CALLS)
    return Ceilings(**{name: done[name] / float(seconds[name].min()) for name in programs})


@functools.cache
def measured() -> Ceilings:
    """Those of this process's device, measured once, when they are first asked for."""
    platform = jax.devices()[0].platform
    known = platform if platform in _PRODUCT_SIZE else "gpu"
    return measure(_PRODUCT_SIZE[known], _COPY_MIB[known])
