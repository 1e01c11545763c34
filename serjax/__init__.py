"""Speech emotion recognition in JAX, in real and quaternion numbers.

The modules are imported when they are first asked for: `import serjax; serjax.models.names()`.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_PACKAGES = (
    *("anti_transfer", "audio", "augment", "classical", "data", "errors", "features"),
    *("hypercomplex", "layers", "losses", "metrics", "models", "ops", "options", "pretrained"),
    *("protocols", "quaternion", "recipes", "report", "rhemo", "significance", "training"),
)


def __getattr__(name: str) -> ModuleType:
    if name not in _PACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PACKAGES})
