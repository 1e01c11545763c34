"""When a run is saved: so often that little is lost, and so seldom that it costs little."""

import contextlib
import time
from collections.abc import Iterator

# A long epoch is saved in between, so that a kill costs minutes and not hours.
_SECONDS = 300.0
_SHARE = 0.05


class CheckpointSchedule:
    """Tells from the time that saving takes when to save next.

    Saving a small network takes longer than its epochs do on a fast device. So after an epoch it
    is due only if it has so far taken less than a twentieth of the time; after the first, always.
    """

    def __init__(self) -> None:
        self._begun = self._saved_at = time.monotonic()
        self._spent = 0.0

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Within the context, the run is saved."""
        started = time.monotonic()
        yield
        self._saved_at = time.monotonic()
        self._spent += self._saved_at - started

    def due_after_epoch(self) -> bool:
        """Whether to save at the end of an epoch."""
        return self._spent <= _SHARE * (time.monotonic() - self._begun)

    def due_within_epoch(self) -> bool:
        """Whether to save in the midst of an epoch, for the last time was five minutes ago."""
        return time.monotonic() - self._saved_at > _SECONDS
