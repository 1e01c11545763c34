"""Training loop of batched runs, epoch by epoch.

Each run keeps its own order, metrics, early stopping and best weights. If an epoch of a run has
fewer batches than another's, or the run is over, its batch of a step has no examples and leaves it
as it was.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from serjax.data.batches import Examples
from serjax.interruption import InterruptedRunError, StopRequest
from serjax.models.variables import Variables
from serjax.protocols.run_batch import RunBatch
from serjax.training.loop import (
    LoopState,
    diverged,
    is_finite,
)
from serjax.training.optimization.divergence import DivergedError
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.checkpoint_schedule import CheckpointSchedule
from serjax.training.state import TrainState
from serjax.training.step import TrainStep
from serjax.training.trackers.progress import ProgressDisplay


@flax.struct.dataclass
class RunsState:
    """State of several runs that changes from step to step, with a first axis of runs.

    Attributes:
        states: States of the runs.
        best: Variables of each run after its best epoch; before the first, its initial ones.
    """

    states: TrainState
    best: Variables

    @property
    def step(self) -> Any:
        """Number of steps of all runs, which grows until the last run is over."""
        return self.states.step.sum()

    @property
    def variables(self) -> Variables:
        """Best variables of the runs."""
        return self.best


def initial_state(states: TrainState) -> RunsState:
    """Returns the state before the first step from the states of the runs."""
    return RunsState(states, jax.tree.map(jnp.copy, states.variables))


def _update_best(state: RunsState, is_best: jax.Array) -> RunsState:
    """Makes the current variables of the runs `is_best` `[rows]` their best ones."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(is_best.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return RunsState(state.states, jax.tree.map(choose, state.states.variables, state.best))


_update_best_in_place = jax.jit(_update_best, donate_argnums=0)


def _stack_orders(
    orders: Sequence[Callable[[int], np.ndarray]], active: Sequence[int], epoch: int, multiple: int
) -> np.ndarray:
    """Returns the indices of all runs' epochs `[runs, batches, batch_size]`, -1 for padding."""
    of_active = {number: orders[number](epoch) for number in active}
    longest = max(len(order) for order in of_active.values())
    longest = -(-longest // multiple) * multiple
    stacked = np.full((len(orders), longest, of_active[active[0]].shape[1]), -1, np.int32)
    for number, order in of_active.items():
        stacked[number, : len(order)] = order
    return stacked


def train_runs(
    state: RunsState,
    loops: Mapping[str, LoopState],
    *,
    run_batch: RunBatch,
    step: TrainStep,
    examples: Examples,
    orders: Sequence[Callable[[int], np.ndarray]],
    evaluate: Callable[[Variables, Sequence[int]], Mapping[int, dict[str, float]]],
    checkpoints: Checkpoints,
    epochs: int,
    patience: int,
    display: ProgressDisplay,
    stop: StopRequest,
    scan_steps: int = 1,
    saved: Callable[[], None] = lambda: None,
) -> RunsState:
    """Trains until every run is over, by its number of epochs or its patience.

    Args:
        state: Initial or restored state; donated.
        loops: State of each run's loop, by the run's name; changed in place. The time of a call is
            divided equally among the runs that take part in it.
        run_batch: Placement of the runs.
        step: Step from `RunBatch.compile_step`, its keys bound.
        examples: Examples on the devices.
        orders: For each run a function from an epoch's number to indices `[batches, batch_size]`,
            -1 for padding.
        evaluate: Function from the variables of all runs and the numbers of some to "loss", "wa",
            "ua" of their validation sets.
        checkpoints: Checkpoints of the state, see `serjax.training.train`.
        epochs: Maximum number of epochs.
        patience: Epochs without a better one after which a run stops.
        display: Display of batches and epochs.
        stop: Stop request, read after every call of `step`.
        scan_steps: Number of batches of each run of a call.
        saved: Function that is called when a checkpoint is saved.

    Returns:
        The last state, with the best variables.

    Raises:
        InputError: The disk has no room for the checkpoints.
        DivergedError: The loss of a run, which is named, is not finite. The last checkpoint is
            older.
        InterruptedRunError: A stop was requested; the runs are saved.
    """
    names, all_loops = list(loops), list(loops.values())
    checkpoints.check_space(state)
    schedule = CheckpointSchedule()

    def save() -> None:
        with schedule.saving(), jax.transfer_guard("allow"):  # also from within an epoch
            values = {name: dataclasses.asdict(loop) for name, loop in loops.items()}
            checkpoints.save_last(run_batch.gather(state), values)
            saved()

    def add(number: int, results: Any, indices: np.ndarray) -> None:
        """Adds a run's results of a call to its epoch."""
        filled = np.flatnonzero((indices >= 0).any(-1))
        for at in filled:
            result = jax.tree.map(lambda x, at=at: x[number, at], results)
            if not is_finite(result):
                last = int(jax.device_get(state.states.step)[number])
                error = diverged(last - int(filled[-1] - at), result, norms[number])
                raise DivergedError(f"{names[number]}: {error}")
            norms[number] = float(result.gradient_norm)
            all_loops[number].add(result)

    def unfinished() -> list[int]:
        return [n for n, loop in enumerate(all_loops) if not loop.is_over(epochs, patience)]

    while active := unfinished():
        indices = _stack_orders(orders, active, all_loops[active[0]].epoch, scan_steps)
        done = max(all_loops[number].batch for number in active)
        norms = [0.0] * len(names)
        # A transfer between host and device that is not explicit here is a mistake.
        with jax.transfer_guard("disallow"):
            while done < indices.shape[1]:
                started = time.monotonic()
                batch = indices[:, done : done + scan_steps]
                states, results = step(state.states, examples, run_batch.place(batch))
                state = RunsState(states, state.best)
                results = jax.device_get(results)
                done += scan_steps
                seconds_each = (time.monotonic() - started) / len(active)
                for number in active:
                    all_loops[number].seconds += seconds_each
                    add(number, results, batch[number])
                display.batch(_sum(all_loops, active, done), indices.shape[1], epochs)
                if stop.signal_number is not None:
                    save()
                    raise InterruptedRunError(stop.signal_number)
                if schedule.due_within_epoch():
                    save()
        validation = evaluate(state.states.variables, active)
        steps = jax.device_get(state.states.step)
        is_best = np.zeros(run_batch.rows, bool)
        for number in active:
            try:
                row = all_loops[number].finish_epoch(validation[number])
            except DivergedError as error:
                raise DivergedError(f"{names[number]}: {error}") from None
            is_best[number] = all_loops[number].is_best(row, int(steps[number]))
            display.epoch(row, bool(is_best[number]), names[number])
        is_best_on_device = jax.device_put(is_best, run_batch.first_axis_sharding())
        state = _update_best_in_place(state, is_best_on_device)
        if not unfinished() or schedule.due_after_epoch():
            save()
    return state


def _sum(loops: Sequence[LoopState], active: Sequence[int], batch: int) -> LoopState:
    """Adds losses, examples and seconds of the running epoch of all runs."""
    total = LoopState(epoch=loops[active[0]].epoch, batch=batch)
    for number in active:
        total.loss += loops[number].loss
        total.weight += loops[number].weight
        total.seconds += loops[number].seconds
    return total
