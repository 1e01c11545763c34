"""Profile of some training steps: activity of the host and the device over time."""

import contextlib
from pathlib import Path
from typing import Any

import jax

from serjax.console import Console
from serjax.errors import InputError
from serjax.training.step import TrainStep


def check(steps: tuple[int, int]) -> None:
    """Checks the steps of a profile before the run starts.

    Args:
        steps: First and last step, from 1.

    Raises:
        InputError: No run has these steps.
    """
    first, last = steps
    if not 1 <= first <= last:
        raise InputError(f"profile: expected steps from 1 on, FIRST:LAST, found {first}:{last}")


class ProfiledStep:
    """Training step that records a profile of some of its calls.

    The profile lies in `plugins/profile/TIME/` of its folder: `perfetto_trace.json.gz` for
    https://ui.perfetto.dev, and a file for TensorBoard's profile plugin. Each recorded step is
    marked "step" with its number.

    Args:
        step: Training step of `make_train_step`.
        steps: First and last step to record, from 1.
        done: Number of steps that a resumed run took before.
        folder: Folder of the profile.
        console: Console to print the folder on, or that the run ended before these steps.
    """

    def __init__(
        self, step: TrainStep, steps: tuple[int, int], done: int, folder: Path, console: Console
    ) -> None:
        self._step, (self._first, self._last) = step, steps
        self._number, self._folder, self._console = done, folder, console
        self._recording = contextlib.ExitStack()
        self._recorded = 0

    def __call__(self, *arguments: Any) -> Any:
        """Takes a training step, and records it if it belongs to the profile."""
        self._number += 1
        if not self._first <= self._number <= self._last:
            return self._step(*arguments)
        if not self._recorded:
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._recording.callback(jax.profiler.stop_trace)
        with jax.profiler.StepTraceAnnotation("step", step_num=self._number):
            result = jax.block_until_ready(self._step(*arguments))
        self._recorded += 1
        if self._number == self._last:
            self._recording.close()
        return result

    def __enter__(self) -> "ProfiledStep":
        """Returns the step; recording starts at the first step of the profile."""
        return self

    def __exit__(self, *_: object) -> None:
        """Writes the recorded steps, also after an error of the run."""
        self._recording.close()
        outcome = f"{self._recorded} steps, in {self._folder}"
        if not self._recorded:
            outcome = (
                f"none of {self._first} to {self._last}, because the run ended at {self._number}"
            )
        self._console.print(f"profile: {outcome}")
