"""Interruption by signals, in processes of their own."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from serjax import interruption

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def start():
    """Starts a process that calls `body` as a command does, and waits until it prints "ready"."""
    started = []

    def start_one(body):
        started.append(start_process(body))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()


def start_process(body):
    # A shell lets the commands that it starts in the background ignore Ctrl-C.
    program = f"""
import signal, sys, time, weakref
signal.signal(signal.SIGINT, signal.default_int_handler)
from serjax import interruption
from serjax.cli.parser import run_command
interruption.exit_on_interrupt()
def ready():
    print("ready", flush=True)
def main():
{textwrap.indent(textwrap.dedent(body), "    ")}
    return 0
run_command(main)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


# Each is interrupted where KeyboardInterrupt is not raised at once, or is lost.
BODIES = {
    "in Python": "ready(); time.sleep(60)",
    "in a callback whose errors are ignored": """
        class Node:
            pass
        def callback(reference):
            ready()
            time.sleep(1)
        node = Node()
        reference = weakref.ref(node, callback)
        del node
        time.sleep(60)
    """,
    "where every error is caught": """
        ready()
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    """,
    "in a library that does not return": """
        import ctypes
        ready()
        ctypes.CDLL(None).sleep(60)
        ctypes.CDLL(None).sleep(60)
    """,
    "while XLA compiles": """
        import jax
        def layers(x):
            for _ in range(100):
                x = jax.numpy.sin(x @ x)
            return x
        lowered = jax.jit(layers).lower(jax.numpy.ones((8, 8)))
        ready()
        while True:
            lowered.compile()
    """,
    "while threads compute": """
        import threading
        for _ in range(3):
            threading.Thread(target=lambda: time.sleep(60)).start()
        ready()
        time.sleep(60)
    """,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_ctrl_c_ends_a_command_with_status_130(start, body):
    process = start(body)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted"
    assert time.monotonic() - started < 10


REQUEST = """
    with interruption.StopRequest().installed() as stop:
        ready()
        while stop.signal_number is None:
            time.sleep(0.01)
        time.sleep({seconds})
        print("saved", flush=True)
"""


def test_a_loop_that_saves_is_not_ended(start):
    process = start(REQUEST.format(seconds=4))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert output == "saved\n"
    assert process.returncode != 0  # the loop did not stop by itself


def test_a_second_ctrl_c_ends_it(start):
    process = start(REQUEST.format(seconds=60))
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert output == ""
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_last_step_is_not_lost(number):
    with (
        pytest.raises(interruption.InterruptedRunError) as stopped,
        interruption.StopRequest().installed(),
    ):
        os.kill(os.getpid(), number)
    assert stopped.value.signal_number == number


def test_an_error_in_the_loop_is_not_replaced():
    def fail():
        os.kill(os.getpid(), signal.SIGINT)
        raise KeyError("loop")

    with pytest.raises(KeyError), interruption.StopRequest().installed():
        fail()


def test_handlers_are_restored():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interruption.StopRequest().installed() as stop:
        assert stop.signal_number is None
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
