"""Fixtures of the tests of features."""

import numpy as np
import pytest

from serjax import audio
from tests.helpers.librosa_features import noise


@pytest.fixture(params=["noise", "speech"])
def waveform(request) -> np.ndarray:
    """Noise, and a recording of EMO-DB (skipped without the corpus)."""
    if request.param == "noise":
        return noise(8000)
    directory = request.getfixturevalue("emodb_directory")
    return audio.load(sorted(directory.rglob("*.wav"))[0])
