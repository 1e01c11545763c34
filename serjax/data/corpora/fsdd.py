"""FSDD, the free spoken digit dataset: no emotions, but words and speakers to learn first.

Z. Jackson and others, https://github.com/Jakobovski/free-spoken-digit-dataset. Six speakers say
the ten digits fifty times each: 3,000 recordings at 8 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files

LAYOUT = files.Layout(
    name="FSDD",
    recording=r"(\d)_([a-z]+)_(\d+)",
    expected="recordings/{digit}_{speaker}_{take}.wav, such as recordings/7_jackson_32.wav",
    source="https://github.com/Jakobovski/free-spoken-digit-dataset",
)

PUBLISHED = files.Published(
    counts={str(digit): 300 for digit in range(10)},
    speakers=6,
    total=3000,
    column="text",
)


def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads FSDD's table: speaker ("jackson") and text ("0" to "9").

    Args:
        data_dir: The corpus's folder; recordings are found anywhere below it.

    Raises:
        CorpusError: Nothing is found there.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = tuple(
        Utterance(path, speaker=match[2], text=match[1]) for path, match in recordings.matches
    )
    return corpus_of_files("fsdd", utterances, recordings.root, recordings.notes)
