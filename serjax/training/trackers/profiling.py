"""A profile of some steps of a run: what the host and the device did, and when."""

import contextlib
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from serjax.errors import InputError
from serjax.training.step import TrainStep


def check(steps: tuple[int, int]) -> None:
    """Raises InputError for steps that no run has."""
    first, last = steps
    if not 1 <= first <= last:
        raise InputError(f"profile: expected steps from 1 on, FIRST:LAST, found {first}:{last}")


class Profiled:
    """A training step that records some of its calls.

    The profile is in `plugins/profile/TIME/` of its folder: `perfetto_trace.json.gz` for
    https://ui.perfetto.dev, and what TensorBoard's profile plugin reads. Each recorded step is
    marked "step" with its number.

    Args:
        step: That of `make_train_step`.
        steps: The first and the last to record, counted from 1.
        done: Steps that a resumed run had done before.
        folder: Where the profile goes.
        console: Told when it is written, or that the run had no such steps.
    """

    def __init__(
        self, step: TrainStep, steps: tuple[int, int], done: int, folder: Path, console: Console
    ) -> None:
        self._step, (self._first, self._last) = step, steps
        self._number, self._folder, self._console = done, folder, console
        self._recording = contextlib.ExitStack()
        self._recorded = 0

    def __call__(self, *arguments: Any) -> Any:
        """Calls the step."""
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

    def __enter__(self) -> "Profiled":
        """Nothing is recorded before the first step."""
        return self

    def __exit__(self, *_: object) -> None:
        """Writes what was recorded, however the run ended."""
        self._recording.close()
        found = f"{self._recorded} steps, in {self._folder}"
        if not self._recorded:
            found = f"none of {self._first} to {self._last}, for the run ended at {self._number}"
        self._console.print(f"profile: {found}", highlight=False, soft_wrap=True)
