"""The wrong answers of a run that are furthest from the truth."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from serjax import losses
from serjax.report.files.records import Predictions


@dataclasses.dataclass(frozen=True, eq=False)
class HardUtterance:
    """A wrong answer to look at, and to listen to.

    Attributes:
        path: Name of the audio file.
        speaker: Name of the speaker.
        true: The true class's name.
        predicted: The predicted class's name.
        probabilities: Probability of each class, by its name.
        spectrogram: `[frames, bins]` in dB, or None to show none.
        seconds: Duration, for the spectrogram's time axis; needed only with one.
        max_hz: Frequency of the last bin, for the spectrogram's frequency axis; needed only with
            one.
        audio_wav: Content of a WAV file to listen to, or None.
    """

    path: str
    speaker: str
    true: str
    predicted: str
    probabilities: Mapping[str, float]
    spectrogram: np.ndarray | None = None
    seconds: float = 0.0
    max_hz: float = 0.0
    audio_wav: bytes | None = None


def hardest_utterances(predictions: Predictions, count: int = 6) -> list[HardUtterance]:
    """The wrong answers to whose true class the model gave the lowest probability.

    Add spectrograms and audio with `dataclasses.replace`.

    Args:
        predictions: Utterances, of which the test part is searched.
        count: The most to return.

    Returns:
        The hardest first; of equally hard ones, the first in the file.
    """
    test = predictions.of_split("test")
    hardness = losses.negative_log_likelihood(test.probabilities, test.true)
    wrong = np.flatnonzero(test.true != test.predicted)
    return [
        HardUtterance(
            path=test.paths[i],
            speaker=test.speakers[i],
            true=test.classes[test.true[i]],
            predicted=test.classes[test.predicted[i]],
            probabilities=dict(zip(test.classes, test.probabilities[i].tolist(), strict=True)),
        )
        for i in wrong[np.argsort(-hardness[wrong], kind="stable")][:count]
    ]
