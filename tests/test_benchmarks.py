import importlib
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def measure(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("measure")


def run(*arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_operations_and_memory_of_a_product_are_its_own(measure):
    x, y = jnp.ones((64, 128)), jnp.ones((128, 32))
    program = measure.compile_program(lambda x, y: (x @ y) @ jnp.ones((32, 64)), x, y)
    assert program.operations == pytest.approx(2 * 64 * 32 * (128 + 64), rel=0.05)
    assert program.temporary_bytes >= 64 * 32 * 4
    np.testing.assert_allclose(program.call(x, y), np.full((64, 64), 128.0 * 32))


def test_every_program_is_called_in_every_round(measure):
    calls = []

    def counted(name):
        program = measure.compile_program(lambda x: x + 1, jnp.zeros(()))
        call = lambda x: calls.append(name) or program.call(x)  # noqa: E731
        return measure.Program(call, program.arguments, 0.0, 0, 0, 0.0)

    seconds = measure.time_together({"a": counted("a"), "b": counted("b")}, rounds=3)
    assert calls == ["a", "b"] * 4  # once to warm up
    assert {name: values.shape for name, values in seconds.items()} == {"a": (3,), "b": (3,)}
    assert all((values > 0).all() for values in seconds.values())


def test_spread_is_median_and_quartiles(measure):
    assert measure.spread(np.arange(5.0)) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--suite", "kernel"), "did you mean 'kernels'"),
        (("--rounds", "0"), "--rounds: expected at least 1, found 0"),
        (("--dtype", "float16"), "float16"),
        (("--out", ROOT / "README.md"), "--out: expected a folder, found a file"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) <= 2
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_kernels_are_measured_and_agree(tmp_path):
    result = run("--suite", "kernels", "--rounds", 1, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    name = f"kernels-{jax.default_backend()}-float32"
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.csv",
        f"{name}.json",
        f"{name}.md",
    }
    rows = json.loads((tmp_path / f"{name}.json").read_text())["rows"]
    assert {row["form"] for row in rows} == {"real", "chosen", "block", "eight", "stacked"}
    assert all(row["error"] < 3e-6 for row in rows if row["form"] != "real")
    for row in rows:
        assert row["ms_low"] <= row["ms"] <= row["ms_high"]
