"""The loop of runs together, beside the loop of one run: the same ends of a step that is cheap."""

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

from serjax.protocols.batched_loop import first_state, train_together
from serjax.protocols.batched_runs import Together
from serjax.training import Checkpoints
from serjax.training.input.feed import resident
from serjax.training.loop import DivergedError, InterruptedRunError, LoopState, StopRequest, train
from serjax.training.state import TrainState
from serjax.training.step import StepResult
from serjax.training.trackers.progress import ProgressDisplay

ROOT = Path(__file__).resolve().parents[2]
BATCH = 4
# Examples of each run's epoch, and the step that is worst to go beyond: where it stops falling.
SIZES = {"first": 11, "second": 5, "third": 8}
TURNS = np.float32([20, 4, 9])
EPOCHS, PATIENCE = 6, 2
NUMBERS = {"epoch", "train_loss", "train_wa", "train_ua", "validation_loss", "validation_ua"}


def make_step(number, key):
    """Counts what it sees, and adds to its weight what follows from run, step and examples."""

    def step(state, examples, indices, references=None):
        del references
        real = indices >= 0
        seen = jnp.sum(jnp.where(real, examples[jnp.maximum(indices, 0)], 0.0))
        drawn = jax.random.uniform(jax.random.fold_in(key, state.step))
        weight = state.params["weight"] + seen * drawn
        count = jnp.sum(real).astype(jnp.float32)
        result = StepResult(
            loss=seen,
            anti_transfer=jnp.zeros(()),
            weight=count,
            confusion=jnp.diag(jnp.stack([count - 1, jnp.ones(())])),
            gradient_norm=drawn,
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
        filled = np.full(-(-SIZES[name] // BATCH) * BATCH, -1, np.int32)
        filled[: SIZES[name]] = np.random.default_rng(epoch).permutation(SIZES[name])
        return filled.reshape(-1, BATCH)

    return order


def validation(steps, number):
    """Falls until the run's turn, and rises from there."""
    return {"loss": float(abs(steps - TURNS[number])), "wa": 0.5, "ua": 0.25}


EXAMPLES = np.arange(16, dtype=np.float32)
LIMITS = {"epochs": EPOCHS, "patience": PATIENCE}


@contextlib.contextmanager
def shown():
    with ProgressDisplay(Console(file=io.StringIO())) as display:
        yield display


def alone(folder):
    """Last and best state, and history, of each run by itself."""
    found = {}
    for number, (name, state) in enumerate(zip(SIZES, states(), strict=True)):
        checkpoints = Checkpoints(folder / name)
        with shown() as display:
            last, loop = train(
                state,
                LoopState(),
                step=jax.jit(make_step(number, keys()[number])),
                calls=resident(jax.device_put(EXAMPLES)),
                order=order_of(name),
                evaluate=lambda v, n=number: validation(int(v["batch_stats"]["steps"]), n),
                checkpoints=checkpoints,
                display=display,
                stop=StopRequest(),
                **LIMITS,
            )
        best = checkpoints.restore_best(last.variables, loop.best_step)
        found[name] = (jax.device_get(last), jax.device_get(best), loop)
    return found


def together_in(folder, engine="vmap", steps=1, stop=None, examples=EXAMPLES, after=None):
    """The same together, from what is in the folder on."""
    together = Together(engine, len(SIZES))
    assert together.rows == {1: 3, 2: 4}[jax.local_device_count()]
    step = together.compile_step(make_step, steps)
    step_keys = together.stack(keys())
    state = first_state(together.stack(states()))
    checkpoints = Checkpoints(folder)
    loops = {name: LoopState() for name in SIZES}
    saved = checkpoints.restore_last(together.gather(state))
    if saved is not None:
        state = together.spread(saved[0])
        loops = {name: LoopState(**values) for name, values in saved[1].items()}
    calls = []

    def counted(*given):
        calls.append(given)
        if after is not None and len(calls) == after:
            stop.signal_number = 2
        return step(*given, step_keys)

    def evaluate(variables, active):
        steps = jax.device_get(variables["batch_stats"]["steps"])
        return {number: validation(int(steps[number]), number) for number in active}

    with shown() as display:
        state = train_together(
            state,
            loops,
            together=together,
            step=counted,
            examples=together.replicate(examples),
            orders=[order_of(name) for name in SIZES],
            evaluate=evaluate,
            checkpoints=checkpoints,
            display=display,
            stop=stop or StopRequest(),
            scan_steps=steps,
            **LIMITS,
        )
    return together.gather(state), loops


def numbers_of(loop):
    rows = [{k: v for k, v in row.items() if k in NUMBERS} for row in loop.history]
    return dataclasses.replace(loop, history=rows)


def assert_the_runs(found, loops, expected):
    assert list(loops) == list(expected)
    for number, (name, (last, best, loop)) in enumerate(expected.items()):
        assert numbers_of(loops[name]) == numbers_of(loop)
        mine = jax.tree.map(lambda x, n=number: x[n], found)
        jax.tree.map(np.testing.assert_array_equal, mine.states, last)
        jax.tree.map(np.testing.assert_array_equal, mine.best, best)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    found = alone(tmp_path_factory.mktemp("alone"))
    # One goes on to the last epoch, the others stop, each at its own.
    assert [len(loop.history) for *_, loop in found.values()] == [6, 4, 6]
    assert [loop.best_epoch for *_, loop in found.values()] == [6, 2, 4]
    return found


@pytest.mark.parametrize(("engine", "steps"), [("vmap", 1), ("scan", 1), ("vmap", 4)])
def test_each_run_ends_as_by_itself(tmp_path, expected, engine, steps):
    """Its own epochs, early stopping, history, last and best weights."""
    assert_the_runs(*together_in(tmp_path, engine, steps), expected)


def test_each_run_ends_so_on_two_devices():
    """Two runs on one and a run on the other; the test above in a process that has both."""
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    test = "tests/protocols/test_lockstep.py::test_each_run_ends_as_by_itself"
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
def test_stopped_runs_go_on_to_the_same_end(tmp_path, expected, after):
    """Within the first epoch, at an end of one, after a run has stopped."""
    with pytest.raises(InterruptedRunError):
        together_in(tmp_path, stop=StopRequest(), after=after)
    assert_the_runs(*together_in(tmp_path), expected)


def test_the_run_that_diverged_is_named(tmp_path):
    broken = EXAMPLES.copy()
    broken[9:] = np.inf  # which only the first run's epochs have
    with pytest.raises(DivergedError, match=r"^first: loss is inf at step [123]; likely cause"):
        together_in(tmp_path, examples=broken)
