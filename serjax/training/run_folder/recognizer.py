"""Recognition of emotions by the trained model of a run folder."""

from collections.abc import Sequence

import jax
import numpy as np

from serjax.data import batches
from serjax.errors import InputError
from serjax.files import PathLike
from serjax.training.config.resolve import front_end_of
from serjax.training.evaluate import Evaluator
from serjax.training.run_folder.trained_run import load_run


class Recognizer:
    """Recognizer of emotions in waveforms, with the best weights of a run.

    Args:
        folder: Finished run folder.
        batch_size: Number of segments of a batch.

    Attributes:
        classes: Names of the classes, in the order of the probabilities.
        sample_rate: Required sample rate of waveforms in Hz.
        min_samples: Smallest number of samples of a waveform, one analysis window.

    Raises:
        InputError: The folder holds no finished run, or a checkpoint that does not fit the model.
    """

    def __init__(self, folder: PathLike, batch_size: int = 20) -> None:
        run = load_run(folder)
        self._folder = folder
        self.classes: list[str] = run.classes
        self._front_end = front_end_of(run.config)
        self.sample_rate = self._front_end.sample_rate
        self.min_samples = self._front_end.window_samples
        self._variables = run.variables
        self._evaluate = Evaluator(run.model, self._front_end, batch_size)

    def __call__(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Predicts the probabilities of the classes for waveforms of any length.

        Args:
            waveforms: Waveforms, float32 `[samples]` in [-1, 1] at `sample_rate`.

        Returns:
            `[waveforms, classes]` float64.

        Raises:
            InputError: A waveform is shorter than `min_samples`, has not one axis or holds NaN, or
                the model predicts NaN for it.
        """
        for index, waveform in enumerate(waveforms):
            if np.ndim(waveform) != 1:
                raise InputError(
                    f"waveform {index}: expected [samples], found the shape {np.shape(waveform)}"
                )
            if len(waveform) < self.min_samples:
                raise InputError(
                    f"waveform {index}: expected at least {self.min_samples} samples at "
                    f"{self.sample_rate} Hz, found {len(waveform)}"
                )
            if not np.isfinite(waveform).all():
                raise InputError(
                    f"waveform {index}: expected finite samples, found NaN or infinity"
                )
        longest = self._front_end.segment_samples
        speech = self._front_end.select_speech(waveforms)
        examples = batches.pack(speech, [0] * len(speech), longest, room=longest)
        probabilities = self._evaluate(
            self._variables, jax.device_put(examples), np.arange(len(waveforms))
        )
        if not np.isfinite(probabilities).all():
            raise InputError(
                f"{self._folder}: expected finite probabilities, found NaN for waveform "
                f"{int(np.argmin(np.isfinite(probabilities).all(-1)))}; training diverged there"
            )
        return probabilities
