import os
import subprocess
import sys

import jaxlib.version
import pytest

from serjax.ops import cpu

FLAG = "--xla_cpu_experimental_ynn_fusion_type"


@pytest.fixture(autouse=True)
def x86(monkeypatch):
    monkeypatch.setattr(cpu.platform, "machine", lambda: "x86_64")
    monkeypatch.delenv("XLA_FLAGS", raising=False)


def test_convolutions_use_eigen():
    assert not cpu.has_threaded_convolutions()
    cpu.use_threaded_convolutions()
    assert cpu.has_threaded_convolutions()
    flags = os.environ["XLA_FLAGS"]
    cpu.use_threaded_convolutions()
    assert os.environ["XLA_FLAGS"] == flags


def test_other_flags_are_preserved(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    cpu.use_threaded_convolutions()
    assert os.environ["XLA_FLAGS"].split()[0] == "--xla_cpu_enable_fast_math=false"
    assert cpu.has_threaded_convolutions()


@pytest.mark.parametrize(
    ("setting", "threaded"), [("", True), ("DOT", True), ("INDIVIDUAL_CONVOLUTION,DOT", False)]
)
def test_a_setting_of_the_user_is_preserved(monkeypatch, setting, threaded):
    flags = f"{FLAG}={setting}"
    monkeypatch.setenv("XLA_FLAGS", flags)
    cpu.use_threaded_convolutions()
    assert os.environ["XLA_FLAGS"] == flags
    assert cpu.has_threaded_convolutions() == threaded


@pytest.mark.parametrize(
    ("machine", "version"), [("aarch64", "0.10.2"), ("x86_64", "0.9.2"), ("x86_64", "0.13.0")]
)
def test_the_flag_is_not_set_where_it_is_unknown(monkeypatch, machine, version):
    monkeypatch.setattr(cpu.platform, "machine", lambda: machine)
    monkeypatch.setattr(jaxlib.version, "__version__", version)
    cpu.use_threaded_convolutions()
    assert "XLA_FLAGS" not in os.environ


def test_xla_knows_and_respects_the_flag():
    """Runs in a separate process, because XLA reads its flags once."""
    program = """
import jax
from serjax.ops.cpu import use_threaded_convolutions
use_threaded_convolutions()
def conv(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
x, kernel = jax.numpy.ones((2, 16, 16, 32)), jax.numpy.ones((3, 3, 32, 32))
text = jax.jit(conv).lower(x, kernel).compile().as_text()
assert "convolution(" in text
assert "ynn" not in text, text
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
