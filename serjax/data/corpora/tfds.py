"""A corpus stored as a TFDS dataset, by `serjax corpus NAME --write FOLDER`."""

from pathlib import Path

import numpy as np

from serjax.audio import AudioError
from serjax.data.batches import from_int16
from serjax.data.corpus import Corpus, Utterance
from serjax.data.storage.store import open_stored


def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of a stored corpus; its recordings are read by random access.

    Args:
        data_dir: What it was written to, or the dataset's own folder in there.

    Raises:
        CorpusError: The folder does not hold one dataset that serjax wrote.
    """
    dataset = open_stored(data_dir)
    place = {_identity(u): index for index, u in enumerate(dataset.utterances)}

    def record(utterance: Utterance, sample_rate: int) -> int:
        if sample_rate != dataset.sample_rate:
            raise AudioError(
                f"{data_dir}: {utterance.path}: expected waveforms at {sample_rate} Hz, found "
                f"them stored at {dataset.sample_rate}; write the corpus at that rate"
            )
        return place[_identity(utterance)]

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        return from_int16(dataset.waveform(record(utterance, sample_rate)))

    def measure(utterance: Utterance, sample_rate: int) -> tuple[int, str]:
        index = record(utterance, sample_rate)
        return int(dataset.samples[index]), dataset.content[index]

    return Corpus(dataset.name, dataset.utterances, read, dataset.notes, measure=measure)


def _identity(utterance: Utterance) -> tuple[str, float | None, float | None]:
    return utterance.path, utterance.start, utterance.end
