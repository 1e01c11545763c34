"""Event files for TensorBoard, by tensorboardX, which needs no TensorFlow."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from serjax.errors import InputError
from serjax.training.loop import Display, LoopState

_TAGS = {
    "loss/training": "train_loss",
    "loss/validation": "validation_loss",
    "WA/training": "train_wa",
    "WA/validation": "validation_wa",
    "UA/training": "train_ua",
    "UA/validation": "validation_ua",
    "examples_per_second": "examples_per_second",
}


def check() -> None:
    """Raises InputError where tensorboardX is not installed."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise InputError(
            "--tensorboard: expected the package tensorboardX, found none: "
            "pip install 'serjax[tensorboard]'"
        )


class EventWriter:
    """A display that also writes every epoch's numbers where TensorBoard reads them.

    Args:
        display: Told the same.
        folder: Where the event files go.
        learning_rate: Epoch, from 1 -> the learning rate of its last step.
        epoch: The first that will be told; what an earlier part of the run wrote of it is dropped.
    """

    def __init__(
        self, display: Display, folder: Path, learning_rate: Callable[[int], float], epoch: int
    ) -> None:
        from tensorboardX import SummaryWriter

        self._display, self._learning_rate = display, learning_rate
        self._writer = SummaryWriter(str(folder), purge_step=epoch)

    def batch(self, loop: LoopState, batches: int, epochs: int) -> None:
        """Tells the display."""
        self._display.batch(loop, batches, epochs)

    def epoch(self, row: dict[str, float], best: bool) -> None:
        """Tells the display and writes the epoch."""
        self._display.epoch(row, best)
        number = int(row["epoch"])
        for tag, column in _TAGS.items():
            self._writer.add_scalar(tag, row[column], number)
        self._writer.add_scalar("learning_rate", self._learning_rate(number), number)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
