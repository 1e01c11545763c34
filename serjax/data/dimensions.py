"""Valence, arousal and dominance of utterances: ratings of the corpus, or levels of the emotion.

J. A. Russell and A. Mehrabian, "Evidence for a three-factor theory of emotions", Journal of
Research in Personality 11, 1977, rated terms of emotion by pleasure, arousal and dominance. A.
Mehrabian, Current Psychology 14, 1996, names the eight combinations of high and low: exuberant,
relaxed, hostile, anxious, bored and others. An emotion is high here where its rating, or that of
its combination, is positive.
"""

from collections.abc import Sequence

import numpy as np

from serjax.data.corpus import Utterance
from serjax.errors import InputError

LEVELS = {
    "anger": (0.0, 1.0, 1.0),
    "boredom": (0.0, 0.0, 0.0),
    "calm": (1.0, 0.0, 1.0),
    "disgust": (0.0, 1.0, 1.0),
    "excitement": (1.0, 1.0, 1.0),
    "fear": (0.0, 1.0, 0.0),
    "frustration": (0.0, 1.0, 1.0),
    "happiness": (1.0, 1.0, 1.0),
    "neutral": (0.5, 0.5, 0.5),
    "sadness": (0.0, 0.0, 0.0),
    "surprise": (1.0, 1.0, 0.0),
}
"""Low (0) or high (1) valence, arousal and dominance of `corpus.EMOTIONS`; neutral is between."""

# Annotators of speech call arousal activation.
_COLUMNS = ("valence", "activation", "dominance")


def targets(utterances: Sequence[Utterance], train: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Returns the targets of classifiers of the three dimensions.

    A dimension that is rated for every utterance is scaled to [0, 1] by its minimum and maximum in
    the training set. Any other dimension is the level of the emotion, see `LEVELS`.

    Args:
        utterances: Utterances with emotions, and optionally with `valence`, `activation` and
            `dominance`.
        train: Indices of the training set.

    Returns:
        Valence, arousal and dominance `[utterances, 3]`, float32 in [0, 1], and the names of the
        rated columns.

    Raises:
        InputError: An emotion is missing from `LEVELS`, or a dimension has only one value.
    """
    columns, rated_columns = [], []
    for index, column in enumerate(_COLUMNS):
        values = [getattr(utterance, column, None) for utterance in utterances]
        if None in values:
            columns.append([_level(utterance.emotion)[index] for utterance in utterances])
            continue
        rated = np.array(values, np.float64)
        low, high = rated[train].min(), rated[train].max()
        if low == high:
            raise InputError(f"{column}: expected at least 2 values in training, found {low:g}")
        columns.append(np.clip((rated - low) / (high - low), 0.0, 1.0).tolist())
        rated_columns.append(column)
    return np.array(columns, np.float32).T, rated_columns


def _level(emotion: str | None) -> tuple[float, float, float]:
    """Returns the valence, arousal and dominance of an emotion."""
    if emotion not in LEVELS:
        raise InputError(
            "valence, arousal and dominance: expected utterances that have them, or an emotion of "
            f"{', '.join(LEVELS)}; found {emotion!r}; --dimensions none leaves them out"
        )
    return LEVELS[emotion]
