"""A trained model, taken from its run folder."""

from collections.abc import Sequence

import jax
import numpy as np

from serjax.data import batches
from serjax.errors import InputError
from serjax.files import PathLike
from serjax.training.config import front_end_of
from serjax.training.evaluate import Evaluator
from serjax.training.run_folder.trained_run import load_run


class Recognizer:
    """Recognizes emotions in recordings with the best weights of a run.

    Args:
        folder: A finished run folder.
        batch_size: Segments at a time.

    Attributes:
        classes: Names, in the order of the probabilities.
        sample_rate: Hz that waveforms must have.
        shortest: Fewest samples that can be judged, one analysis window.

    Raises:
        InputError: The folder holds no finished run, or one whose checkpoint does not fit.
    """

    def __init__(self, folder: PathLike, batch_size: int = 20) -> None:
        run = load_run(folder)
        self.classes: list[str] = run.classes
        self._front_end = front_end_of(run.config)
        self.sample_rate = self._front_end.sample_rate
        self.shortest = self._front_end.window_samples
        self._variables = run.variables
        self._evaluate = Evaluator(run.model, self._front_end, batch_size)

    def __call__(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Class probabilities of waveforms of any length.

        Args:
            waveforms: float32 `[samples]` in [-1, 1] at `sample_rate`.

        Returns:
            `[waveforms, classes]` float64.

        Raises:
            InputError: A waveform is shorter than `shortest`, or has another axis than samples.
        """
        for index, waveform in enumerate(waveforms):
            if np.ndim(waveform) != 1:
                raise InputError(
                    f"waveform {index}: expected [samples], found the shape {np.shape(waveform)}"
                )
            if len(waveform) < self.shortest:
                raise InputError(
                    f"waveform {index}: expected at least {self.shortest} samples at "
                    f"{self.sample_rate} Hz, found {len(waveform)}"
                )
        longest = self._front_end.segment_samples
        heard = self._front_end.select_voiced(waveforms)
        examples = batches.pack(heard, [0] * len(heard), longest, room=longest)
        everything = np.arange(len(waveforms))
        return self._evaluate(self._variables, jax.device_put(examples), everything)
