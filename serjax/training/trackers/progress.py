"""Progress of a run on the console, and the time that its stages take."""

import contextlib
import time
from collections.abc import Iterator, Mapping
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
    """Clock of the stages of a run.

    Attributes:
        seconds: Seconds that each stage has taken, by name.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.monotonic()

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Adds the time within the context to `seconds[name]`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started

    def stopped(self) -> dict[str, float]:
        """Returns the seconds of the stages, and as "total" those since the clock was made."""
        return {**self.seconds, "total": time.monotonic() - self._started}
