"""Training loop: epochs of steps, validation, early stopping, checkpoints, interruption."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import jax
import numpy as np

from serjax import metrics
from serjax.interruption import InterruptedRunError as InterruptedRunError
from serjax.interruption import StopRequest as StopRequest
from serjax.models.variables import Variables
from serjax.training.devices import processes
from serjax.training.input.feed import Feed
from serjax.training.optimization.divergence import DivergedError, check_finite
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.checkpoint_schedule import CheckpointSchedule
from serjax.training.state import TrainState
from serjax.training.step import StepResult, TrainStep

MONITORS: dict[str, Callable[[Mapping[str, float]], tuple[float, ...]]] = {
    # UA on small validation sets has many ties.
    "ua": lambda row: (row["validation_ua"], -row["validation_loss"]),
    # With small training sets the loss is lowest after a few epochs: wrong predictions grow
    # confident while UA still rises.
    "loss": lambda row: (-row["validation_loss"],),
}
"""Model-selection metrics by name: functions of an epoch's row of the history, larger is better."""


@dataclasses.dataclass
class LoopState:
    """Position and sums of the loop; with a `TrainState` it is all that a resumed run needs.

    Attributes:
        epoch: Number of the running epoch, from 1.
        batch: Number of its finished batches.
        loss: Sum of the losses of its examples so far.
        auxiliary: Sums of their auxiliary losses, by name.
        weight: Number of these examples.
        confusion: Confusion matrix of these examples.
        seconds: Time spent on the running epoch, in seconds.
        history: One row per finished epoch.
        best_epoch: Best epoch by the monitor, 0 before the first.
        best_step: Number of steps at the end of the best epoch.
        monitor: Model-selection metric, one of `MONITORS`.
    """

    epoch: int = 1
    batch: int = 0
    loss: float = 0.0
    auxiliary: dict[str, float] = dataclasses.field(default_factory=dict)
    weight: float = 0.0
    confusion: list[list[float]] | None = None
    seconds: float = 0.0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    best_step: int = 0
    monitor: str = "loss"

    def add(self, result: StepResult) -> None:
        """Adds the result of a batch to the running epoch."""
        confusion = 0.0 if self.confusion is None else np.asarray(self.confusion)
        self.loss += float(result.loss)
        for name, value in result.auxiliary.items():
            self.auxiliary[name] = self.auxiliary.get(name, 0.0) + float(value)
        self.weight += float(result.weight)
        self.confusion = (confusion + np.asarray(result.confusion, np.float64)).tolist()
        self.batch += 1

    def finish_epoch(self, validation: Mapping[str, float]) -> dict[str, float]:
        """Closes the running epoch and returns its row of the history.

        Args:
            validation: Metrics of the validation set: "loss", "wa", "ua" and perhaps more, each
                of which becomes a column.

        Raises:
            DivergedError: A metric is not finite, so that no epoch could be better or worse.
        """
        confusion = np.asarray(self.confusion)
        row = {
            "epoch": self.epoch,
            "train_loss": self.loss / self.weight,
            "train_wa": float(metrics.weighted_accuracy(confusion)),
            "train_ua": float(metrics.unweighted_accuracy(confusion)),
            **{f"train_{name}": value / self.weight for name, value in self.auxiliary.items()},
            **{f"validation_{name}": value for name, value in validation.items()},
            "examples_per_second": self.weight / self.seconds,
            "seconds": self.seconds,
        }
        check_finite(row, f"epoch {self.epoch}")
        self.history.append(row)
        self.epoch += 1
        self.batch, self.loss, self.auxiliary, self.weight = 0, 0.0, {}, 0.0
        self.confusion, self.seconds = None, 0.0
        return row

    def is_best(self, row: Mapping[str, float], step: int) -> bool:
        """Returns True, and notes the epoch, if it is better than all before it.

        Args:
            row: Row of the epoch, from `finish_epoch`.
            step: Number of steps at its end.
        """
        merit = MONITORS[self.monitor]
        if self.best_epoch and not merit(row) > merit(self.history[self.best_epoch - 1]):
            return False
        self.best_epoch, self.best_step = int(row["epoch"]), step
        return True

    def is_over(self, epochs: int, patience: int) -> bool:
        """Returns True after `epochs` epochs, or `patience` epochs after the best one."""
        return self.epoch > epochs or self.epoch - 1 - self.best_epoch >= patience


class Display(Protocol):
    """Display of the loop's progress."""

    def batch(self, loop: LoopState, batches: int, epochs: int) -> None:
        """Shows the state after a batch, of `batches` of the epoch."""

    def epoch(self, row: dict[str, float], best: bool) -> None:
        """Shows the row of a finished epoch."""


def _total(result: StepResult) -> float:
    return float(result.loss) + sum(map(float, result.auxiliary.values()))


def is_finite(result: StepResult) -> bool:
    """Returns True if the loss of a step is finite."""
    return math.isfinite(_total(result))


def diverged(step: int, result: StepResult, previous_norm: float) -> DivergedError:
    """Makes the error for a loss that is not finite.

    Args:
        step: Number of the step, from 1.
        result: Result of the step.
        previous_norm: Norm of the gradient of the step before.
    """
    if not result.input_finite:
        cause = "the features of this batch are not finite"
    elif not math.isfinite(previous_norm) or previous_norm > 1e3:
        cause = f"the gradient grew to a norm of {previous_norm:.3g}: lower the learning rate"
    else:
        cause = "lower the learning rate, or use float32 if this is bfloat16"
    return DivergedError(f"loss is {_total(result)} at step {step}; likely cause: {cause}")


def _unstack(results: StepResult, count: int) -> list[StepResult]:
    """Returns the results of the first batches of a call."""
    if np.ndim(results.loss) == 0:
        return [results]
    return [jax.tree.map(lambda x, i=i: x[i], results) for i in range(count)]


class _Best(NamedTuple):
    """Variables of the best epoch, on the host."""

    step: int
    variables: Variables


def train(
    state: TrainState,
    loop: LoopState,
    *,
    step: TrainStep,
    feed: Feed,
    order: Callable[[int], np.ndarray],
    evaluate: Callable[[Variables], dict[str, float]],
    checkpoints: Checkpoints,
    epochs: int,
    patience: int,
    display: Display,
    stop: StopRequest,
    saved: Callable[[], None] = lambda: None,
) -> tuple[TrainState, LoopState]:
    """Trains until the epochs are done or the monitor has not improved for `patience` epochs.

    Args:
        state: Initial or restored state; donated.
        loop: Initial or restored state of the loop; changed in place.
        step: Training step from `make_train_step`, which may be compiled ahead.
        feed: Feed of the step: its arguments, call after call, for an epoch.
        order: Function from an epoch's number to indices `[batches, batch_size]`, -1 for padding.
        evaluate: Function from variables to "loss", "wa", "ua" and perhaps more of the validation
            set.
        checkpoints: Checkpoints of the last and the best state: after the first epoch, the last
            one, a signal, and in between by `CheckpointSchedule`.
        epochs: Maximum number of epochs.
        patience: Epochs without a better one after which training stops.
        display: Display of batches and epochs.
        stop: Stop request, read after every call of `step`; of several processes, one stops all.
        saved: Function that is called when a checkpoint is saved.

    Returns:
        Last state and state of the loop. The best variables are in `checkpoints`.

    Raises:
        InputError: The disk has no room for the checkpoints.
        DivergedError: A loss or a weight is not finite. The last checkpoint is older.
        InterruptedRunError: A stop was requested; the run is saved.
    """
    checkpoints.check_space(state)
    schedule = CheckpointSchedule()
    best: _Best | None = None  # best variables that are not saved yet

    def save() -> None:
        nonlocal best
        with schedule.saving(), jax.transfer_guard("allow"):  # also from within an epoch
            if best is not None:
                checkpoints.save_best(best)
                best = None
            checkpoints.save_last(state, dataclasses.asdict(loop))
            saved()

    while not loop.is_over(epochs, patience):
        indices = order(loop.epoch)
        gradient_norm = 0.0
        # A transfer between host and device that is not explicit here is a mistake.
        with jax.transfer_guard("disallow"):
            started = time.monotonic()
            for call in feed(indices, loop.batch):
                state, results = step(state, call.examples, call.indices)
                batches = _unstack(jax.device_get(results), call.batches)
                loop.seconds += time.monotonic() - started
                for number, result in enumerate(batches, start=1):
                    if not is_finite(result):
                        at = int(jax.device_get(state.step)) - call.batches + number
                        raise diverged(at, result, gradient_norm)
                    gradient_norm = float(result.gradient_norm)
                    loop.add(result)
                display.batch(loop, len(indices), epochs)
                # Signals and times differ between processes, which must act at the same step.
                is_due = schedule.due_within_epoch()
                is_due, signal_number = (
                    processes.gather(is_due, stop.signal_number or 0).max(0).tolist()
                )
                if is_due or signal_number:
                    save()
                if signal_number:
                    raise InterruptedRunError(signal_number)
                started = time.monotonic()
        row = loop.finish_epoch(evaluate(state.variables))
        is_best = loop.is_best(row, int(state.step))
        if is_best:
            best = _Best(loop.best_step, jax.tree.map(np.array, state.variables))
        is_over = loop.is_over(epochs, patience)
        if processes.gather(is_over or schedule.due_after_epoch()).any():
            save()
        display.epoch(row, is_best)
    return state, loop
