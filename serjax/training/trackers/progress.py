"""Progress of a run on the console, and the time that its stages take."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from rich.progress import Progress, TextColumn

from serjax.console import Console
from serjax.training.loop import LoopState

_LINE_SECONDS = 15.0


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


# Columns of every run's history that begin like those of auxiliary losses.
_MAIN_COLUMNS = ("train_loss", "train_wa", "train_ua")


def auxiliary_losses(row: Mapping[str, float]) -> dict[str, float]:
    """Returns the mean auxiliary losses of an epoch, by name.

    Args:
        row: Row of the history, with a column `train_<name>` for each auxiliary loss.
    """
    return {
        column.removeprefix("train_"): value
        for column, value in row.items()
        if column.startswith("train_") and column not in _MAIN_COLUMNS
    }


class ProgressDisplay:
    """Display of epochs and batches on a console.

    A terminal shows a bar with loss, speed and remaining time, and a line per epoch above it. Other
    outputs receive the lines of the epochs, and a line of progress every 15 s.

    Args:
        console: Console to print on.
    """

    def __init__(self, console: Console) -> None:
        self._console = Console.of(console)
        self._progress: Progress | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> "ProgressDisplay":
        if self._console.is_terminal:
            self._progress = self._console.progress(TextColumn("{task.fields[text]}"))
            self._progress.start()
            self._task = self._progress.add_task("epoch", text="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def batch(self, loop: LoopState, batches: int, epochs: int) -> None:
        """Shows the progress of the epoch, its mean loss, the speed and the longest time left.

        Args:
            loop: State of the training loop.
            batches: Batches of an epoch.
            epochs: Maximum number of epochs.
        """
        speed = loop.weight / max(loop.seconds, 1e-9)
        remaining = (epochs - loop.epoch + 1) * batches - loop.batch
        left = _duration(remaining * loop.seconds / loop.batch)
        text = f"loss {loop.loss / loop.weight:.3f}  {speed:.1f} examples/s  {left} left at most"
        if self._progress is not None:
            self._progress.update(
                self._task,
                description=f"epoch {loop.epoch}/{epochs}",
                total=batches,
                completed=loop.batch,
                text=text,
            )
        elif time.monotonic() - self._last_line > _LINE_SECONDS:
            self._print(f"epoch {loop.epoch}/{epochs}  batch {loop.batch}/{batches}  {text}")

    def epoch(self, row: dict[str, float], best: bool, name: str = "") -> None:
        """Prints a finished epoch.

        Args:
            row: Row of the history.
            best: True for the best epoch so far, which is marked by a star.
            name: Name of the run, if several are trained together.
        """
        auxiliary = "".join(
            f"{loss.replace('_', '-')} {value:.4f}  "
            for loss, value in auxiliary_losses(row).items()
        )
        self._print(
            f"{name and f'{name}  '}epoch {row['epoch']:3.0f}  "
            f"training loss {row['train_loss']:.3f} UA {row['train_ua']:6.1%}  "
            f"{auxiliary}validation loss {row['validation_loss']:.3f} "
            f"WA {row['validation_wa']:6.1%} UA {row['validation_ua']:6.1%}  "
            f"{row['examples_per_second']:5.1f} examples/s{'  *' if best else ''}"
        )

    def _print(self, line: str) -> None:
        self._console.print(line)
        self._last_line = time.monotonic()


class Clock:
    """Clock of the stages of a run, which adds up the times of all processes that worked on it.

    Args:
        fraction: Fraction of the time that is counted, for a run that is computed with others.
    """

    def __init__(self, fraction: float = 1.0) -> None:
        self._fraction = fraction
        self._seconds: dict[str, float] = {}
        self._total = 0.0
        self._stage: str | None = None
        self._since = time.monotonic()

    def _switch(self, stage: str | None) -> None:
        """Adds the time since the last switch to the stage that ends."""
        now = time.monotonic()
        seconds = self._fraction * (now - self._since)
        self._total += seconds
        if self._stage is not None:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + seconds
        self._stage, self._since = stage, now

    def add(self, seconds: Mapping[str, float]) -> None:
        """Adds the times of an earlier process, as `read` returned them there."""
        for stage, value in seconds.items():
            if stage == "total":
                self._total += value
            else:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + value

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Counts the time within the context as that of a stage, and of no stage around it."""
        around = self._stage
        self._switch(stage)
        try:
            yield
        finally:
            self._switch(around)

    def read(self) -> dict[str, float]:
        """Returns the seconds of each stage by name, and the "total", which includes the rest."""
        self._switch(self._stage)
        return {**self._seconds, "total": self._total}


@contextlib.contextmanager
def timed_together(clocks: Sequence[Clock], stage: str) -> Iterator[None]:
    """Counts the time within the context as that of a stage of several runs.

    Args:
        clocks: Clocks of the runs.
        stage: Name of the stage.
    """
    with contextlib.ExitStack() as stack:
        for clock in clocks:
            stack.enter_context(clock.timed(stage))
        yield
