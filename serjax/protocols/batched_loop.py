"""The loop of several runs that are computed together, epoch by epoch.

Each run keeps its own order, metrics, early stopping and best weights. Where epochs have different
numbers of batches, or a run is over before others, its part of a step has no examples and leaves it
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
from serjax.protocols.batched_runs import Together
from serjax.training.loop import (
    DivergedError,
    InterruptedRunError,
    LoopState,
    StopRequest,
    diverged,
    is_finite,
)
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.checkpoint_schedule import CheckpointSchedule
from serjax.training.state import TrainState, Variables
from serjax.training.step import TrainStep
from serjax.training.trackers.progress import ProgressDisplay


@flax.struct.dataclass
class RunsState:
    """What several runs carry from step to step, with a first axis of runs.

    Attributes:
        states: Of the runs.
        best: Variables of each after its best epoch; before the first, those it starts from.
    """

    states: TrainState
    best: Variables

    @property
    def step(self) -> Any:
        """Steps of all runs, which grow until the last one is over."""
        return self.states.step.sum()

    @property
    def variables(self) -> Variables:
        """The best ones."""
        return self.best


def first_state(states: TrainState) -> RunsState:
    """Before the first step, from the states of the runs."""
    return RunsState(states, jax.tree.map(jnp.copy, states.variables))


def _with_best(state: RunsState, better: jax.Array) -> RunsState:
    """The present variables of the runs `better` `[rows]` become their best ones."""

    def keep(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return RunsState(state.states, jax.tree.map(keep, state.states.variables, state.best))


_with_best_in_place = jax.jit(_with_best, donate_argnums=0)


def _orders(
    orders: Sequence[Callable[[int], np.ndarray]], active: Sequence[int], epoch: int, multiple: int
) -> np.ndarray:
    """Indices of all runs' epochs `[runs, batches, batch_size]`, -1 where a run has none."""
    own = {number: orders[number](epoch) for number in active}
    longest = max(len(order) for order in own.values())
    longest = -(-longest // multiple) * multiple
    filled = np.full((len(orders), longest, own[active[0]].shape[1]), -1, np.int32)
    for number, order in own.items():
        filled[number, : len(order)] = order
    return filled


def train_together(
    state: RunsState,
    loops: Mapping[str, LoopState],
    *,
    together: Together,
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
) -> RunsState:
    """Trains until every run has done its epochs, or its validation loss has stopped falling.

    Args:
        state: Where to start; donated.
        loops: Of each run, by its name, where to start; changed in place. The time of a call is
            divided among the runs that took part in it.
        together: How the runs are computed.
        step: From `Together.compile_step`, its keys given.
        examples: On the devices.
        orders: Of each run, epoch number -> indices `[batches, batch_size]`, -1 where empty.
        evaluate: Variables of all and numbers of some runs -> "loss", "wa", "ua" of their
            validation parts.
        checkpoints: Where the state goes, as of `serjax.training.train`.
        epochs: Most epochs.
        patience: Epochs without a better one after which a run stops.
        display: Told of batches and epochs.
        stop: Asked after every call of `step`.
        scan_steps: Batches of each run that `step` takes at once.

    Returns:
        The last state, with the best variables.

    Raises:
        InputError: The disk has no room for the checkpoints.
        DivergedError: The loss of the run that is named is not finite. The last checkpoint is from
            before.
        InterruptedRunError: `stop` was requested; the runs are saved.
    """
    names, all_loops = list(loops), list(loops.values())
    checkpoints.check_space(state)
    pace = CheckpointSchedule()

    def save() -> None:
        with pace.saving(), jax.transfer_guard("allow"):  # also from within an epoch
            told = {name: dataclasses.asdict(loop) for name, loop in loops.items()}
            checkpoints.save_last(together.gather(state), told)

    def add(number: int, told: Any, block: np.ndarray) -> None:
        """Adds a run's results of a call to its epoch."""
        filled = np.flatnonzero((block >= 0).any(-1))
        for at in filled:
            result = jax.tree.map(lambda x, at=at: x[number, at], told)
            if not is_finite(result):
                last = int(jax.device_get(state.states.step)[number])
                error = diverged(last - int(filled[-1] - at), result, norms[number])
                raise DivergedError(f"{names[number]}: {error}")
            norms[number] = float(result.gradient_norm)
            all_loops[number].add(result)

    def going() -> list[int]:
        return [n for n, loop in enumerate(all_loops) if not loop.is_over(epochs, patience)]

    while active := going():
        indices = _orders(orders, active, all_loops[active[0]].epoch, scan_steps)
        done = max(all_loops[number].batch for number in active)
        norms = [0.0] * len(names)
        # What crosses between host and device here is named, or it is a mistake.
        with jax.transfer_guard("disallow"):
            while done < indices.shape[1]:
                started = time.monotonic()
                block = indices[:, done : done + scan_steps]
                states, found = step(state.states, examples, together.place(block))
                state = RunsState(states, state.best)
                told = jax.device_get(found)
                done += scan_steps
                share = (time.monotonic() - started) / len(active)
                for number in active:
                    all_loops[number].seconds += share
                    add(number, told, block[number])
                display.batch(_sum(all_loops, active, done), indices.shape[1], epochs)
                if stop.signal_number is not None:
                    save()
                    raise InterruptedRunError(stop.signal_number)
                if pace.due_within_epoch():
                    save()
        validation = evaluate(state.states.variables, active)
        steps = jax.device_get(state.states.step)
        better = np.zeros(together.rows, bool)
        for number in active:
            row = all_loops[number].finish_epoch(validation[number])
            better[number] = all_loops[number].is_best(row, int(steps[number]))
            display.epoch(row, bool(better[number]), names[number])
        state = _with_best_in_place(state, jax.device_put(better, together.split_sharding()))
        if not going() or pace.due_after_epoch():
            save()
    return state


def _sum(loops: Sequence[LoopState], active: Sequence[int], batch: int) -> LoopState:
    """Losses, examples and seconds of the running epoch of all runs."""
    total = LoopState(epoch=loops[active[0]].epoch, batch=batch)
    for number in active:
        total.loss += loops[number].loss
        total.weight += loops[number].weight
        total.seconds += loops[number].seconds
    return total
