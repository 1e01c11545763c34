"""What a run shows while it runs: a progress bar, or plain lines where there is no terminal."""

import contextlib
import time
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from serjax.training.loop import LoopState

_LINE_SECONDS = 15.0


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class ProgressDisplay:
    """Shows epochs and batches on a console.

    A terminal gets a bar with loss, speed and time left, above it a line per epoch. Anything else
    gets the epoch lines, and a line of progress every 15 s.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> "ProgressDisplay":
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[now]}"),
            )
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.start()
            self._task = self._progress.add_task("epoch", now="")
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
        """Shows how far the epoch is, its loss so far, the speed and the longest time left."""
        speed = loop.weight / max(loop.seconds, 1e-9)
        remaining = (epochs - loop.epoch + 1) * batches - loop.batch
        left = _duration(remaining * loop.seconds / loop.batch)
        now = f"loss {loop.loss / loop.weight:.3f}  {speed:.1f} examples/s  {left} left at most"
        if self._progress is not None:
            self._progress.update(
                self._task,
                description=f"epoch {loop.epoch}/{epochs}",
                total=batches,
                completed=loop.batch,
                now=now,
            )
        elif time.monotonic() - self._last_line > _LINE_SECONDS:
            self._say(f"epoch {loop.epoch}/{epochs}  batch {loop.batch}/{batches}  {now}")

    def epoch(self, row: dict[str, float], best: bool, name: str = "") -> None:
        """Shows a finished epoch, of a run of several by its name; the best so far has a star."""
        of_teachers = "".join(
            f"{n.removeprefix('train_').replace('_', '-')} {v:.4f}  "
            for n, v in row.items()
            if n.startswith("train_") and n not in ("train_loss", "train_wa", "train_ua")
        )
        self._say(
            f"{name and f'{name}  '}epoch {row['epoch']:3.0f}  "
            f"training loss {row['train_loss']:.3f} UA {row['train_ua']:6.1%}  "
            f"{of_teachers}validation loss {row['validation_loss']:.3f} "
            f"WA {row['validation_wa']:6.1%} UA {row['validation_ua']:6.1%}  "
            f"{row['examples_per_second']:5.1f} examples/s{'  *' if best else ''}"
        )

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)
        self._last_line = time.monotonic()


class Clock:
    """Where a run's time goes.

    Attributes:
        seconds: Spent so far, by what it was spent on.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.monotonic()

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Adds the time spent in the context to `seconds[name]`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started

    def stopped(self) -> dict[str, float]:
        """The seconds, with their "total" since the clock was made."""
        return {**self.seconds, "total": time.monotonic() - self._started}
