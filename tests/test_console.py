"""The console: names are shown as they are, in any encoding and width."""

import ast
import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console as RichConsole
from rich.table import Table

from serjax.cli import parser
from serjax.console import Console, print_error, printable
from serjax.errors import InputError

PACKAGE = Path(__file__).resolve().parents[1] / "serjax"
# Colours, the title of the window, a cleared screen, a return, C1's CSI, a reversed direction.
HOSTILE = "a\x1b[31mred\x1b]0;title\x07\x1b[2J\rb\nc\x9b1md\u202ee\udcff"
SHOWN = r"a\x1b[31mred\x1b]0;title\x07\x1b[2J\rb\nc\x9b1md\u202ee\udcff"


@given(st.text())
def test_printable_text_is_one_line_that_any_terminal_shows(text):
    shown = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    shown.encode("utf-8")
    assert printable(text, "ascii").isascii()
    plain = "".join(c for c in text if c.isprintable())
    assert printable(plain) == plain


@pytest.mark.parametrize(
    "name", ["a[/]b", "x[bold]y", "[red]", ":smile:", "[link=x]y[/link]", HOSTILE]
)
@pytest.mark.parametrize("kind", [Console, RichConsole])
@pytest.mark.parametrize("terminal", [True, False])
def test_names_are_shown_as_they_are(name, kind, terminal):
    file = io.StringIO()
    console = Console.of(kind(file=file, force_terminal=terminal, width=400, color_system=None))
    table = Table(name)
    table.add_row(name)
    console.print(f"run folder {name}")
    console.print(table)
    console.rule(name)
    with console.status(name), console.progress() as progress:
        progress.add_task(name)
    output = file.getvalue()
    shown = SHOWN if name == HOSTILE else name
    assert output.splitlines()[0] == f"run folder {shown}"
    assert output.count(shown) >= 4
    assert "\x1b[31m" not in output
    assert "\x07" not in output
    assert "\x9b" not in output


def test_progress_prints_nothing_to_a_file():
    console = Console(file=io.StringIO())
    with console.progress() as progress:
        progress.add_task("reading")
    assert console.file.getvalue() == ""


def test_a_shared_console_keeps_what_its_owner_set():
    owner = RichConsole(file=io.StringIO(), width=33, record=True)
    console = Console.of(owner)
    console.print("[bold]x")
    assert console.width == 33
    assert owner.export_text() == "[bold]x\n"
    assert Console.of(None, quiet=True).quiet


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp932"])
def test_an_encoding_that_lacks_characters_ends_nothing(encoding):
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding), width=80, force_terminal=True)
    table = Table("怒り", "72.4 – 80.1")
    table.add_row("Ärger", "±")
    console.print("a – b 怒り 😠")
    console.print(table)
    console.rule("怒り")
    with console.status("怒り"):
        pass
    console.file.flush()
    assert raw.getvalue().decode(encoding).startswith("a ")


@pytest.mark.parametrize("terminal", [True, False])
def test_no_cell_is_cut(terminal):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=40, color_system=None)
    table = Table(box=None)
    cells = [f"{60 + i}.25 – {70 + i}.75" for i in range(9)]
    for _ in cells:
        table.add_column("x", no_wrap=True)
    table.add_row(*cells)
    console.print(table)
    console.print("y" * 300)
    assert all(cell in file.getvalue() for cell in cells)
    assert "y" * 300 in file.getvalue()
    assert console.width == 40


def test_error_lines_are_escaped(capsys, monkeypatch):
    print_error(f"error: {HOSTILE}")
    assert capsys.readouterr().err == f"error: {SHOWN}\n"

    def fails():
        raise InputError(HOSTILE)

    with pytest.raises(SystemExit):
        parser.run_command(fails)
    assert capsys.readouterr().err == f"error: {SHOWN}\n"


def test_a_command_prints_to_an_output_of_any_encoding(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", errors="strict"))

    def prints():
        print("72.4 – 80.1")  # as argparse prints a help text
        return 0

    with pytest.raises(SystemExit) as ended:
        parser.run_command(prints)
    assert ended.value.code == 0


def test_all_messages_go_through_the_console():
    allowed = {"print(self.format_help(), end='')"}
    for path in PACKAGE.rglob("*.py"):
        if path == PACKAGE / "console.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("rich.console", "rich.text"), path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                text = ast.unparse(node)
                is_json = text.startswith("print(json.dumps(")  # which escapes all but ASCII
                assert is_json or text in allowed or path.parent.name == "cli", f"{path}: {text}"
