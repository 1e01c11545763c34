"""Profiles: they hold the requested steps and no others."""

import gzip
import io
import json

import jax
import jax.numpy as jnp
import pytest
from rich.console import Console

from serjax.errors import InputError
from serjax.training.trackers import profiling


@jax.jit
def step(state, examples, indices):
    return state + 1, (examples[indices] ** 2).sum()


def record(folder, steps, calls, done=0, broken=False):
    """Calls a profiled step; returns the last state and the printed lines."""
    console = Console(file=io.StringIO(), width=1000)
    state = jnp.int32(done)
    with profiling.ProfiledStep(step, steps, done, folder, console) as call:
        for _ in range(calls):
            state, _ = call(state, jnp.arange(10.0), jnp.arange(3))
            state = None if broken else state
    return int(state), console.file.getvalue()


def recorded(folder):
    """Returns the numbers of the steps of a profile."""
    (trace,) = folder.rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    return sorted(int(e["args"]["step_num"]) for e in events if e.get("name") == "step")


def test_the_requested_steps_are_recorded(tmp_path):
    state, printed = record(tmp_path, (2, 4), calls=6)
    assert state == 6
    assert recorded(tmp_path) == [2, 3, 4]
    assert printed == f"profile: 3 steps, in {tmp_path}\n"
    assert list(tmp_path.rglob("*.xplane.pb"))  # for TensorBoard


def test_a_resumed_run_continues_to_count(tmp_path):
    record(tmp_path, (9, 11), calls=2, done=9)
    assert recorded(tmp_path) == [10, 11]


def test_a_run_that_ends_before_the_steps_reports_it(tmp_path):
    state, printed = record(tmp_path, (5, 9), calls=3)
    assert state == 3
    assert printed == "profile: none of 5 to 9, because the run ended at 3\n"
    assert not list(tmp_path.iterdir())


def test_recorded_steps_are_written_after_an_error(tmp_path):
    with pytest.raises(TypeError):  # the second call, whose state is None
        record(tmp_path, (1, 9), calls=2, broken=True)
    assert recorded(tmp_path) == [1, 2]


@pytest.mark.parametrize("steps", [(0, 3), (4, 3)])
def test_impossible_steps_are_refused(steps):
    with pytest.raises(InputError, match=f"found {steps[0]}:{steps[1]}"):
        profiling.check(steps)
