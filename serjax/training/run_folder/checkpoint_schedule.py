"""Checkpoint schedule: often enough to lose little, rarely enough to cost little."""

import contextlib
import time
from collections.abc import Iterator

# A long epoch is saved before its end, so that a kill costs minutes and not hours.
_SECONDS = 300.0
_FRACTION = 0.05


class CheckpointSchedule:
    """Decides from the time that saving takes when to save next.

    Saving a small network takes longer than its epochs do on a fast device. A checkpoint is
    therefore due after an epoch only if saving has taken less than a twentieth of the time until
    then; after the first epoch it always is.
    """

    def __init__(self) -> None:
        self._started_at = self._saved_at = time.monotonic()
        self._saving_seconds = 0.0

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Measures the time of saving, which happens within the context."""
        started = time.monotonic()
        yield
        self._saved_at = time.monotonic()
        self._saving_seconds += self._saved_at - started

    def due_after_epoch(self) -> bool:
        """Returns True if a checkpoint is due at the end of an epoch."""
        return self._saving_seconds <= _FRACTION * (time.monotonic() - self._started_at)

    def due_within_epoch(self) -> bool:
        """Returns True if a checkpoint is due within an epoch: five minutes after the last one."""
        return time.monotonic() - self._saved_at > _SECONDS
