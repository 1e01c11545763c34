"""Choice between XLA's two convolution libraries on x86 CPUs."""

import os
import platform

import jaxlib.version

_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
# XLA aborts a process on an unknown flag.
_FIRST_VERSION, _LAST_VERSION = (0, 10), (0, 12)


def use_threaded_convolutions() -> None:
    """Selects Eigen instead of YNNPACK for convolutions, in this process and its children.

    YNNPACK is the default of jax 0.10 to 0.12. It uses one thread where outputs have few channels,
    and takes five times as long for large kernels, as in the derivative by the kernel. The setting
    is written into XLA_FLAGS, which XLA reads when the first array or program is made. A setting
    of the user stays as it is. On processors other than x86 nothing is set.

    Commands call this function at their start; a user's program calls it before any computation.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    version = tuple(map(int, jaxlib.version.__version__.split(".")[:2]))
    has_flag = _FIRST_VERSION <= version <= _LAST_VERSION
    if has_flag and platform.machine() in ("x86_64", "AMD64") and _FLAG not in flags:
        # Matrix products stay with YNNPACK.
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT".lstrip()


def has_threaded_convolutions() -> bool:
    """Returns True if XLA_FLAGS excludes YNNPACK from convolutions."""
    settings = [
        flag.partition("=")[2]
        for flag in os.environ.get("XLA_FLAGS", "").split()
        if flag.partition("=")[0] == _FLAG
    ]
    return bool(settings) and "CONVOLUTION" not in settings[-1]
