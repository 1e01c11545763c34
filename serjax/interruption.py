"""Interruption by signals: a run that saves before it stops, a command that always ends."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

_GRACE_SECONDS = 2.0
_SHOW_CURSOR = "\x1b[?25h"

# Signals that a `StopRequest` takes.
_requested: set[int] = set()
_is_watching = threading.Event()
_advice: list[str] = []


class InterruptedRunError(RuntimeError):
    """Stop of a run by a signal; the run is saved and can be resumed.

    Attributes:
        signal_number: Number of the signal.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class StopRequest:
    """Handler of SIGINT and SIGTERM that lets a loop save before it stops.

    A second signal of the same kind has its ordinary effect.

    Attributes:
        signal_number: Number of the signal that arrived, or None.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    @contextlib.contextmanager
    def installed(self) -> Iterator["StopRequest"]:
        """Handles the signals within the context, if this is the main thread.

        Raises:
            InterruptedRunError: A signal arrived too late for the loop to stop.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self  # Python delivers signals to the main thread
            return
        before: dict[int, Any] = {}

        def note(number: int, frame: FrameType | None) -> None:
            self.signal_number = number
            signal.signal(number, before[number])

        for stopping in (signal.SIGINT, signal.SIGTERM):
            before[stopping] = signal.getsignal(stopping)
            _requested.add(stopping)
            signal.signal(stopping, note)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
                _requested.discard(number)
        if self.signal_number is not None:
            raise InterruptedRunError(self.signal_number)


def advise(line: str) -> None:
    """Sets the line that follows "interrupted" if Ctrl-C ends this process: how to resume."""
    _advice[:] = [line]


def exit_on_interrupt() -> None:
    """Makes Ctrl-C end this process with status 130, whatever it is doing. Commands call it first.

    Python raises KeyboardInterrupt when the main thread is back from a library, which may be
    minutes later, and where nobody sees it if that is in a callback. A thread therefore ends the
    process if it has not ended after 2 s. Every file that a command writes is complete or absent.
    """
    if _is_watching.is_set() or threading.current_thread() is not threading.main_thread():
        return
    _is_watching.set()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), name="interruption", daemon=True).start()


def _watch(reader: int) -> None:
    """Ends the process after a SIGINT that no `StopRequest` takes."""
    while True:
        (number,) = os.read(reader, 1)
        if number in _requested:
            _requested.discard(number)
        elif number == signal.SIGINT:
            time.sleep(_GRACE_SECONDS)
            os.write(2, "\n".join(["interrupted", *_advice, ""]).encode("utf-8", "surrogateescape"))
            _end(128 + number)


def end(status: int) -> NoReturn:
    """Ends a command.

    After a signal the interpreter is not finalized, which crashes if XLA is at work in its threads.

    Args:
        status: Exit status.
    """
    if _is_watching.is_set():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command is over
        if status > 128:
            _end(status)
    sys.exit(status)


def _end(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        # A closed or broken stream cannot be flushed.
        with contextlib.suppress(ValueError, OSError):
            if stream.isatty():
                stream.write(_SHOW_CURSOR)  # a progress bar hides it
            stream.flush()
    os._exit(status)
