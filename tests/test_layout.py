"""The layout: packages import downwards only, files and folders are small."""

import ast
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "serjax"

# Data flows down this list; a package imports only from its own line and those above it.
LAYERS = (
    ("errors", "console"),
    ("files", "kernels"),
    ("interruption", "options"),
    ("audio", "metrics"),
    ("significance",),
    ("features",),
    ("augment",),
    ("ops",),
    ("losses",),
    ("quaternion",),
    ("hypercomplex",),
    ("layers",),
    ("models",),
    ("pretrained",),
    ("data",),
    ("classical",),
    ("report",),
    ("training",),
    ("anti_transfer",),
    ("rhemo",),
    ("protocols",),
    ("recipes",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MOST_LINES = 400
MOST_ENTRIES = 17


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def top_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in modules()}


def imports(path: Path) -> set[str]:
    """Modules of serjax that a file imports, wherever in the file, type checking aside."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    imported = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                imported.add(whole if whole in NAMES else module)
    return {name for name in imported if name.split(".")[0] == "serjax"}


def test_every_package_has_its_place():
    assert {top_of(path) for path in modules()} == set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_from_its_own_package_and_those_above(path):
    own = top_of(path)
    for name in imports(path) - {"serjax"}:
        other = name.split(".")[1]
        assert LEVEL[other] < LEVEL[own] or other == own, f"{name_of(path)} imports {name}"


def test_modules_do_not_import_each_other_in_a_circle():
    edges = {name: imports(path) & set(NAMES) - {name} for name, path in NAMES.items()}
    # A package's own __init__ collects its modules, which may import each other's siblings.
    edges = {
        name: {other for other in others if NAMES[other].name != "__init__.py"}
        for name, others in edges.items()
        if NAMES[name].name != "__init__.py"
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join([*path[path.index(name) :], name])}"
        if name in done:
            return
        for other in edges.get(name, ()):
            visit(other, (*path, name))
        done.add(name)

    for name in edges:
        visit(name, ())


def test_no_file_is_long():
    files = itertools.chain(modules(), (ROOT / "benchmarks").glob("*.py"))
    lines = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in files}
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}


def test_no_folder_is_crowded():
    folders = {path.parent for path in modules()}
    entries = {
        str(folder.relative_to(ROOT)): sum(
            each.name != "__pycache__" and each.suffix in (".py", "") for each in folder.iterdir()
        )
        for folder in folders - {PACKAGE}
    }
    assert not {name: count for name, count in entries.items() if count > MOST_ENTRIES}


def test_test_modules_do_not_import_each_other():
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                is_of_jax = node.module.startswith("jax")
                assert is_of_jax or not re.match(r"(\w+\.)*test_", node.module), path
