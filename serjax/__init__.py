"""Speech emotion recognition in JAX, in real and quaternion numbers.

The modules are imported when they are first asked for: `import serjax; serjax.models.names()`.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_MODULES = (
    *("audio", "augment", "classical", "cpu", "data", "errors", "features", "frontend"),
    *("hypercomplex", "image", "layers", "losses", "metrics", "models", "pretrained"),
    *("quaternion", "report", "significance", "silence", "training"),
)


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
