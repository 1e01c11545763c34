"""A corpus stored as a TFDS dataset, by `python -m serjax.data NAME --write FOLDER`."""

from pathlib import Path

import numpy as np

from serjax.audio import AudioError
from serjax.data.corpus import Corpus, Utterance
from serjax.data.stored import open_stored


def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of a stored corpus; its recordings are read by random access.

    Args:
        data_dir: What it was written to, or the dataset's own folder in there.

    Raises:
        CorpusError: The folder does not hold one dataset that serjax wrote.
    """
    dataset = open_stored(data_dir)
    place = {_identity(u): index for index, u in enumerate(dataset.utterances)}

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        if sample_rate != dataset.sample_rate:
            raise AudioError(
                f"{data_dir}: {utterance.path}: expected waveforms at {sample_rate} Hz, found "
                f"them stored at {dataset.sample_rate}; write the corpus at that rate"
            )
        samples = dataset.waveform(place[_identity(utterance)])
        return samples.astype(np.float32) / 32768.0

    return Corpus(dataset.name, dataset.utterances, read, dataset.notes)


def _identity(utterance: Utterance) -> tuple[str, float | None, float | None]:
    return utterance.path, utterance.start, utterance.end
