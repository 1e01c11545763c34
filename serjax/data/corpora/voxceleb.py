"""VoxCeleb1, a source task of speakers without emotions.

A. Nagrani, J. S. Chung and A. Zisserman, "VoxCeleb: a large-scale speaker identification dataset",
Interspeech 2017. From interviews with 1,251 people: 153,516 recordings of 4 s and more at 16 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files
from serjax.data.registry import register

LAYOUT = files.Layout(
    name="VoxCeleb",
    recording=r"(id\d+)/([^/]+)/(\d+)",
    expected="wav/{speaker}/{video}/{number}.wav, such as wav/id10001/1zcIwhmdeo4/00001.wav",
    source="https://www.robots.ox.ac.uk/~vgg/data/voxceleb",
)


@register("voxceleb", speakers=1251, total=153516, column="speaker", shareable=False)
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of VoxCeleb: speaker (such as "id10001") and session, the video.

    Args:
        data_dir: Folder of the corpus; recordings may lie at any depth, such as in the folders
            dev and test or in one of them.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder holds no recording of the corpus.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = (
        Utterance(path, speaker=match[1], session=match[2]) for path, match in recordings.matches
    )
    return corpus_of_files("voxceleb", utterances, recordings.root, recordings.notes)
