"""Tests of the loop of batched runs against the loop of one run, with a cheap step."""

import contextlib
import dataclasses
import io
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from serjax.protocols.batched_loop import initial_state, train_runs
from serjax.protocols.run_batch import RunBatch
from serjax.training import Checkpoints
from serjax.training.input.feed import in_memory
from serjax.training.loop import DivergedError, InterruptedRunError, LoopState, StopRequest, train
from serjax.training.state import TrainState
from serjax.training.step import StepResult
from serjax.training.trackers.progress import ProgressDisplay

ROOT = Path(__file__).resolve().parents[2]
BATCH = 4
# Examples of each run's epoch, and the step from which its validation loss rises.
SIZES = {"first": 11, "second": 5, "third": 8}
TURNS = np.float32([20, 4, 9])
EPOCHS, PATIENCE = 6, 2
COLUMNS = {"epoch", "train_loss", "train_wa", "train_ua", "validation_loss", "validation_ua"}


def make_step(number, key):
    """Counts examples, and adds values to its weight that depend on run, step and examples."""

    def step(state, examples, indices, arrays=None):
        del arrays
        valid = indices >= 0
        total = jnp.sum(jnp.where(valid, examples[jnp.maximum(indices, 0)], 0.0))
        factor = jax.random.uniform(jax.random.fold_in(key, state.step))
        weight = state.params["weight"] + total * factor
        count = jnp.sum(valid).astype(jnp.float32)
        result = StepResult(
            loss=total,
            auxiliary={"auxiliary": 2 * total},
            weight=count,
            confusion=jnp.diag(jnp.stack([count - 1, jnp.ones(())])),
            gradient_norm=factor,
            input_finite=jnp.bool_(True),
        )
        return TrainState(state.step + 1, {"weight": weight}, {"steps": state.step + 1}, ()), result

    return step


def states():
    return [
        TrainState(
            jnp.zeros((), jnp.int32), {"weight": jnp.float32(n)}, {"steps": jnp.int32(0)}, ()
        )
        for n in range(len(SIZES))
    ]


def keys():
    return [jax.random.key(number) for number in range(len(SIZES))]


def order_of(name):
    def order(epoch):
        indices = np.full(-(-SIZES[name] // BATCH) * BATCH, -1, np.int32)
        indices[: SIZES[name]] = np.random.default_rng(epoch).permutation(SIZES[name])
        return indices.reshape(-1, BATCH)

    return order


def validation(steps, number):
    """A loss that falls until the run's turn and rises after it."""
    return {"loss": float(abs(steps - TURNS[number])), "wa": 0.5, "ua": 0.25}


EXAMPLES = np.arange(16, dtype=np.float32)
LIMITS = {"epochs": EPOCHS, "patience": PATIENCE}


@contextlib.contextmanager
def display_of_test():
    with ProgressDisplay(Console(file=io.StringIO())) as display:
        yield display


def train_separately(folder):
    """Last and best state, and history, of each run on its own."""
    results = {}
    for number, (name, state) in enumerate(zip(SIZES, states(), strict=True)):
        checkpoints = Checkpoints(folder / name)
        with display_of_test() as display:
            last, loop = train(
                state,
                LoopState(),
                step=jax.jit(make_step(number, keys()[number])),
                feed=in_memory(jax.device_put(EXAMPLES)),
                order=order_of(name),
                evaluate=lambda v, n=number: validation(int(v["batch_stats"]["steps"]), n),
                checkpoints=checkpoints,
                display=display,
                stop=StopRequest(),
                **LIMITS,
            )
        best = checkpoints.restore_best(last.variables, loop.best_step)
        results[name] = (jax.device_get(last), jax.device_get(best), loop)
    return results


def train_batched(folder, method="vmap", steps=1, stop=None, examples=EXAMPLES, after=None):
    """The same runs in one program, from the checkpoints in the folder on."""
    run_batch = RunBatch(method, len(SIZES))
    assert run_batch.rows == {1: 3, 2: 4}[jax.local_device_count()]
    step = run_batch.compile_step(make_step, steps)
    step_keys = run_batch.stack(keys())
    state = initial_state(run_batch.stack(states()))
    checkpoints = Checkpoints(folder)
    loops = {name: LoopState() for name in SIZES}
    saved = checkpoints.restore_last(run_batch.gather(state))
    if saved is not None:
        state = run_batch.distribute(saved[0])
        loops = {name: LoopState(**values) for name, values in saved[1].items()}
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        if after is not None and len(calls) == after:
            stop.signal_number = 2
        return step(*arguments, step_keys)

    def evaluate(variables, active):
        steps = jax.device_get(variables["batch_stats"]["steps"])
        return {number: validation(int(steps[number]), number) for number in active}

    with display_of_test() as display:
        state = train_runs(
            state,
            loops,
            run_batch=run_batch,
            step=counted,
            examples=run_batch.replicate(examples),
            orders=[order_of(name) for name in SIZES],
            evaluate=evaluate,
            checkpoints=checkpoints,
            display=display,
            stop=stop or StopRequest(),
            scan_steps=steps,
            **LIMITS,
        )
    return run_batch.gather(state), loops


def results_of(loop):
    rows = [{k: v for k, v in row.items() if k in COLUMNS} for row in loop.history]
    return dataclasses.replace(loop, history=rows)


def assert_equal_runs(state, loops, expected):
    assert list(loops) == list(expected)
    for number, (name, (last, best, loop)) in enumerate(expected.items()):
        assert results_of(loops[name]) == results_of(loop)
        of_run = jax.tree.map(lambda x, n=number: x[n], state)
        jax.tree.map(np.testing.assert_array_equal, of_run.states, last)
        jax.tree.map(np.testing.assert_array_equal, of_run.best, best)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    results = train_separately(tmp_path_factory.mktemp("separate"))
    # Runs stop at different epochs.
    assert [len(loop.history) for *_, loop in results.values()] == [6, 4, 6]
    assert [loop.best_epoch for *_, loop in results.values()] == [6, 2, 4]
    return results


@pytest.mark.parametrize(("method", "steps"), [("vmap", 1), ("scan", 1), ("vmap", 4)])
def test_each_run_ends_as_on_its_own(tmp_path, expected, method, steps):
    """Epochs, early stopping, history, last and best weights."""
    assert_equal_runs(*train_batched(tmp_path, method, steps), expected)


def test_each_run_ends_so_on_two_devices():
    """Two runs on one device, one on the other: the test above in a process with two devices."""
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    test = "tests/protocols/test_batched_loop.py::test_each_run_ends_as_on_its_own"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("after", [1, 4, 8, 15])
def test_stopped_runs_resume_to_the_same_end(tmp_path, expected, after):
    """Within the first epoch, at the end of one, after a run has stopped."""
    with pytest.raises(InterruptedRunError):
        train_batched(tmp_path, stop=StopRequest(), after=after)
    assert_equal_runs(*train_batched(tmp_path), expected)


def test_the_run_that_diverged_is_named(tmp_path):
    broken = EXAMPLES.copy()
    broken[9:] = np.inf  # which only the first run's epochs have
    with pytest.raises(DivergedError, match=r"^first: loss is inf at step [123]; likely cause"):
        train_batched(tmp_path, examples=broken)
