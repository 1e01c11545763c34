"""The console script: its commands, its help, and the scripts that call it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import serjax
from serjax import cli

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, code=0):
    command = [sys.executable, "-m", "serjax.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_help_fits_a_screen():
    text = run("--help")
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
    for command in cli.COMMANDS:
        assert f"  {command} " in text


def test_version():
    assert run("--version").strip() == serjax.__version__


def test_an_unknown_command_gets_a_hint():
    assert "unknown command 'trian': did you mean 'train'?" in run("trian", code=2)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_a_module_a_help_and_no_need_of_jax_for_it(command):
    """The help of a command starts fast, since it does not import JAX."""
    module = command.replace("-", "_")
    program = (
        f"import sys; sys.argv = ['serjax {command}', '--help']\n"
        f"from serjax.cli import {module} as command\n"
        "try:\n    command.main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"usage: serjax {command}" in done.stdout
    assert done.stdout.rstrip().endswith("False")


def test_scripts_call_their_commands():
    scripts = {path.stem for path in (ROOT / "experiments").glob("*.py")}
    assert scripts == {
        name.replace("-", "_") for name in cli.COMMANDS if name not in ("corpus", "models")
    }
    for path in (ROOT / "experiments").glob("*.py"):
        tree = ast.parse(path.read_text())
        assert len(tree.body) == 2
        assert ast.unparse(tree.body[1]) == f"run('{path.stem.replace('_', '-')}')"
