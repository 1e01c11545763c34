"""Corpora stored as TFDS datasets by `serjax corpus NAME --write FOLDER`."""

from pathlib import Path

import numpy as np

from serjax.audio import AudioError
from serjax.data.batches import from_int16
from serjax.data.corpus import Corpus, Utterance
from serjax.data.registry import register
from serjax.data.storage.store import open_stored


@register("tfds")
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of a stored corpus. Its recordings are read by random access.

    Args:
        data_dir: Folder that the corpus was written to, or the folder of the dataset in it.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder does not hold exactly one dataset that serjax wrote.
    """
    dataset = open_stored(data_dir)
    index_of = {u.identity: index for index, u in enumerate(dataset.utterances)}

    def record_index(utterance: Utterance, sample_rate: int) -> int:
        if sample_rate != dataset.sample_rate:
            raise AudioError(
                f"{data_dir}: {utterance.identity}: expected waveforms at {sample_rate} Hz, found "
                f"them stored at {dataset.sample_rate}; write the corpus at that rate"
            )
        return index_of[utterance.identity]

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        index = record_index(utterance, sample_rate)
        return from_int16(dataset.waveform(index), float(dataset.gain[index]))

    def measure(utterance: Utterance, sample_rate: int) -> tuple[int, str]:
        index = record_index(utterance, sample_rate)
        return int(dataset.samples[index]), dataset.content[index]

    return Corpus(dataset.name, dataset.utterances, read, dataset.notes, measure=measure)
