"""Which of XLA's two convolutions on x86 CPUs a process has."""

import os
import platform

import jaxlib.version

_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
# XLA ends a process that gives it a flag it does not know.
_KNOWN = ((0, 10), (0, 12))


def use_threaded_convolutions() -> None:
    """Has XLA make convolutions by Eigen rather than by YNNPACK, in this process and its children.

    YNNPACK's, the default of jax 0.10 to 0.12, run on one thread where outputs have few channels,
    and take five times as long where windows are large, as in the kernel's derivative. The setting
    goes into XLA_FLAGS, which XLA reads when the first array or program is made. A setting of the
    user's own stays as it is; on other processors than x86 there is nothing to choose.

    For commands, at their start; in a program of one's own, before anything is computed.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    version = tuple(map(int, jaxlib.version.__version__.split(".")[:2]))
    known = _KNOWN[0] <= version <= _KNOWN[1]
    if known and platform.machine() in ("x86_64", "AMD64") and _FLAG not in flags:
        # Matrix products stay YNNPACK's.
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT".lstrip()


def has_threaded_convolutions() -> bool:
    """Whether XLA_FLAGS leaves YNNPACK no convolutions."""
    settings = [
        flag.partition("=")[2]
        for flag in os.environ.get("XLA_FLAGS", "").split()
        if flag.partition("=")[0] == _FLAG
    ]
    return bool(settings) and "CONVOLUTION" not in settings[-1]
