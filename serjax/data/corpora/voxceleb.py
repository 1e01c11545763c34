"""VoxCeleb1: no emotions, but speakers to learn first.

A. Nagrani, J. S. Chung and A. Zisserman, "VoxCeleb: a large-scale speaker identification dataset",
Interspeech 2017. From interviews with 1,251 people: 153,516 recordings of 4 s and more at 16 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files

LAYOUT = files.Layout(
    name="VoxCeleb",
    recording=r"(id\d+)/([^/]+)/(\d+)",
    expected="wav/{speaker}/{video}/{number}.wav, such as wav/id10001/1zcIwhmdeo4/00001.wav",
    source="https://www.robots.ox.ac.uk/~vgg/data/voxceleb",
)

PUBLISHED = files.Published(counts={}, speakers=1251, total=153516, column="speaker")


def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads VoxCeleb's table: speaker ("id10001") and session, the video.

    Args:
        data_dir: The corpus's folder; recordings are found anywhere below it, so its parts dev
            and test may lie there, or one of them.

    Raises:
        CorpusError: Nothing is found there.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = (
        Utterance(path, speaker=match[1], session=match[2]) for path, match in recordings.matches
    )
    return corpus_of_files("voxceleb", utterances, recordings.root, recordings.notes)
