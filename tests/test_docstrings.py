"""Docstrings follow the rules of language in CONTRIBUTING."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "serjax").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")])
# A summary is a verb phrase or a noun phrase, never a clause or a fragment.
FORBIDDEN_SUMMARY = re.compile(r"(What|How|Where|Whether|When|Which|Who|Of|As|That of)\b")
FORBIDDEN_PARAMETER = re.compile(r"(Of|As|That of|Those of|See above)\b")
SECTION = re.compile(r"^ *(Args|Attributes):\n((?:^ *\n|^ {4,}.*\n?)*)", re.MULTILINE)


def documented(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names and docstrings of the module, its classes and functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield getattr(node, "name", "module"), text


def parameters(text: str) -> Iterator[tuple[str, str]]:
    """Names and descriptions in the sections of parameters and attributes."""
    for section in SECTION.finditer(text + "\n"):
        lines = section[2].splitlines()
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        for line in lines:
            entry = re.match(rf" {{{indent}}}(\*{{0,2}}\w+)(?: \([^)]*\))?: (.*)", line)
            if entry is not None:
                yield entry[1], entry[2]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_read_without_their_names(path):
    wrong = []
    for name, text in documented(ast.parse(path.read_text())):
        if FORBIDDEN_SUMMARY.match(text):
            wrong.append(f"{name}: {text.splitlines()[0]}")
        wrong += [
            f"{name}, {parameter}: {description}"
            for parameter, description in parameters(text)
            if FORBIDDEN_PARAMETER.match(description)
        ]
    assert not wrong


def test_the_rules_find_what_they_forbid():
    """The checks see fragments and let sentences pass."""
    text = "Trains.\n\nArgs:\n    key: Of the weights.\n    rate: Peak learning rate.\n"
    assert list(parameters(text)) == [("key", "Of the weights."), ("rate", "Peak learning rate.")]
    assert FORBIDDEN_PARAMETER.match("Of the weights.")
    assert not FORBIDDEN_PARAMETER.match("Often zero.")
    assert FORBIDDEN_SUMMARY.match("What a run leaves.")
    assert not FORBIDDEN_SUMMARY.match("Whatever.")


def test_references_name_every_publication_of_the_sources():
    listed = (ROOT / "docs/references.md").read_text()
    # "Padi et al. (2021)" or "(Zhang et al., 2021; ...)".
    citation = re.compile(
        r"\b([A-Z][a-zé]+(?: et al\.| & [A-Z][a-z]+))(?:,? \(|, )((?:19|20)\d{2})\b"
    )
    cited = {
        f"{names} ({year})" for path in FILES for names, year in citation.findall(path.read_text())
    }
    assert len(cited) > 10
    assert not {each for each in cited if each not in listed}
