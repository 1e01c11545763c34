"""Checkpoint schedule: a run loses little when it is killed, and saving costs little."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from serjax.training.input.feed import in_memory
from serjax.training.loop import LoopState, StopRequest, train
from serjax.training.run_folder import checkpoint_schedule
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.state import state_of
from serjax.training.step import StepResult


class Clock:
    """Clock that a test sets."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(checkpoint_schedule, "time", clock)
    return clock


def test_saving_takes_at_most_a_twentieth_of_the_time(clock):
    """Epochs of a second, of which saving would add 0.3: the first and every seventh or so."""
    schedule = checkpoint_schedule.CheckpointSchedule()
    saved = []
    for epoch in range(100):
        clock.now += 1
        if schedule.due_after_epoch():
            saved.append(epoch)
            with schedule.saving():
                clock.now += 0.3
    assert saved[:3] == [0, 5, 11]
    assert 0.3 * len(saved) / (clock.now - 1000) < 0.05 + 0.3 / 100


def test_all_long_epochs_are_saved_and_every_five_minutes_within_them(clock):
    schedule = checkpoint_schedule.CheckpointSchedule()
    for _ in range(3):
        clock.now += 299
        assert not schedule.due_within_epoch()
        clock.now += 2
        assert schedule.due_within_epoch()
        assert schedule.due_after_epoch()
        with schedule.saving():
            clock.now += 10
        assert not schedule.due_within_epoch()


@pytest.mark.parametrize(
    ("seconds", "states", "best"),
    # The loss falls until the fourth epoch; two checkpoints of each kind are retained.
    [(0.0, [15, 18], [9, 12]), (1e6, [3, 18], [3, 12])],
)
def test_the_best_epoch_is_saved_even_if_not_at_once(clock, tmp_path, seconds, states, best):
    optimizer = optax.sgd(0.1)
    losses = iter([5.0, 4.0, 3.0, 2.0, 2.5, 2.6])

    @jax.jit
    def add_one(state):
        params = jax.tree.map(lambda x: x + 1, state.params)
        ones = jnp.ones(())
        result = StepResult(ones, {}, ones, jnp.eye(2), ones, jnp.bool_(True))
        return state.replace(step=state.step + 1, params=params), result

    def step(state, examples, indices):
        clock.now += 1
        return add_one(state)

    class Slow(Checkpoints):
        def save_last(self, state, loop):
            super().save_last(state, loop)
            clock.now += seconds

    checkpoints = Slow(tmp_path)
    state, loop = train(
        state_of({"params": {"kernel": jnp.zeros(3)}}, optimizer),
        LoopState(),
        step=step,
        feed=in_memory(None),
        order=lambda epoch: np.zeros((3, 2), np.int32),
        evaluate=lambda variables: {"loss": next(losses), "wa": 0.5, "ua": 0.5},
        checkpoints=checkpoints,
        epochs=6,
        patience=10,
        display=types.SimpleNamespace(batch=lambda *_: None, epoch=lambda *_: None),
        stop=StopRequest(),
    )
    steps = {
        name: sorted(int(p.name) for p in (tmp_path / name).iterdir() if p.name.isdigit())
        for name in ("last", "best")
    }
    assert steps == {"last": states, "best": best}
    assert (loop.best_epoch, loop.best_step) == (4, 12)
    variables = checkpoints.restore_best(state.variables, 12)
    np.testing.assert_array_equal(variables["params"]["kernel"], np.full(3, 12.0))
    last, _ = checkpoints.restore_last(state)
    np.testing.assert_array_equal(last.params["kernel"], np.full(3, 18.0))
