"""Hardest utterances: wrong predictions with the lowest probability of the true class."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from serjax import losses
from serjax.data import Identity
from serjax.report.files.predictions import Predictions


@dataclasses.dataclass(frozen=True, eq=False)
class HardUtterance:
    """Wrong prediction, with the spectrogram and the audio of its utterance.

    Attributes:
        utterance: Audio file and time range.
        speaker: Name of the speaker.
        true: Name of the true class.
        predicted: Name of the predicted class.
        probabilities: Probability of each class, by its name.
        spectrogram: `[frames, bins]` in dB; None shows no spectrogram.
        seconds: Duration, the end of the spectrogram's time axis; only needed with a spectrogram.
        max_hz: Frequency of the last bin, the end of the spectrogram's frequency axis; only needed
            with a spectrogram.
        audio_wav: Content of a WAV file; None shows no audio.
    """

    utterance: Identity
    speaker: str
    true: str
    predicted: str
    probabilities: Mapping[str, float]
    spectrogram: np.ndarray | None = None
    seconds: float = 0.0
    max_hz: float = 0.0
    audio_wav: bytes | None = None


def hardest_utterances(predictions: Predictions, count: int = 6) -> list[HardUtterance]:
    """Finds the wrong predictions on the test set with the lowest probability of the true class.

    `dataclasses.replace` adds spectrograms and audio to them.

    Args:
        predictions: Predictions of a run; those for the test set are searched.
        count: Maximum number of utterances.

    Returns:
        The utterances, the hardest first; equally hard ones in the order of the predictions.
    """
    test = predictions.of_split("test")
    hardness = losses.negative_log_likelihood(test.probabilities, test.true)
    wrong = np.flatnonzero(test.true != test.predicted)
    return [
        HardUtterance(
            utterance=test.utterances[i],
            speaker=test.speakers[i],
            true=test.classes[test.true[i]],
            predicted=test.classes[test.predicted[i]],
            probabilities=dict(zip(test.classes, test.probabilities[i].tolist(), strict=True)),
        )
        for i in wrong[np.argsort(-hardness[wrong], kind="stable")][:count]
    ]
