"""Event files for TensorBoard, written by tensorboardX, which needs no TensorFlow."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from serjax.errors import InputError
from serjax.training.loop import Display, LoopState
from serjax.training.trackers.progress import auxiliary_losses

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
    """Checks that tensorboardX is installed.

    Raises:
        InputError: It is not.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        raise InputError(
            "--tensorboard: expected the package tensorboardX, found none: "
            "pip install 'serjax[tensorboard]'"
        )


class EventWriter:
    """Display that also writes the numbers of every epoch to event files.

    Args:
        display: Display of the run, which is called too.
        folder: Folder of the event files.
        learning_rate: Function from an epoch, from 1, to the learning rate of its last step.
        epoch: First epoch that will be written. Later epochs of an interrupted run are dropped.
    """

    def __init__(
        self, display: Display, folder: Path, learning_rate: Callable[[int], float], epoch: int
    ) -> None:
        from tensorboardX import SummaryWriter

        self._display, self._learning_rate = display, learning_rate
        self._writer = SummaryWriter(str(folder), purge_step=epoch)

    def batch(self, loop: LoopState, batches: int, epochs: int) -> None:
        """Shows a batch on the display."""
        self._display.batch(loop, batches, epochs)

    def epoch(self, row: dict[str, float], best: bool) -> None:
        """Shows an epoch on the display and writes its numbers."""
        self._display.epoch(row, best)
        number = int(row["epoch"])
        scalars = {tag: row[column] for tag, column in _TAGS.items()}
        for name, value in auxiliary_losses(row).items():
            scalars[f"{name.replace('_', '-')}/training"] = value
        scalars["learning_rate"] = self._learning_rate(number)
        for tag, value in scalars.items():
            self._writer.add_scalar(tag, value, number)
        self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()
