"""Settings and fixtures shared by all tests."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jax
import jaxtyping
import pytest
from hypothesis import settings

# The shapes and dtypes in the annotations of the functional packages are checked at every call.
# This has to come before their first import.
_CHECKED = (
    "features",
    "augment",
    "ops",
    "losses",
    "quaternion",
    "hypercomplex",
    "layers",
    "metrics",
)
jaxtyping.install_import_hook([f"serjax.{name}" for name in _CHECKED], "beartype.beartype")

from serjax.ops.cpu import use_threaded_convolutions  # noqa: E402

# The commands do the same, before any array is made.
use_threaded_convolutions()

# A float64 constant, an implicit promotion or an axis that is added silently is an error here.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# It registers a network, and is imported only by commands that tests start.
collect_ignore = ["reliability/tiny_network.py"]

# Compilation makes the first example of a property test slow; a deadline would only measure that.
settings.register_profile("serjax", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("serjax")


def pytest_configure(config: pytest.Config) -> None:
    """Programs are compiled once for all tests, and for the commands that they run.

    They lie in pytest's own cache: `--cache-clear` compiles again.
    """
    cache = getattr(config, "cache", None)
    if cache is not None and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = str(cache.mkdir("jax"))
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


def corpus_directory(name: str) -> Path:
    """Directory of a real corpus, or skip: SERJAX_DATA, then ../shared/data."""
    root = Path(
        os.environ.get("SERJAX_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    )
    path = root / name
    if not path.is_dir():
        pytest.skip(
            f"real recordings of {name} not found at {path}; set SERJAX_DATA to their parent"
        )
    return path


@pytest.fixture
def emodb_directory() -> Path:
    return corpus_directory("emodb")


@pytest.fixture
def ravdess_directory() -> Path:
    return corpus_directory("ravdess")


@pytest.fixture
def fsdd_directory() -> Path:
    return corpus_directory("fsdd")


@pytest.fixture(scope="module")
def standard_promotion() -> Iterator[None]:
    """For tests that train: Optax promotes implicitly, which the strict rules forbid."""
    # Not as a context, which other threads would not share.
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def torchvision() -> ModuleType:
    """torchvision, or skip.

    A build for another PyTorch has no compiled operators and cannot be imported; no network tested
    here calls them, so placeholders stand in.
    """
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("needs torchvision: pip install 'serjax[torch]'")
    library = torch.library.Library("torchvision", "FRAGMENT")
    try:
        import torchvision.models
    except RuntimeError:
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision.models
    return torchvision


@pytest.fixture
def float64():
    """Double precision within a test."""
    with jax.enable_x64(True):
        yield
