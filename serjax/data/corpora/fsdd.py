"""FSDD, the free spoken digit dataset, a source task of words and speakers without emotions.

Z. Jackson and others, https://github.com/Jakobovski/free-spoken-digit-dataset. Six speakers say
the ten digits fifty times each: 3,000 recordings at 8 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files
from serjax.data.registry import register

LAYOUT = files.Layout(
    name="FSDD",
    recording=r"(\d)_([a-z]+)_(\d+)",
    expected="recordings/{digit}_{speaker}_{take}.wav, such as recordings/7_jackson_32.wav",
    source="https://github.com/Jakobovski/free-spoken-digit-dataset",
)


@register(
    "fsdd",
    counts={str(digit): 300 for digit in range(10)},
    speakers=6,
    total=3000,
    column="text",
)
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of FSDD: speaker (such as "jackson") and text ("0" to "9").

    Args:
        data_dir: Folder of the corpus; recordings may lie at any depth.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder holds no recording of the corpus.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = tuple(
        Utterance(path, speaker=match[2], text=match[1]) for path, match in recordings.matches
    )
    return corpus_of_files("fsdd", utterances, recordings.root, recordings.notes)
