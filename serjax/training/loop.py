"""The training loop: epochs of steps, validation, early stopping, checkpoints, interruption."""

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from serjax import metrics
from serjax.training.devices import processes
from serjax.training.input.feed import Calls
from serjax.training.monitor import MONITORS
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.checkpoint_schedule import CheckpointSchedule
from serjax.training.state import TrainState, Variables
from serjax.training.step import StepResult, TrainStep


class DivergedError(RuntimeError):
    """The loss is no longer a finite number; the message names the step and the likely cause."""


class InterruptedRunError(RuntimeError):
    """A signal asked the run to stop; it was saved and can be resumed.

    Attributes:
        signal_number: The signal.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class StopRequest:
    """Notes SIGINT and SIGTERM instead of dying, so that the loop can save first.

    A second signal of the kind has its ordinary effect.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    @contextlib.contextmanager
    def installed(self) -> Iterator["StopRequest"]:
        """Handles the signals within the context."""
        before: dict[int, Any] = {}

        def note(number: int, frame: FrameType | None) -> None:
            self.signal_number = number
            signal.signal(number, before[number])

        for stopping in (signal.SIGINT, signal.SIGTERM):
            before[stopping] = signal.signal(stopping, note)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclasses.dataclass
class LoopState:
    """Where the loop stands; with a `TrainState` it is all that a resumed run needs.

    Attributes:
        epoch: The running epoch, from 1.
        batch: Batches of it that are done.
        loss: Sum of the losses of its examples so far.
        anti_transfer: Sum of their anti-transfer losses.
        weight: Their number.
        confusion: Their confusion matrix.
        seconds: Time spent on it.
        history: A row per finished epoch.
        best_epoch: The best by the validation part, 0 before the first.
        best_step: Step at its end.
        monitor: What makes an epoch the best, one of `MONITORS`.
    """

    epoch: int = 1
    batch: int = 0
    loss: float = 0.0
    anti_transfer: float = 0.0
    weight: float = 0.0
    confusion: list[list[float]] | None = None
    seconds: float = 0.0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    best_step: int = 0
    monitor: str = "loss"

    def add(self, result: StepResult) -> None:
        """Adds a batch to the running epoch."""
        so_far = 0.0 if self.confusion is None else np.asarray(self.confusion)
        self.loss += float(result.loss)
        self.anti_transfer += float(result.anti_transfer)
        self.weight += float(result.weight)
        self.confusion = (so_far + np.asarray(result.confusion, np.float64)).tolist()
        self.batch += 1

    def finish_epoch(self, validation: dict[str, float]) -> dict[str, float]:
        """Closes the running epoch and returns its row of the history.

        Args:
            validation: "loss", "wa", "ua" and perhaps more, of which columns are made.
        """
        confusion = np.asarray(self.confusion)
        row = {
            "epoch": self.epoch,
            "train_loss": self.loss / self.weight,
            "train_wa": float(metrics.weighted_accuracy(confusion)),
            "train_ua": float(metrics.unweighted_accuracy(confusion)),
            "train_anti_transfer": self.anti_transfer / self.weight,
            **{f"validation_{name}": value for name, value in validation.items()},
            "examples_per_second": self.weight / self.seconds,
            "seconds": self.seconds,
        }
        self.history.append(row)
        self.epoch += 1
        self.batch, self.loss, self.anti_transfer, self.weight = 0, 0.0, 0.0, 0.0
        self.confusion, self.seconds = None, 0.0
        return row

    def is_best(self, row: dict[str, float], step: int) -> bool:
        """Whether the epoch just closed is better than all before; if so, it is noted.

        Args:
            row: From `finish_epoch`.
            step: At its end.
        """
        merit = MONITORS[self.monitor]
        if self.best_epoch and not merit(row) > merit(self.history[self.best_epoch - 1]):
            return False
        self.best_epoch, self.best_step = int(row["epoch"]), step
        return True

    def is_over(self, epochs: int, patience: int) -> bool:
        """Whether so many epochs are done, or so many since the best one."""
        return self.epoch > epochs or self.epoch - 1 - self.best_epoch >= patience


class Display(Protocol):
    """What the loop tells while it runs."""

    def batch(self, loop: LoopState, batches: int, epochs: int) -> None:
        """After a batch."""

    def epoch(self, row: dict[str, float], best: bool) -> None:
        """After an epoch."""


def is_finite(result: StepResult) -> bool:
    """Whether the loss of a step is a finite number."""
    return math.isfinite(result.loss + result.anti_transfer)


def diverged(step: int, result: StepResult, norm_before: float) -> DivergedError:
    """What to raise for a loss that is not finite.

    Args:
        step: Number of the step, from 1.
        result: Of the step.
        norm_before: Of the gradient of the step before.
    """
    if not result.input_finite:
        cause = "the features of this batch are not finite"
    elif not math.isfinite(norm_before) or norm_before > 1e3:
        cause = f"the gradient grew to a norm of {norm_before:.3g}: lower the learning rate"
    else:
        cause = "lower the learning rate, or use float32 if this is bfloat16"
    loss = float(result.loss + result.anti_transfer)
    return DivergedError(f"loss is {loss} at step {step}; likely cause: {cause}")


def _each(found: StepResult, count: int) -> list[StepResult]:
    """The results of the first batches of a call."""
    if np.ndim(found.loss) == 0:
        return [found]
    return [jax.tree.map(lambda x, i=i: x[i], found) for i in range(count)]


class _Best(NamedTuple):
    """The variables of the best epoch, on the host."""

    step: int
    variables: Variables


def train(
    state: TrainState,
    loop: LoopState,
    *,
    step: TrainStep,
    calls: Calls,
    order: Callable[[int], np.ndarray],
    evaluate: Callable[[Variables], dict[str, float]],
    checkpoints: Checkpoints,
    epochs: int,
    patience: int,
    display: Display,
    stop: StopRequest,
) -> tuple[TrainState, LoopState]:
    """Trains until the epochs are done or the validation part has long heard no better one.

    Args:
        state: Where to start; donated.
        loop: Where to start; changed in place.
        step: From `make_train_step`, which may be compiled ahead.
        calls: What `step` is called with in an epoch.
        order: Epoch number -> indices `[batches, batch_size]`, -1 where empty.
        evaluate: Variables -> "loss", "wa", "ua" and perhaps more of the validation part.
        checkpoints: Where last and best go: after the first epoch, the last one, a signal, and in
            between as `CheckpointSchedule` tells.
        epochs: Most epochs.
        patience: Epochs without a better one after which training stops.
        display: Told of batches and epochs.
        stop: Asked after every call of `step`; of several processes, any one's stops all.

    Returns:
        Last state and loop state. The best variables are in `checkpoints`.

    Raises:
        InputError: The disk has no room for the checkpoints.
        DivergedError: The loss is not finite. The last checkpoint is from before.
        InterruptedRunError: `stop` was requested; the run is saved.
    """
    checkpoints.check_space(state)
    pace = CheckpointSchedule()
    best: _Best | None = None  # where it is not saved yet

    def save() -> None:
        nonlocal best
        with pace.saving(), jax.transfer_guard("allow"):  # also from within an epoch
            if best is not None:
                checkpoints.save_best(best)
                best = None
            checkpoints.save_last(state, dataclasses.asdict(loop))

    while not loop.is_over(epochs, patience):
        indices = order(loop.epoch)
        gradient_norm = 0.0
        # What crosses between host and device here is named, or it is a mistake.
        with jax.transfer_guard("disallow"):
            started = time.monotonic()
            for call in calls(indices, loop.batch):
                state, found = step(state, call.examples, call.indices)
                results = _each(jax.device_get(found), call.batches)
                loop.seconds += time.monotonic() - started
                for number, result in enumerate(results, start=1):
                    if not is_finite(result):
                        at = int(jax.device_get(state.step)) - call.batches + number
                        raise diverged(at, result, gradient_norm)
                    gradient_norm = float(result.gradient_norm)
                    loop.add(result)
                display.batch(loop, len(indices), epochs)
                # Processes are told and count time for themselves, but must act at the same step.
                due = pace.due_within_epoch()
                due, number = processes.gather(due, stop.signal_number or 0).max(0).tolist()
                if due or number:
                    save()
                if number:
                    raise InterruptedRunError(number)
                started = time.monotonic()
        row = loop.finish_epoch(evaluate(state.variables))
        better = loop.is_best(row, int(state.step))
        if better:
            best = _Best(loop.best_step, jax.tree.map(np.array, state.variables))
        over = loop.is_over(epochs, patience)
        if processes.gather(over or pace.due_after_epoch()).any():
            save()
        display.epoch(row, better)
    return state, loop
